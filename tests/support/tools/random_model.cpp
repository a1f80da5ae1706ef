// SPDX-License-Identifier: MIT
// gguf-random-model: writes a tiny model of random weights (support/random_model.hpp).
#include "support/random_model.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/file_util.hpp"

namespace {

constexpr std::string_view kUsage =
    "usage: gguf-random-model ARCHITECTURE OUT [OPTION]...\n"
    "       gguf-random-model --any SEED OUT     a random choice of everything\n"
    "       gguf-random-model --list             architectures with tensors of their own\n"
    "  --layers N  --experts N  --vocabulary N  --seed S  --alignment N  --version 2|3\n"
    "  --type TYPE           of all matrices       --type PART=TYPE   of one part, e.g. attn_v=Q6_K\n"
    "  --bias PART           --scale PART          --drop PART        in all layers\n"
    "  --scale PART=VALUE    of equal ones\n"
    "  --wide                rows of 256, so that every type fits\n"
    "  --unstacked           a tensor for each expert\n"
    "  --big-endian          --unpadded-end\n"
    "  --shards N            OUT is a prefix; N tensors a shard\n";

template <typename T>
T number(std::string_view text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw std::invalid_argument("not a number: " + std::string(text));
  return value;
}

/// Options without a value; false for others.
bool apply_flag(support::RandomModel& model, std::string_view option) {
  if (option == "--wide") return model.wide(), true;
  if (option == "--unstacked") return model.unstacked(), true;
  if (option == "--big-endian") return model.big_endian(), true;
  if (option == "--unpadded-end") return model.unpadded_end(), true;
  return false;
}

void apply(support::RandomModel& model, std::string_view option, std::string_view value) {
  const std::size_t equals = value.find('=');
  if (option == "--layers") return void(model.layers(number<std::uint32_t>(value)));
  if (option == "--experts") return void(model.experts(number<std::uint32_t>(value)));
  if (option == "--vocabulary") return void(model.vocabulary(number<std::uint64_t>(value)));
  if (option == "--seed") return void(model.seed(number<std::uint64_t>(value)));
  if (option == "--alignment") return void(model.alignment(number<std::uint64_t>(value)));
  if (option == "--version") return void(model.version(number<std::uint32_t>(value)));
  if (option == "--bias") return void(model.bias(value));
  if (option == "--scale" && equals == std::string_view::npos) return void(model.scale(value));
  if (option == "--scale")
    return void(model.scale(value.substr(0, equals), {}, "scale", number<float>(value.substr(equals + 1))));
  if (option == "--drop") return void(model.drop(value));
  if (option != "--type") throw std::invalid_argument("unknown option " + std::string(option));
  if (equals == std::string_view::npos) return void(model.type(value));
  model.type(value.substr(0, equals), value.substr(equals + 1));
}

int run(const std::vector<std::string_view>& words) {
  if (words.size() == 1 && words[0] == "--list") {
    for (const std::string_view name : support::known_architectures()) fmt::print("{}\n", name);
    return 0;
  }
  const bool any = words.size() == 3 && words[0] == "--any";
  if (words.size() < 2 || (words[0].starts_with("-") && !any)) {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  support::RandomModel model =
      any ? support::any_model(number<std::uint64_t>(words[1])) : support::RandomModel(std::string(words[0]));
  const std::string out(words[any ? 2 : 1]);
  std::optional<std::size_t> tensors_per_shard;
  for (std::size_t i = any ? 3 : 2; i < words.size(); ++i) {
    if (apply_flag(model, words[i])) continue;
    if (i + 1 == words.size()) throw std::invalid_argument(std::string(words[i]) + " wants a value");
    const std::string_view value = words[++i];
    if (words[i - 1] == "--shards") {
      tensors_per_shard = number<std::size_t>(value);
    } else {
      apply(model, words[i - 1], value);
    }
  }
  if (tensors_per_shard) {
    support::write_shards(out, model.build_shards(*tensors_per_shard));
  } else {
    model.write(out);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try { return run({argv + 1, argv + argc}); } catch (const std::exception& error) {
  fmt::print(stderr, "gguf-random-model: {}\n", error.what());
  return 1;
}
