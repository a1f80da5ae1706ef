// SPDX-License-Identifier: MIT
// Names and values: tools/llama-bench/llama-bench.cpp of llama.cpp.
#include "llama_flags.hpp"

namespace gguf_fuse::cli {
namespace {

constexpr Verdict kSame = Verdict::Same, kIdle = Verdict::Harmless, kMissing = Verdict::Missing;

constexpr std::string_view kDownload = "nothing is downloaded here; fetch the file and give it with -m";
constexpr std::string_view kDriver = "threads are the OpenCL driver's; taskset and nice reach them";

constexpr ForeignRow kRows[] = {
    {"-h --help --version -m --model -p --n-prompt -n --n-gen -pg -d --n-depth -r --repetitions", "", kSame, ""},
    {"-npp -ntg -npl", "N,N", kSame, "llama-batched-bench's; not together with -p, -n, -pg and -d"},
    {"-pps -c --ctx-size", "N", kSame, "llama-batched-bench's, with -npl"},
    {"-b --batch-size -ub --ubatch-size", "N,N", kSame, ""},
    {"-ctk --cache-type-k -ctv --cache-type-v", "T,T", kSame, "all of llama.cpp's types"},
    {"-t --threads", "N", kSame, "threads that load, one number"},
    {"-dev --device -ts --tensor-split -ngl --n-gpu-layers", "D/D,D", kSame, ""},
    {"-ot --override-tensor -ncmoe --n-cpu-moe", "", kSame, "one setting, not a list of them"},
    {"-lm --load-mode --no-warmup -o --output -v --verbose --list-devices", "", kSame, ""},

    {"-fa --flash-attn", "[on|off|auto]", kIdle, "attention is one pass over the cache always"},
    {"-C --cpu-mask --cpu-strict --poll --prio", "N", kIdle, kDriver},
    {"--numa", "TYPE", kIdle, "numactl reaches the OpenCL driver"},
    {"-nkvo --no-kv-offload", "N", kIdle, "a layer's cache lies where the layer is computed"},
    {"-nopo --no-op-offload", "N", kIdle, "a block is computed where its weights lie"},
    {"--no-host --repack", "N", kIdle, "weights are repacked for the device always"},
    {"-lzm --lazy-mode", "MODE", kIdle, "all that is needed is loaded"},
    {"-mmp", "[0|1]", kIdle, "-lm says how the file is read"},
    {"-dio --direct-io", "[0|1]", kIdle, "-lm says how the file is read"},
    {"--progress", "", kIdle, "each result is printed as it is there"},
    {"--offline", "", kIdle, "nothing is downloaded"},
    {"-hft --hf-token", "TOKEN", kIdle, "nothing is downloaded"},

    {"-sm --split-mode", "MODE", kMissing, "layers are split over devices (-dev 0/1, -ts), rows are not", "none|layer"},
    {"-mg --main-gpu", "N", kMissing, "-dev names the device", "0"},
    {"-rpc --rpc", "SERVERS", kMissing, "devices of this machine only"},
    {"-embd --embeddings", "N", kMissing, "no embeddings here", "0"},
    {"--delay", "SECONDS", kMissing, "sleep between two runs of gguf-bench", "0"},
    {"-oe --output-err", "FORMAT", kMissing, "one output: -o, and tee for a second copy", "none"},
    {"-fitt --fit-target -fitc --fit-ctx", "N", kMissing, "-dev and -ts are taken as given"},
    {"-hf -hfr --hf-repo -hff --hf-file", "NAME", kMissing, kDownload},
};

}  // namespace

ForeignTable llama_bench_flags() { return {.program = "llama-bench", .rows = kRows}; }

}  // namespace gguf_fuse::cli
