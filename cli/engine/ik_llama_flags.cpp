// SPDX-License-Identifier: MIT
// Names and values: common/common.cpp of ik_llama.cpp.
#include "llama_flags.hpp"

namespace gguf_fuse::cli {
namespace {

constexpr Verdict kSame = Verdict::Same, kIdle = Verdict::Harmless, kMissing = Verdict::Missing;

constexpr std::string_view kFused = "--fuse says what is fused";
constexpr std::string_view kGraph = "steps are recorded once and run again always";

constexpr ForeignRow kRows[] = {
    {"-mqkv --merge-qkv -muge --merge-up-gate-experts", "", kSame, ""},
    {"-rtr --run-time-repack", "", kIdle, "weights are repacked while loading always"},
    {"-fmoe --fused-moe -no-fmoe --no-fused-moe -no-fug --no-fused-up-gate", "", kIdle, kFused},
    {"-no-mmad --no-fused-mul-multiadd", "", kIdle, kFused},
    {"-mla --mla-use", "N", kIdle, "latent attention is used where the file has it"},
    {"-amb --attention-max-batch", "MIB", kIdle, "attention needs no buffer that grows with the context"},
    {"-gr --graph-reuse -no-gr --no-graph-reuse", "", kIdle, kGraph},
    {"-wgt --worst-graph-tokens -fdn --fused-delta-net", "N", kIdle, kGraph},
    {"-rcache --rope-cache", "", kIdle, "the tables of angles are made once"},
    {"-thp --transparent-huge-pages", "", kIdle, "the driver allocates memory"},
    {"-vq --validate-quants", "", kIdle, "logits that are not finite end a run always"},
    {"-sas --scheduler-async -smgs --split-mode-graph-scheduling -smf16 -smf32", "", kIdle, "devices take layers"},
    {"-grt --graph-reduce-type -gap --graph-attn-precision", "TYPE", kIdle, "devices take layers"},
    {"-cuda --cuda-params", "TEXT", kIdle, "devices are OpenCL's"},
    {"--fit-margin -gfm --gpu-fit-margin --max-gpu", "N", kIdle, "-c, -ngl and -ts are taken as given"},
    {"--defer-experts", "", kIdle, "all weights are loaded"},
    {"-ser --smart-expert-reduction", "K,T", kMissing, "each token gets the experts that its router chose"},
    {"-ger --grouped-expert-routing", "", kMissing, "experts are chosen as the architecture says"},
    {"-khad --k-cache-hadamard -vhad --v-cache-hadamard", "", kMissing, "-ctk f16 -ctv f16 rounds less"},
    {"-ctk-first --cache-type-k-first -ctk-last --cache-type-k-last", "T,N", kMissing, "-ctk is for all layers"},
    {"-ctv-first --cache-type-v-first -ctv-last --cache-type-v-last", "T,N", kMissing, "-ctv is for all layers"},
    {"-mtp --multi-token-prediction", "", kMissing, "no speculative decoding here; leave it out, the text is the same"},
    {"-no-mtp --no-multi-token-prediction", "", kIdle, "layers for it are not loaded"},
    {"-draft --draft-params", "TEXT", kMissing, "no speculative decoding here; leave it out, the text is the same"},
    {"--banned-string-file --allowlist-pieces --allowlist-keyword --expiring-logit-bias-file", "FILE", kMissing,
     "no logit biases here"},
};

}  // namespace

ForeignTable ik_llama_flags() { return {.program = "ik_llama.cpp", .rows = kRows}; }

}  // namespace gguf_fuse::cli
