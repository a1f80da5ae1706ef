#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_examples.py [--update] [BIN]: runs the commands of the documents on SmolLM2 and compares what they print.

An example is an indented line `$ COMMAND` with the output below it, up to the next one or the end of the indented
block. They run one after the other, README.md's first, in a new folder that holds smollm2.gguf, so that later ones find
what earlier ones wrote. Times, speeds and what depends on the machine are masked. --update writes what was printed into
the documents.
"""
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
INDENT = "    "
NUMBER = r"[0-9][0-9.:]*"

# What differs from run to run, then from machine to machine.
MASKS = [
    (r"under 0\.01 s", "T"),
    (rf"{NUMBER} (s|min|h)\b", "T"),
    (rf"\({NUMBER} [kMGT]?B/s\)|, {NUMBER} [kMGT]?B/s", "R"),
    (rf"{NUMBER} [kMGT]?B/s", "R"),
    (rf"{NUMBER} tokens/s", "R"),
    (r", [0-9]+ % of the R at which this device reads them", ""),
    (r"[0-9]+ programs? (from the cache|built)(, [0-9]+ from the cache)?", "P programs"),
    (r" \(cached\)", ""),
    (r"; bottleneck: [a-z]+", ""),
    (r"^(device +).*", r"\1D"),
    (r"^( *\*?[0-9] +(CPU|GPU|accelerator) ).*", r"\1D"),
    (r"^ +type +units +memory +device$", "DEVICES"),
]


def masked(lines):
    out = []
    for line in lines:
        for pattern, replacement in MASKS:
            line = re.sub(pattern, replacement, line)
        out.append(line)
    return out


def examples(lines):
    """Yields (command, first line of its output, line behind its output) for each example."""
    command, begin = None, 0
    for at, line in enumerate([*lines, "end"]):
        new = line.startswith(INDENT + "$ ")
        ended = line and not line.startswith(INDENT)
        if command is not None and (new or ended):
            end = at
            while end > begin and not lines[end - 1]:
                end -= 1
            yield command, begin, end
            command = None
        if new:
            command, begin = line[len(INDENT) + 2 :], at + 1


def run(command, folder, programs):
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    environment.pop("TERM", None)
    result = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False,
    )
    lines = result.stdout.decode("utf-8", "replace").split("\n")
    lines = [line.rstrip() for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines, result.returncode


def check(path, folder, programs, update):
    """Returns how many examples of the file differ, and how many there are."""
    lines = path.read_text().split("\n")
    changed, wrong, count = list(lines), 0, 0
    shift = 0
    for command, begin, end in examples(lines):
        count += 1
        shown = [line[len(INDENT) :] for line in lines[begin:end]]
        printed, code = run(command, folder, programs)
        if masked(shown) == masked(printed) and code == 0:
            continue
        wrong += 1
        if code != 0:
            print(f"{path.relative_to(ROOT)}: exit status {code}: {command}", *printed[-3:], sep="\n    ")
        if update and code == 0:
            new = [INDENT + line if line else "" for line in printed]
            changed[begin + shift : end + shift] = new
            shift += len(new) - (end - begin)
        else:
            print("\n".join(difflib.unified_diff(
                masked(shown), masked(printed), f"{path.relative_to(ROOT)}: {command}", "printed", lineterm="")))
    if update and changed != lines:
        path.write_text("\n".join(changed))
    return wrong, count


def main():
    update = "--update" in sys.argv[1:]
    rest = [word for word in sys.argv[1:] if word != "--update"]
    programs = pathlib.Path(rest[0] if rest else ROOT / "build/release/bin").resolve()
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    model = pathlib.Path(os.environ.get("GGUF_FUSE_MODELS") or cache / "gguf-fuse/models")
    wrong = count = 0
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "smollm2.gguf").symlink_to(model / "smollm2-135m-instruct-q4_1.gguf")
        for path in FILES:
            found = check(path, folder, programs, update)
            wrong, count = wrong + found[0], count + found[1]
    print(f"{count} examples, {wrong} {'differed' if update else 'differ'}")
    return 0 if update or wrong == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
