// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/reason.hpp"

#include "reasons.hpp"

namespace gguf_fuse::fuse {
namespace {

// What a caller made up is no code of the list.
constexpr ReasonRow kNoReason{Outcome::Refused, "for a reason that this version does not know"};

const ReasonRow& row(ReasonCode code) {
  const auto index = static_cast<std::size_t>(code);
  return index < kReasons.size() ? kReasons[index] : kNoReason;
}

}  // namespace

Outcome Reason::outcome() const { return row(code).outcome; }

std::string Reason::clause() const {
  std::string text;
  std::size_t next = 0;
  std::string_view rest = row(code).clause;
  for (std::size_t at = rest.find("{}"); at != std::string_view::npos; at = rest.find("{}")) {
    text += rest.substr(0, at);
    if (next < arguments.size()) text += arguments[next++];
    rest.remove_prefix(at + 2);
  }
  return text.append(rest);
}

std::string Reason::text() const { return engine.empty() ? clause() : engine + " " + clause(); }

std::string texts_of(const std::vector<Reason>& reasons) {
  std::string text;
  for (const Reason& reason : reasons) text += (text.empty() ? "" : ", and ") + reason.text();
  return text;
}

}  // namespace gguf_fuse::fuse
