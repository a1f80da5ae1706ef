#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The measuring part of load.sh: seconds from the first weight read to the last one on its device, fused while loading and
as the file has it, in alternating rounds, with the file in the page cache and without; beside ik_llama.cpp when there is
one. Ratios compare runs of the same round, because machines are noisy."""

import argparse
import json
import os
import statistics
import subprocess
import time

from convert import MIB, claim_memory, peak_resident


def forget(path):
    """Takes a file out of the page cache."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def remember(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(4 * MIB):
            pass


def run(command):
    """Standard output, seconds and peak MiB of a command that must succeed."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        # The peak only grows, so that looking every few milliseconds finds it.
        resident = 0
        output = None
        while output is None:
            resident = max(resident, peak_resident(process.pid))
            try:
                output, errors = process.communicate(timeout=0.01)
            except subprocess.TimeoutExpired:
                continue
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{errors}")
    return output, time.perf_counter() - begin, resident


class Loader:
    """One way to load a model; call it for a round."""

    def __init__(self, name, command, seconds_of):
        self.name = name
        self.command = command
        self.seconds_of = seconds_of

    def __call__(self, model):
        output, seconds, resident = run([*self.command, "-m", model])
        return self.seconds_of(output, seconds), resident


def of_weights(output, _seconds):
    return json.loads(output)["timings"]["load"]["weights_seconds"]


def of_process(_output, seconds):
    """From start to end, one token included: what both programs can be asked for."""
    return seconds


def spread(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} .. {max(values):.{digits}f})"


def compare(model, loaders, rounds, cold):
    """Seconds and MiB of each loader."""
    found = {loader.name: [] for loader in loaders}
    for i in range(rounds):
        for loader in loaders if i % 2 == 0 else reversed(loaders):
            if cold:
                forget(model)
            found[loader.name].append(loader(model))
            time.sleep(0.2)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", required=True, help="gguf-run")
    parser.add_argument("--peer", help="ik_llama.cpp's llama-cli")
    parser.add_argument("--peer-model", help="what it loads (and we beside it)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    options = parser.parse_args()

    ours = [options.ours, "-p", "x", "-n", "1", "--json", "--no-warmup", "--no-perf", "-c", "64"]
    fused = Loader("fused", [*ours, "-muge", "-mqkv"], of_weights)
    unfused = Loader("as in the file", [*ours, "--fuse", "off"], of_weights)

    print("| model | page cache | fused, s | as in the file, s | fused to as in the file | GB/s | peak, MiB | more than the file, MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for model in options.models:
        remember(model)
        claim_memory(os.path.getsize(model) + 512 * MIB)
        for cold in (False, True):
            found = compare(model, [fused, unfused], options.rounds, cold)
            seconds = {name: [run[0] for run in runs] for name, runs in found.items()}
            ratios = [a / b for a, b in zip(seconds["fused"], seconds["as in the file"], strict=True)]
            size = os.path.getsize(model)
            peak = max(resident for _, resident in found["fused"])
            cells = [os.path.basename(model), "cold" if cold else "warm", spread(seconds["fused"])]
            cells += [spread(seconds["as in the file"]), spread(ratios)]
            cells += [f"{size / 1e9 / statistics.median(seconds['fused']):.2f}", f"{peak:.0f}", f"{peak - size / MIB:.0f}"]
            print("| " + " | ".join(cells) + " |", flush=True)
    if not options.peer:
        return
    model = options.peer_model
    remember(model)
    merge = [options.peer, "-p", "x", "-n", "1", "-c", "64", "--no-warmup", "-t", str(os.cpu_count()), "-muge", "-mqkv"]
    loaders = [Loader("fused", fused.command, of_process), Loader("ik_llama.cpp", merge, of_process)]
    found = compare(model, loaders, options.rounds, cold=False)
    seconds = {name: [run[0] for run in runs] for name, runs in found.items()}
    ratios = [a / b for a, b in zip(seconds["fused"], seconds["ik_llama.cpp"], strict=True)]
    print("\nThe whole process with one token, in the page cache:\n")
    print("| model | gguf-run -muge -mqkv, s | ik_llama.cpp -muge -mqkv, s | ratio | peaks, MiB |\n|---|---|---|---|---|")
    peaks = " and ".join(f"{max(resident for _, resident in runs):.0f}" for runs in found.values())
    cells = [os.path.basename(model), spread(seconds["fused"]), spread(seconds["ik_llama.cpp"]), spread(ratios), peaks]
    print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
