# SPDX-License-Identifier: MIT
"""The reference reader (Python package `gguf`) opens what gguf-fuse writes from real models, and every fused tensor is the
concatenation of the source's, row by row and expert by expert, in dequantised shape and in stored bytes."""
import functools
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy
from gguf import GGUFReader

PROGRAM = os.environ["GGUF_FUSE_PROGRAM"]
TOOLS = pathlib.Path(os.environ["GGUF_FUSE_TOOLS"])
RULES = {
    "ffn_gate_up_exps": ("ffn_gate_exps", "ffn_up_exps"),
    "ffn_up": ("ffn_gate", "ffn_up"),
    "attn_qkv": ("attn_q", "attn_k", "attn_v"),
}


def run(*arguments):
    subprocess.run([PROGRAM, *map(str, arguments), "--quiet"], check=True)


@functools.lru_cache(maxsize=1)
def read(path):
    """The reader takes seconds for a large vocabulary, and a source is compared more than once."""
    return GGUFReader(path)


def take(source, prefix, base, suffix):
    """Bytes and type of a tensor of the source, which may have one for each expert instead."""
    whole = source.pop(f"{prefix}.{base}.{suffix}", None)
    if whole is not None:
        return whole.data, whole.tensor_type
    experts = []
    while (one := source.pop(f"{prefix}.{base.removesuffix('_exps')}.{len(experts)}.{suffix}", None)) is not None:
        experts.append(one)
    (tensor_type,) = {expert.tensor_type for expert in experts}
    return numpy.stack([expert.data for expert in experts]), tensor_type


def compare(source_path, fused_path):
    """Compares bytes; numpy shapes are (experts, rows, row bytes), so concatenation is along the last axis but one."""
    source = {tensor.name: tensor for tensor in read(source_path).tensors}
    fused_count = 0
    for tensor in GGUFReader(fused_path).tensors:
        same = source.get(tensor.name)
        if same is not None and list(same.shape) == list(tensor.shape):
            assert numpy.array_equal(same.data, tensor.data), tensor.name
            source.pop(tensor.name)
            continue
        prefix, base, suffix = tensor.name.rsplit(".", 2)
        parts = [take(source, prefix, part, suffix) for part in RULES.get(base, (base,))]
        axis = -1 if suffix == "bias" else -2
        expected = numpy.concatenate([data for data, _ in parts], axis=axis)
        assert all(tensor_type == tensor.tensor_type for _, tensor_type in parts), tensor.name
        assert numpy.array_equal(expected, tensor.data), tensor.name
        fused_count += 1
    assert not source, f"lost: {sorted(source)[:5]}"
    return fused_count


def check(name, source, target, folder, expected):
    fused = folder / f"{name}.{target}.gguf"
    run("convert", source, fused, "--target", target)
    count = compare(source, fused)
    assert count == expected, f"{name} for {target}: {count} fused, expected {expected}"
    back = folder / "back.gguf"
    run("unfuse", fused, back)
    assert back.read_bytes() == source.read_bytes(), f"{name}: unfuse gave another file"
    back.unlink()
    fused.unlink()
    print(f"{name} for {target}: {count} fused tensors equal their slices; unfuse gives the original")


def main():
    models = pathlib.Path(os.environ.get("GGUF_FUSE_MODELS", "/nonexistent"))
    smollm2 = models / "smollm2-135m-instruct-q4_1.gguf"
    gemma3 = models / "gemma-3-270m-it-q4_k_m.gguf"
    if not smollm2.exists() or not gemma3.exists():
        print("the real models are not here: run scripts/models.sh and set GGUF_FUSE_MODELS")
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        mixture = folder / "mixture.gguf"
        check("SmolLM2", smollm2, "llama.cpp", folder, 30)
        check("SmolLM2", smollm2, "gguf-fuse", folder, 60)
        check("Gemma 3", gemma3, "llama.cpp", folder, 9)
        cases = (("granite_swa", "llama.cpp", 60, []), ("llama", "gguf-fuse", 60, []), ("qwen3moe", "ik_llama.cpp", 30, []),
                 ("llama", "llama.cpp", 120, ["--unstacked"]), ("llama", "gguf-fuse", 90, ["--unstacked"]))
        for architecture, target, expected, more in cases:
            subprocess.run([TOOLS / "gguf-upcycle", smollm2, mixture, "--experts", "4", "--arch", architecture, *more], check=True)
            check(f"{architecture} mixture", mixture, target, folder, expected)
            read.cache_clear()
            mixture.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
