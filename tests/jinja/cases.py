#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cases.py: writes tests/data/jinja_cases.json, templates and what Python's Jinja2 makes of them (null: it refuses them).
Needs the package jinja2; run it after a change here."""
import copy
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "peers"))
from reference_templates import render  # noqa: E402

CONTEXT = {
    "text": "  Grüße, \"Welt\"!\n", "word": "abcdef", "empty": "", "number": 7, "negative": -7, "real": 2.5, "flag": True,
    "nothing": None, "list": [3, 1, 2], "words": ["b", "A", "c", "a"], "pair": {"b": 1, "a": [1, None, "x"]},
    "rows": [{"name": "x", "size": 2, "in": {"deep": 1}}, {"name": "y", "size": 1, "in": {"deep": 2}},
             {"name": "z", "size": 2, "in": {"deep": 3}, "tag": "t"}],
    "schema": {"type": "object", "items": {"type": "integer"}, "get": 1},
    "html": "<a href='x'>\"&\"</a>", "lines": "one\n\n two\r\nthree\n", "think": "<think>\nhm\n</think>\n\nyes"}

EXPRESSIONS = """
1 + 2 * 3 - 4 ** 2 // 3 % 5
7 // 2, -7 // 2, 7 // -2, 7 % 3, -7 % 3, 7 % -3, 7.5 // 2, -7.5 % 2, 7 / 2, 6 / 2
2 ** 10, 2 ** -1, 2 ** 0.5, -2 ** 2
1e16, 1e15, 123456789012345678.0, 0.0001, 0.00001, 1.0, 100.0, 1e100, 0.1 + 0.2, 1_000
true + true, 1 == true, 1 == 1.0, '1' == 1, none == none, missing == missing
1 < 2 < 3, 1 < 3 < 2, 3 > 2 >= 2 != 1, 'a' < 'b', [1, 2] < [1, 3]
'b' in word, 'bd' in word, 1 in list, 9 not in list, 'a' in pair, 'z' not in pair, 'x' in missing
not true, not not 1, true and 0, 0 or 'x', '' or none, 1 and 2 or 3
'a' if flag else 'b', 'a' if not flag, ('c' if empty else 'd') ~ 'e'
'a' ~ 1 ~ none ~ true ~ 2.0 ~ missing
'a' + 'b' * 3, [1] + [2], [0] * 3, (1, 2) + (3,)
word[0], word[-1], word[9], word[1:3], word[:-1], word[::-1], word[4:1:-2], word[::2], word[10:], word[-100:2], word[5:0:-1]
list[0], list[-1], list[1:], list[::-1], list[5], list[:2], (1, 2, 3)[1:]
text[2:4], text[::-1]
'\\n\\t\\x41\\u00e9\\'\\"\\\\\\q\\101', "it's", 'say "x"', "both ' and \\""
['a\\'b', 'a"b', 'a\\'"b', '\\n\\\\', 'é', '\\x07', '\\u200b', 1.0, none, true]
{'a': 1, 2: 'b', 'c': [1, (2,)], none: {}}
pair, pair.b, pair['a'], pair.a[2], pair.zzz, pair["zzz"], schema.items is callable
schema['items'], schema.get('items'), schema.type, schema['get']
pair.items() | list, pair.keys() | list, pair.values() | list, pair | items | list
pair.get('b'), pair.get('q'), pair.get('q', 5)
nothing.x is undefined, pair.q is defined, missing is defined, word is defined, missing is not defined
none is none, 1 is not none, flag is true, 1 is true, flag is false, flag is boolean, 0 is boolean
word is string, 1 is string, 1 is number, 2.5 is number, flag is number, 1 is integer, true is integer, 2.5 is float
list is sequence, word is sequence, pair is sequence, 1 is sequence, list is iterable, 1 is iterable, missing is iterable
pair is mapping, list is mapping, 3 is odd, 4 is even, 9 is divisibleby 3, 9 is divisibleby(2)
1 is eq 1, 1 is ne 2, 1 is lt 2, 3 is ge 3, 2 is in [1, 2], 'x' is lower, 'X' is upper, word is sameas word
range is callable, word is callable, 1 == 1 is true, not 1 is string
text | trim, text | trim | length, text | length, 'xxaxx' | trim('x'), word | upper, text | lower
'hello world' | capitalize, 'HELLO wORLD-x (y)' | title, 'hello wORLD it\\'s'.title(), 'ABC' | lower
'a.b.c' | replace('.', '-'), 'aaa' | replace('a', 'b', 2), 'abc'.replace('', '-'), 'abc' | replace('b', '')
missing | default('d'), '' | default('d'), '' | default('d', true), none | default('d'), 0 | d(1, boolean=true), missing | default
list | length, pair | length, missing | length, list | first, list | last, [] | first, word | first, list | sum, [] | sum
list | join(', '), words | join, rows | join('-', attribute='name'), [1, none, 'x'] | join('|')
words | sort, words | sort(reverse=true), words | sort(case_sensitive=true), list | sort, rows | map(attribute='name') | list
rows | sort(attribute='size') | map(attribute='name') | join, rows | map(attribute='in.deep') | list
rows | map(attribute='tag', default='-') | list, words | map('upper') | list, words | map('replace', 'a', 'q') | join
rows | selectattr('size', 'equalto', 2) | map(attribute='name') | list, rows | selectattr('tag') | list | length
rows | rejectattr('size', '>', 1) | list | length, rows | rejectattr('tag', 'defined') | map(attribute='name') | join
list | select('odd') | list, list | reject('odd') | list, [0, 1, '', 'x'] | select | list, list | select('>', 1) | list
words | unique | list, [1, 1, 2] | unique | join, list | min, list | max, [] | max, words | min, words | max
pair | dictsort, pair | dictsort(reverse=true), {'b': 1, 'A': 2} | dictsort, {'a': 2, 'b': 1} | dictsort(by='value')
list | reverse | list, word | reverse, word | list, pair | list, 'é日' | list
'3' | int, '3.7' | int, 'x' | int, 'x' | int(9), 3.9 | int, -3.9 | int, 'ff' | int(base=16), true | int, ' 4 ' | int
'3.5' | float, 'x' | float, 3 | float, -3 | abs, 2.5 | abs
2.5 | round, 3.5 | round, 2.675 | round(2), 2.1 | round(0, 'ceil'), 2.9 | round(method='floor'), 7 | round, -2.5 | round
3 | string, 3 | string ~ 4, 2.50 | string, true | string, none | string
lines | indent, lines | indent(2, true), lines | indent(2, first=false, blank=true), 'a\\nb' | indent('> ')
html | escape | string ~ '', html | e | length, (word | safe) ~ ''
'%s is %d of %5.2f%%' | format(word, 3, 2.5), '%5s|%-5s|%05d|%+d' | format('a', 'b', 42, 7), '%r' % ('x',), '%s' % 3
'{} and {}'.format(1, 'b'), '{1}{0}'.format('a', 'b'), '{x}-{{}}'.format(x=none)
pair | tojson, list | tojson(indent=2), pair | tojson(indent=4), text | tojson, '\\x01é"\\\\/' | tojson, [] | tojson(indent=1)
'é🙂' | tojson(ensure_ascii=true), {'b': 1, 'a': 2} | tojson(sort_keys=true), pair | tojson(separators=(',', ':'))
[1.0, 1e20, true, none, 2.5] | tojson, {1: 2, true: 3, none: 4} | tojson, {} | tojson, '{"a": [1, 2.0]}' | from_json
'a,b,,c'.split(','), ' a  b '.split(), 'a,b,c'.split(',', 1), 'a,b,c'.rsplit(',', 1), ' a b c'.split(none, 1), ''.split(), ''.split(',')
think.split('</think>')[-1].lstrip('\\n'), think.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n')
'xay'.strip('xy'), ' x '.strip() ~ '|', ' x '.lstrip() ~ '|', ' x '.rstrip() ~ '|', '\\u00a0x\\u3000'.strip()
word.startswith('ab'), word.startswith(('q', 'a')), word.endswith('ef'), word.find('c'), word.find('z'), 'éa'.find('a'), 'aXaX'.rfind('X')
word.upper(), 'Ab'.lower(), word.capitalize(), word.count('a'), 'aaa'.count('aa'), 'a\\nb\\r\\nc'.splitlines(), ','.join(['a', 'b'])
'12'.isdigit(), 'a1'.isdigit(), 'ab'.isalpha(), ' '.isspace(), 'AB'.isupper(), 'a-b'.partition('-'), 'ab'.partition('-'), 'a-b-c'.rpartition('-')
'unhappy'.removeprefix('un'), 'file.txt'.removesuffix('.txt'), list.index(2), list.count(3)
range(3) | list, range(1, 4) | list, range(5, 0, -2) | list, range(0) | list
dict(a=1, b='x'), dict({'z': 0}, a=1), namespace(a=1).a, namespace({'q': 3}).q
-number | abs, -(number), +number, - -number, 3 - -2, number is not none and number > 3
(1, 2), (1,), (), [], {}, [1, 2,], (1)
[1, [2, [3]]] == [1, [2, [3]]], {'a': 1, 'b': 2} == {'b': 2, 'a': 1}, (1, 2) == [1, 2], {'a': 1} != {'a': 2}
rows[0].name, rows[-1]['in'].deep, rows.0.name, 'abc'.0, ('a' ~ 'b').upper(), [3, 4][0] + 1, {'k': 'v'}['k']
'a' 'b' "c", 'x' in ['x', 'y'] and 'q' not in 'abc', 1 if none else 2 if false else 3
strftime_now('%Y')
none | selectattr('x') | list, none | map('upper') | list, 0 | select | list, none | reject('odd') | list
missing, missing ~ 'x', missing | upper, missing | trim, (missing), missing | list, missing | join(','), nothing
""".strip().split("\n")

TEMPLATES = [
    "a\n{% if true %}\nb\n{% endif %}\nc\n", "  {% if true %}  x  {% endif %}  \n y", "{%- if true -%}\n  x  \n{%- endif -%}\n z",
    "a  {{- 1 -}}  b", "a\n  {%+ if true %}x{% endif +%}\ny", "a\n  {# comment #}\nb", "a {#- c -#} b", "x{# {{ 1 }} {% if %} #}y",
    "{% raw %}{{ x }} {% if %}{% endraw %}!", "a\n  {%- raw -%}  q  {%- endraw -%}  b", "  {% raw %}\n x\n{% endraw %}\ny",
    "line\r\nnext\rlast\r\n", "no end\n\n", "{{ '}}' }}{{ {'a': {'b': 1}}.a.b }}{{ \"%}\" }}", "{ {x} } % {% set a = 1 %}#}{{a}}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = i + 5 %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(n=0, s='') %}{% for i in list %}{% set ns.n = ns.n + i %}{% set ns.s = ns.s ~ i %}{% endfor %}{{ ns.n }}{{ ns.s }}",
    "{% for i in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for i in list %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }}{{ loop.previtem is defined }}{{ loop.cycle('a', 'b') }} {% endfor %}",
    "{% for i in [] %}x{% else %}none{% endfor %}{% for i in list if i > 1 %}{{ loop.index }}:{{ i }}/{{ loop.length }} {% else %}no{% endfor %}",
    "{% for i in list if i > 9 %}x{% else %}none{% endfor %}{% for x in missing %}y{% else %}z{% endfor %}",
    "{% for k, v in pair.items() %}{{ k }}={{ v }};{% endfor %}{% for k in pair %}{{ k }}{% endfor %}{% for c in 'äb' %}[{{ c }}]{% endfor %}",
    "{% for (a, b) in [(1, 2), [3, 4]] %}{{ a + b }} {% endfor %}{% set a, b = 5, 6 %}{{ a * b }}{% set q = 1, 2 %}{{ q }}",
    "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for a in [1, 2] %}{% for b in 'xy' %}{{ loop.index }}{{ a }}{{ b }}{% endfor %}{{ loop.index }};{% endfor %}",
    "{% macro m(a, b='d', c=a) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, a=4) }}{{ m() }}{{ m('x') | upper }}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
    "{% set g = 'before' %}{% macro m() %}{{ g }}{% endmacro %}{% set g = 'after' %}{{ m() }}{% for g in [1] %}{{ m() }}{% endfor %}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, a=3) }}",
    "{% macro box(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call box('b') %}in {{ number }}{% endcall %}",
    "{% macro each(l) %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(x) each(list) %}[{{ x }}]{% endcall %}",
    "{% set x %}  a {{ number }}\n{% endset %}[{{ x }}]{% set y | upper | trim %} q {% endset %}[{{ y }}]",
    "{% filter upper | replace('A', 'x') %}a{{ word }}{% endfilter %}{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}",
    "{% generation %}said{% set z = 1 %}{% endgeneration %}{{ z is defined }}",
    "{% if number > 9 %}a{% elif number == 7 %}b{% else %}c{% endif %}{% if missing %}x{% elif empty %}y{% else %}z{% endif %}",
    "{% if rows | selectattr('tag', 'equalto', 'none such') %}a generator is true{% endif %}{% if [] %}x{% endif %}{% if {} %}y{% endif %}",
    "{% set l = [1] %}{% set _ = l.append(2) %}{{ l }}{{ l.pop(0) }}{{ l }}{{ l.pop() }}{{ l }}",
    "{%- for message in rows -%}{{ '<|' ~ message.name ~ '|>' }}{%- if not loop.last -%}\n{%- endif -%}{%- endfor -%}",
    "{% set items = [] %}{% for r in rows %}{% set items = items + [r.name] %}{% endfor %}{{ items }}",
    "{{ 1 }}\n{{ 2 }}\n", "{{- 'x' -}}   \n  y", "\n\n{% set a = 1 %}\n\nb", "a{% if true %}\n\nb{% endif %}",
    # refused by both
    "{{ missing.x }}", "{{ missing + 1 }}", "{{ 'a' + 1 }}", "{{ 1 / 0 }}", "{{ 1 % 0 }}", "{{ none + 1 }}", "{{ missing() }}", "{{ 1() }}",
    "{{ raise_exception('no') }}", "{% for a, b in [(1, 2, 3)] %}{% endfor %}", "{% for i in 5 %}{% endfor %}", "{{ 'a' < 1 }}", "{{ 1 in 2 }}",
    "{{ missing | tojson }}", "{{ x | nosuchfilter }}", "{{ x is nosuchtest }}", "{% if %}", "{% endif %}", "{{ 1 +", "{{ (1 }}", "{% for x in %}{% endfor %}",
    "{% if true %}", "{# no end", "{{ 'no end }}", "{% unknown %}", "{{ 1 ! 2 }}", "{% set word.x = 1 %}", "{{ range(100001) }}",
    "{% macro m(a) %}{% endmacro %}{{ nothing.x.y }}", "{{ 5 | length }}", "{{ 5 | items | list }}", "{% break %}", "{{ word.index('q') }}", "{{ [].pop() }}"]


def main():
    cases = []
    for template in ["{{ [" + line + "] }}" for line in EXPRESSIONS] + TEMPLATES:
        expected, _ = render(template, copy.deepcopy(CONTEXT))
        cases.append([template, expected])
    for template in ["{{ " + line + " }}" for line in ("text", "real", "flag", "number", "pair", "1e5", "3.0", "words | join")]:
        cases.append([template, render(template, copy.deepcopy(CONTEXT))[0]])
    path = pathlib.Path(__file__).parent.parent / "data" / "jinja_cases.json"
    rows = ",\n".join("  " + json.dumps(case, ensure_ascii=False) for case in cases)
    path.write_text('{"context": ' + json.dumps(CONTEXT, ensure_ascii=False) + ',\n"cases": [\n' + rows + "\n]}\n")
    print(len(cases), "cases,", sum(case[1] is None for case in cases), "of them refused")


main()
