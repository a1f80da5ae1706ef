# SPDX-License-Identifier: MIT
"""Chat templates as transformers runs them: Jinja2 with the environment of its chat template utilities."""
import datetime
import json

import jinja2
import jinja2.ext
import jinja2.sandbox

# transformers' own environment forbids list.append; llama.cpp and some templates want it.
NOW = 1700000000


class Generation(jinja2.ext.Extension):
    """The tags that mark what an assistant says; they print what is between them."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_print"), [], [], body).set_lineno(line)

    def _print(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    made = jinja2.sandbox.SandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    made.filters["tojson"] = tojson
    # Without autoescape nobody wants `x | safe + y` to escape y, which Jinja2 does; llama.cpp does not.
    made.filters["safe"] = str
    made.filters["from_json"] = json.loads
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = lambda text: datetime.datetime.fromtimestamp(NOW).strftime(text)
    return made


def render(template, context):
    """The text, or None where rendering fails, and then why."""
    try:
        return environment().from_string(template).render(**context), ""
    except Exception as error:  # whatever a template may do
        return None, f"{type(error).__name__}: {error}"
