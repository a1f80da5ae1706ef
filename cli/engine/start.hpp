// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "engine_options.hpp"
#include "json_output.hpp"

namespace gguf_fuse::cli {

/// What starting took, in seconds.
struct StartReport {
  LoadReport load{};
  BuildReport build{};
  std::optional<double> warm_up{};
  double total = 0;
};

/// A model on its devices with one session.
struct Engine {
  std::unique_ptr<BuildCount> builds{};  ///< the devices count in it
  std::shared_ptr<RunnableModel> model{};
  std::unique_ptr<Session> session{};
  StartReport report{};
};

struct StartOptions {
  std::optional<std::uint32_t> context{};  ///< 0: as the model was trained; nothing: the same, at most 4096
  std::uint32_t texts = 1;                 ///< that share it: as many times what is not given as a number
  SessionOptions session{};                ///< but for the context
  bool warm_up = true;
  bool progress = false;
  /// Called when the header is read and the weights still load: what is wrong with it is told before the wait. May be
  /// empty.
  std::function<Result<void>(RunnableModel& model)> opened{};
};

/// Messages of the library for people, on standard error: warnings always, decisions when `verbose`.
[[nodiscard]] Log make_log(bool verbose);

/// Opens devices and loads the model. Errors: those of choose_devices, open_devices, RunnableModel and Session.
/// `builds` counts the programs that are compiled; may be null.
[[nodiscard]] Result<std::shared_ptr<RunnableModel>> open_runnable(const EngineOptions& options, Control& control,
                                                                   BuildCount* builds);
/// open_runnable, a session on it, and both ready to compute. Errors: those of `opened` too.
[[nodiscard]] Result<Engine> start_engine(const EngineOptions& options, const StartOptions& start, Control& control);

/// "0.62 s: header 0.02 s, weights 0.31 s, 14 programs from the cache in 0.05 s, warm-up 0.10 s"
[[nodiscard]] std::string start_text(const StartReport& report);
/// "3.2 GB in 2.9 s, 1.1 GB/s; read 2.8 s, repack 0.6 s, upload 0.7 s, compile 0.1 s (cached); bottleneck: read"
[[nodiscard]] std::string load_text(const StartReport& report);
/// The stage of loading that was busy longest: "read", "repack" or "upload"; empty where all took too little to say.
[[nodiscard]] std::string_view bottleneck(const LoadReport& load);
/// "pthread-AMD EPYC (vector, vnni-avx512)", joined by " + ".
[[nodiscard]] std::string devices_text(const RunnableModel& model);
/// --profile: time by kernel, the longest first, of every device. Errors: those of Device::timings.
[[nodiscard]] Result<std::string> profile_text(const RunnableModel& model);
/// The same for --json: [{"device", "kernels": [{"kernel", "launches", "seconds"}, ...]}, ...].
[[nodiscard]] Result<Json> profile_json(const RunnableModel& model);

}  // namespace gguf_fuse::cli
