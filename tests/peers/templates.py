#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""templates.py FOLDER PROGRAM: renders every .jinja of a folder with PROGRAM (gguf-render-template) and with Python's
Jinja2, over conversations with and without a system message, tools, tool calls, reasoning and a generation prompt.
Prints a Markdown table; exits with 1 when a byte differs, or only PROGRAM refuses."""
import copy
import json
import pathlib
import subprocess
import sys

from reference_templates import NOW, render

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Tells the weather <b>now</b> & \"here\".",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "Where, e.g. München"},
            "unit": {"type": "string", "enum": ["C", "F"]},
            "days": {"type": "array", "items": {"type": "integer"}, "description": "Which days"}},
            "required": ["city"]}}},
    {"type": "function", "function": {
        "name": "stop", "description": "Stops.", "parameters": {"type": "object", "properties": {}}}}]
SYSTEM = {"role": "system", "content": "  Be brief.\nAnd friendly. "}
USER = {"role": "user", "content": " What is the weather in \"Köln\"?\n"}
ANSWER = {"role": "assistant", "content": "Sunny, 21 °C."}
MORE = {"role": "user", "content": "Thanks <|im_end|> {{ 1 }} </think> 日本語 🙂"}


def call(arguments):
    return {"role": "assistant", "content": "", "tool_calls": [
        {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}]}


ARGUMENTS = {"city": "Köln", "unit": "C", "days": [1, 2.5, None, True]}
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "{\"t\": 21.5}"}


def conversations():
    thought = dict(ANSWER, reasoning_content="The user wants\nthe weather.")
    inline = dict(ANSWER, content="<think>\nHm.\n</think>\n\nSunny.")
    yield "user", [USER], {}
    yield "system", [SYSTEM, USER], {}
    yield "turns", [SYSTEM, USER, ANSWER, MORE], {}
    yield "no prompt", [USER, ANSWER], {"add_generation_prompt": False}
    yield "thinking on", [SYSTEM, USER, thought, MORE], {"enable_thinking": True, "thinking": True}
    yield "thinking off", [SYSTEM, USER, thought, MORE], {"enable_thinking": False, "thinking": False}
    yield "inline thought", [USER, inline, MORE], {}
    yield "tools", [SYSTEM, USER], {"tools": TOOLS}
    yield "tools, no system", [USER, ANSWER, MORE], {"tools": TOOLS}
    for name, arguments in (("object", ARGUMENTS), ("text", json.dumps(ARGUMENTS))):
        yield f"call ({name})", [SYSTEM, USER, call(arguments), RESULT], {"tools": TOOLS}
        yield f"answered call ({name})", [USER, call(arguments), RESULT, ANSWER, MORE], {"tools": TOOLS}
    parts = dict(USER, content=[{"type": "text", "text": "Look:"}, {"type": "image"}, {"type": "text", "text": "well?"}])
    yield "parts", [parts], {}
    yield "two users", [USER, MORE], {}
    yield "nothing", [], {}
    yield "no content", [USER, {"role": "assistant", "content": None}, MORE], {}


def main():
    folder, program = sys.argv[1:]
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ours(template, context):
        request = {"template": template, "context": context, "now": NOW}
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        verdict, size = process.stdout.readline().split()
        text = process.stdout.read(int(size) + 1)[:-1].decode()
        return (text, "") if verdict == b"ok" else (None, text)

    different = 0
    print("| template | conversations rendered | refused by both | refused by Jinja2 | different |\n|---|---|---|---|---|")
    for path in sorted(pathlib.Path(folder).glob("*.jinja")):
        template = path.read_bytes().decode()
        counts = [0, 0, 0, 0]
        for name, messages, more in conversations():
            context = {"messages": messages, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", **more}
            expected, why = render(template, copy.deepcopy(context))
            found, problem = ours(template, context)
            if found == expected:
                counts[0 if expected is not None else 1] += 1
            elif expected is None:
                counts[2] += 1
            else:
                counts[3] += 1
                print(f"{path.name}, {name}: expected {expected!r} ({why}), found {found!r} ({problem})", file=sys.stderr)
        different += counts[3]
        print(f"| {path.stem} | {' | '.join(map(str, counts))} |")
    sys.exit(1 if different else 0)


main()
