#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The measuring part of convert.sh: alternating rounds of cp and gguf-fuse convert on the first file, and single runs,
from a pipe too, on all of them. Ratios compare runs of the same round, because machines are noisy."""

import argparse
import mmap
import os
import statistics
import subprocess
import time

MIB = 1 << 20


def claim_memory(size):
    """Touches free memory once, so that a virtual machine's host has given it before anything is timed."""
    with mmap.mmap(-1, size) as memory:
        memory[::4096] = bytes(len(range(0, size, 4096)))


def peak_resident(pid):
    """MiB so far, of what the process runs now; rusage would include the interpreter that it was forked from."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            return next((int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0


def measure(command, feeder=None):
    """Seconds and peak resident MiB of a command that must succeed; `feeder` is a command whose output it reads."""
    feed = subprocess.Popen(feeder, stdout=subprocess.PIPE) if feeder else None
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdin=feed.stdout if feed else subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    if feed:
        feed.stdout.close()
    # The peak only grows, so that looking every few milliseconds finds it.
    resident = 0
    waiting = True
    while waiting:
        try:
            process.wait(timeout=0.01)
            waiting = False
        except subprocess.TimeoutExpired:
            resident = max(resident, peak_resident(process.pid))
    seconds = time.perf_counter() - begin
    if feed:
        feed.wait()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return seconds, resident


class Bench:
    def __init__(self, program, source):
        self.source = source
        self.out = source + ".out"
        self.bytes = os.path.getsize(source)
        convert = [program, "convert", "--quiet"]
        self.commands = {
            "cp": ["cp", source, self.out],
            "cp, then sync of the file": ["sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh", source, self.out],
            "convert --no-verify": convert + ["--no-verify", source, self.out],
            "convert": convert + [source, self.out],
        }
        self.pipes = {
            "convert --no-verify, from a pipe": convert + ["--no-verify", "-", self.out],
            "convert, from a pipe": convert + ["-", self.out],
        }

    def run(self, command, feeder=None):
        """One run on a clean slate: no output, nothing left to write back."""
        self.remove()
        os.sync()
        try:
            return measure(command, feeder)
        finally:
            self.remove()

    def remove(self):
        if os.path.exists(self.out):
            os.remove(self.out)

    def warm(self):
        """Brings the source into the page cache, where it fits; every run then begins alike."""
        with open(self.source, "rb", buffering=0) as file:
            while file.read(MIB):
                pass

    def rounds(self, count):
        self.warm()
        claim_memory(2 * self.bytes)
        found = {name: [] for name in self.commands}
        names = list(self.commands)
        for i in range(count):
            # Each takes each place in turn: who comes after whom matters on some disks.
            for name in names[i % len(names):] + names[:i % len(names)]:
                found[name].append(self.run(self.commands[name]))
        return found


def row(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def heading(*cells):
    row(*cells)
    print("|" + "---|" * len(cells))


def print_rounds(bench, found):
    print(f"\n{os.path.basename(bench.source)}, {bench.bytes / 1e9:.2f} GB, {len(found['cp'])} alternating rounds:\n")
    heading("run", "seconds, median (least .. most)", "GB/s", "to cp", "to cp and sync", "peak RSS, MiB")
    for name, runs in found.items():
        seconds = [run[0] for run in runs]
        median = statistics.median(seconds)

        def ratio(other):
            ratios = [mine[0] / theirs[0] for mine, theirs in zip(runs, found[other])]
            return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} .. {max(ratios):.2f})"

        row(name, f"{median:.2f} ({min(seconds):.2f} .. {max(seconds):.2f})", f"{bench.bytes / median / 1e9:.2f}",
            ratio("cp"), ratio("cp, then sync of the file"), f"{max(run[1] for run in runs):.0f}")


def print_single(bench):
    runs = {name: bench.run(bench.commands[name]) for name in ("convert --no-verify", "convert")}
    runs |= {name: bench.run(command, ["cat", bench.source]) for name, command in bench.pipes.items()}
    for name, (seconds, resident) in runs.items():
        row(os.path.basename(bench.source), f"{bench.bytes / 1e9:.2f}", name, f"{seconds:.2f}",
            f"{bench.bytes / seconds / 1e9:.2f}", f"{resident:.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("sources", nargs="+", metavar="MODEL")
    options = parser.parse_args()
    benches = [Bench(options.program, source) for source in options.sources]
    print_rounds(benches[0], benches[0].rounds(options.rounds))
    print("\nOne run of each:\n")
    heading("model", "GB", "run", "seconds", "GB/s", "peak RSS, MiB")
    for bench in benches:
        print_single(bench)


if __name__ == "__main__":
    main()
