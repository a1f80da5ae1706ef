// SPDX-License-Identifier: MIT
// gguf-corpus: writes the seeds of the fuzzers, DIR/container_fuzzer and DIR/plan_fuzzer.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <set>
#include <string>

#include "support/file_util.hpp"
#include "support/hostile.hpp"
#include "support/memory_sink.hpp"
#include "support/random_model.hpp"

namespace {

using namespace gguf_fuse::fuse;
using support::Bytes;
using support::RandomModel;

// A fuzzer learns nothing from a large file that a small one does not teach.
constexpr std::size_t kMostContainerBytes = 4096;
constexpr std::size_t kMostPlanBytes = 40000;

/// Writes files with different content, by name.
class Corpus {
 public:
  explicit Corpus(const std::filesystem::path& folder) : folder_(folder) {
    std::filesystem::create_directories(folder);
  }

  void add(const std::string& name, const Bytes& bytes, std::size_t most) {
    if (bytes.size() > most || !seen_.insert(bytes).second) return;
    support::write_file(folder_ / name, bytes);
    total_ += bytes.size();
  }
  [[nodiscard]] std::size_t files() const { return seen_.size(); }
  [[nodiscard]] std::size_t total() const { return total_; }

 private:
  std::filesystem::path folder_;
  std::set<Bytes> seen_;
  std::size_t total_ = 0;
};

RandomModel tiny(const std::string& architecture) {
  return RandomModel(architecture).layers(1).embedding(32).heads(2, 1, 16).feed_forward(32).vocabulary(1).type("Q4_0");
}

Bytes fused(const Bytes& file, Target target, const SplitOptions& split = {}) {
  Model model = support::model_of(file);
  FuseOptions options;
  options.target = target;
  options.split = split;
  return support::run_plan(support::value_of(plan_fuse(model.info, options)), model).front();
}

// Shards joined into one file with a record of what they were.
Bytes merged(const RandomModel& original) {
  const std::vector<Bytes> shards = original.build_shards(4);
  Model model = support::model_of(shards);
  return support::run_plan(support::value_of(plan_fuse(model.info)), model).front();
}

void add_plans(Corpus& corpus) {
  const auto add = [&corpus](const std::string& name, const Bytes& bytes) {
    corpus.add(name + ".gguf", bytes, kMostPlanBytes);
  };
  for (const std::string_view known : support::known_architectures()) {
    const std::string name(known);
    const RandomModel model = tiny(name).experts(name == "llama" || name.starts_with("qwen2") ? 0 : 2);
    add(name, model.build());
    add(name + "-fused", fused(model.build(), Target::GgufFuse));
    add(name + "-fused-by-others", RandomModel(model).fused(RuleId::GateUpExperts).fused(RuleId::Qkv).build());
  }
  const RandomModel mixture = tiny("llama").experts(2);
  add("mixture", mixture.build());
  add("mixture-ik", fused(mixture.build(), Target::IkLlamaCpp));
  const RandomModel apart = RandomModel(mixture).unstacked();
  add("unstacked", apart.build());
  add("stacked", fused(apart.build(), Target::LlamaCpp));
  add("stacked-and-merged", fused(apart.build(), Target::GgufFuse));
  add("stacked-biases", fused(tiny("gpt-oss").experts(2).unstacked().build(), Target::GgufFuse));
  add("big-endian", fused(RandomModel(mixture).big_endian().build(), Target::GgufFuse));
  add("interleaved", fused(tiny("llama").type("IQ1_S_R4").build(), Target::GgufFuse));
  add("row-header", fused(tiny("qwen3").type("Q8_KV").build(), Target::GgufFuse));
  add("biases", fused(tiny("llama").bias("attn_q").bias("attn_k").bias("attn_v").build(), Target::GgufFuse));
  add("precise",
      fused(
          tiny("llama")
              .prec_a4({{"blk.0.attn_q.weight", false}, {"blk.0.attn_k.weight", false}, {"blk.0.attn_v.weight", false}})
              .build(),
          Target::GgufFuse));
  add("mixed-types", tiny("llama").type("attn_v", "Q8_0").build());
  add("scales", tiny("llama").scale("attn_q").build());
  add("two-layers", fused(tiny("llama").layers(2).drop("attn_v", 1).build(), Target::LlamaCpp));
  add("version-2-unpadded", fused(tiny("llama").version(2).alignment(8).unpadded_end().build(), Target::LlamaCpp));
  add("shards-merged", merged(tiny("llama")));
  add("shards-merged-aligned", merged(tiny("qwen3").alignment(64)));
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fputs("usage: gguf-corpus DIR\n", stderr);
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  Corpus containers(folder / "container_fuzzer");
  for (const auto& file : support::hostile_files())
    containers.add(file.name + ".gguf", file.build(), kMostContainerBytes);
  for (const auto& file : support::valid_files())
    containers.add(file.name + ".gguf", file.build(), kMostContainerBytes);
  Corpus plans(folder / "plan_fuzzer");
  add_plans(plans);
  std::printf("%zu + %zu files, %zu bytes\n", containers.files(), plans.files(), containers.total() + plans.total());
  return 0;
} catch (const std::exception& exception) {
  std::fprintf(stderr, "gguf-corpus: %s\n", exception.what());
  return 1;
}
