// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "print.hpp"
#include "run_commands.hpp"
#include "signals.hpp"
#include "start.hpp"

namespace gguf_fuse::cli {
namespace {

constexpr std::size_t kChunk = 64;  // tokens whose logits a session keeps

/// What is known of the positions so far. Written by hand: a JSON library makes a node of each of the numbers, of which
/// a vocabulary of 262,144 has many.
struct Evaluation {
  std::vector<std::int32_t> argmax{};
  std::vector<float> logsumexp{};
  std::vector<float> nll{};
  std::string logits{};  ///< JSON

  /// `more` goes behind the last key.
  [[nodiscard]] std::string json(const std::vector<std::int32_t>& tokens, bool all, const std::string& more) const {
    const char* form = all ? "[{}]" : "{}";
    return fmt::format("{{\"tokens\":[{}],\"argmax\":[{}],\"logsumexp\":[{}],\"nll\":[{}],\"logits\":{}{}}}\n",
                       fmt::join(tokens, ","), fmt::join(argmax, ","), fmt::join(logsumexp, ","), fmt::join(nll, ","),
                       fmt::format(fmt::runtime(form), logits), more);
  }
};

/// Evaluates tokens[first] and what follows in its chunk.
Result<void> evaluate_chunk(Session& session, const RunOptions& options, std::size_t first, Evaluation& out) {
  const std::span<const std::int32_t> tokens(options.tokens);
  const auto chunk = tokens.subspan(first, std::min(kChunk, tokens.size() - first));
  GGUF_FUSE_CHECK(session.evaluate(chunk));
  GGUF_FUSE_ASSIGN(const std::vector<RowStatistics> rows, session.statistics());
  GGUF_FUSE_ASSIGN(const std::vector<float> logits, session.logits());
  const std::size_t vocabulary = logits.size() / chunk.size();
  for (std::size_t i = 0; i < chunk.size(); ++i) {
    const auto row = std::span<const float>(logits).subspan(i * vocabulary, vocabulary);
    out.argmax.push_back(rows[i].argmax);
    out.logsumexp.push_back(rows[i].logsumexp);
    const bool last = first + i + 1 == tokens.size();
    if (!last) out.nll.push_back(rows[i].logsumexp - row[static_cast<std::size_t>(tokens[first + i + 1])]);
    if (!last && !options.all_logits) continue;
    if (!out.logits.empty()) out.logits += ',';
    out.logits += fmt::format("[{}]", fmt::join(row, ","));
  }
  return {};
}

/// A token beyond the vocabulary is an error before anything is computed: the chunk before it looks its logit up.
Result<void> check_tokens(const RunOptions& options, std::uint32_t vocabulary) {
  for (const std::int32_t token : options.tokens) {
    if (static_cast<std::uint32_t>(token) < vocabulary) continue;
    return fail(Error{.code = ErrorCode::BadToken,
                      .path = options.engine.model,
                      .subject = std::to_string(token),
                      .expected = fmt::format("less than {}", vocabulary)});
  }
  return {};
}

}  // namespace

Result<int> eval_command(const RunOptions& options) {
  static Control control;  // signal handlers keep a pointer to it
  wait_for_input(options.engine.model);
  cancel_on_signals(control, SecondSignal::Ends);
  StartOptions start = options.start;
  start.context = static_cast<std::uint32_t>(options.tokens.size());
  start.session.micro_batch = kChunk;
  start.session.all_logits = true;
  start.warm_up = false;
  start.progress = terminal_width(stderr) > 0 && !options.json;
  GGUF_FUSE_ASSIGN(const Engine engine, start_engine(options.engine, start, control));
  GGUF_FUSE_CHECK(check_tokens(options, engine.model->description().vocabulary));
  Evaluation evaluation;
  for (std::size_t first = 0; first < options.tokens.size(); first += kChunk) {
    GGUF_FUSE_CHECK(evaluate_chunk(*engine.session, options, first, evaluation));
  }
  std::string kernel_times;  // with --json a key, else a table on standard error
  if (options.engine.device.profiling && options.json) {
    GGUF_FUSE_ASSIGN(const Json kernels, profile_json(*engine.model));
    kernel_times = ",\"profile\":" + kernels.dump(-1, ' ', true, Json::error_handler_t::replace);
  }
  put(stdout, evaluation.json(options.tokens, options.all_logits, kernel_times));
  if (options.engine.device.profiling && !options.json) {
    GGUF_FUSE_ASSIGN(const std::string profile, profile_text(*engine.model));
    put(stderr, profile);
  }
  return 0;
}

}  // namespace gguf_fuse::cli
