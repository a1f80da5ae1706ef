// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "gguf_fuse/fuse/pipeline.hpp"

namespace gguf_fuse::fuse {
namespace {

void store_number(std::span<std::byte> out, std::uint64_t value, bool big_endian) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[big_endian ? out.size() - 1 - i : i] = static_cast<std::byte>((value >> (8 * i)) & 0xffU);
  }
}

Error other_plan(std::size_t expected, std::size_t actual) {
  return {.code = ErrorCode::InvalidArgument,
          .path = "plan",
          .expected = fmt::format("hashes of {} tensors", expected),
          .actual = fmt::format("{}", actual),
          .hint = "give what executing this plan returned"};
}

}  // namespace

Result<void> complete_record(Plan& plan, const Execution& execution, Sink* first_sink) {
  if (!plan.proof || plan.proof->hashed_at == 0 || plan.files.empty()) return {};
  const OriginalProof& proof = *plan.proof;
  if (execution.originals.size() != proof.tensors.size()) {
    return fail(other_plan(proof.tensors.size(), execution.originals.size()));
  }
  constexpr std::size_t kHalf = sizeof(std::uint64_t);
  const std::span<std::byte> header(plan.files.front().header);
  if (proof.hashes_at + 2 * kHalf * proof.tensors.size() > header.size() || proof.hashed_at >= header.size() ||
      proof.zero_padding_at >= header.size()) {
    return fail(other_plan(0, proof.tensors.size()));
  }
  std::uint64_t at = proof.hashes_at;
  for (const ContentHash& hash : execution.originals) {
    for (const std::uint64_t half : {hash.low, hash.high}) {
      store_number(header.subspan(at, kHalf), half, proof.big_endian);
      at += kHalf;
    }
  }
  header[proof.zero_padding_at] = static_cast<std::byte>(execution.padding_was_zero ? 1 : 0);
  header[proof.hashed_at] = std::byte{1};
  return first_sink != nullptr ? first_sink->write_at(0, header) : Result<void>();
}

std::vector<std::string> changed_tensors(const Plan& plan, const Execution& execution) {
  std::vector<std::string> names;
  if (!plan.proof || plan.proof->expected.size() != execution.originals.size() ||
      plan.proof->tensors.size() != execution.originals.size()) {
    return names;
  }
  for (std::size_t i = 0; i < execution.originals.size(); ++i) {
    if (execution.originals[i] != plan.proof->expected[i]) names.push_back(plan.proof->tensors[i].name);
  }
  return names;
}

}  // namespace gguf_fuse::fuse
