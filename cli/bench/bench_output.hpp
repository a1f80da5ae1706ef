// SPDX-License-Identifier: MIT
#pragma once

#include "failure.hpp"
#include "measure.hpp"

namespace gguf_fuse::cli {

/// Prints results in one of the formats of -o, on standard output.
class BenchOutput {
 public:
  explicit BenchOutput(const BenchOptions& options) : options_(options) {}

  void add(const BenchResult& result);
  /// Prints what could only be printed when all results are there. With JsonArray a failure is the array's last
  /// element; the other formats leave it to who calls.
  void finish(const Failure* failure = nullptr);

 private:
  [[nodiscard]] std::string markdown() const;

  const BenchOptions& options_;
  std::vector<BenchResult> results_;
};

/// Mean and sample standard deviation; the latter is 0 for a single value.
struct Spread {
  double mean = 0;
  double deviation = 0;
};
[[nodiscard]] Spread spread_of(const std::vector<double>& values);

}  // namespace gguf_fuse::cli
