// SPDX-License-Identifier: MIT
#include "placement.hpp"

#include <algorithm>

namespace gguf_fuse {

std::vector<std::size_t> place_layers(std::size_t layers, std::size_t devices, std::span<const double> shares) {
  std::vector<double> ends;
  double sum = 0;
  for (std::size_t i = 0; i < devices; ++i) {
    sum += shares.empty() ? 1.0 : std::max(0.0, i < shares.size() ? shares[i] : 0.0);
    ends.push_back(sum);
  }
  std::vector<std::size_t> result;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const double position = (static_cast<double>(layer) + 0.5) / static_cast<double>(layers) * sum;
    const auto end = std::find_if(ends.begin(), ends.end(), [&](double e) { return position < e; });
    result.push_back(static_cast<std::size_t>(std::min(end, ends.end() - 1) - ends.begin()));
  }
  return result;
}

}  // namespace gguf_fuse
