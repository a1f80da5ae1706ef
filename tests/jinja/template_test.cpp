// SPDX-License-Identifier: MIT
// Templates against tests/data/jinja_cases.json: what Python's Jinja2 makes of them (tests/jinja/cases.py).
#include "gguf_fuse/jinja/template.hpp"
#include "support/paths.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace gguf_fuse::jinja {
namespace {

using testing::HasSubstr;

constexpr std::time_t kNow = 1700000000;

struct Rendering {
  Result<Text> text;
  std::string data{};  ///< a character a byte: d where it is data
};

Rendering render(std::string_view source, const std::string& context = "{}", Limits limits = {}) {
  Heap heap;
  const Value globals = parse_json(heap, context, Origin::Data).value();
  const auto parsed = Template::parse(source);
  if (!parsed) return {fail(parsed.error())};
  Rendering result{parsed->render(heap, *globals.dict(), limits, kNow)};
  for (std::size_t i = 0; result.text && i < result.text->size(); ++i) {
    result.data += result.text->origin(i) == Origin::Data ? 'd' : '.';
  }
  return result;
}

std::string text_of(std::string_view source, const std::string& context = "{}") {
  const Rendering result = render(source, context);
  return result.text ? result.text->bytes() : result.text.error().message();
}

std::string error_of(std::string_view source, const std::string& context = "{}", Limits limits = {}) {
  const Rendering result = render(source, context, limits);
  return result.text ? "no error: " + result.text->bytes() : result.text.error().message();
}

TEST(JinjaTemplate, RendersAsPythonDoes) {
  const auto recorded = nlohmann::ordered_json::parse(std::ifstream(test_support::test_data("jinja_cases.json")));
  const std::string context = recorded.at("context").dump();
  ASSERT_GT(recorded.at("cases").size(), 150U);
  for (const auto& one : recorded.at("cases")) {
    const Rendering result = render(one.at(0).get<std::string>(), context);
    if (one.at(1).is_null()) {
      EXPECT_FALSE(result.text) << one.at(0) << " renders as " << (result.text ? result.text->bytes() : "");
    } else {
      EXPECT_EQ(result.text ? result.text->bytes() : result.text.error().message(), one.at(1)) << one.at(0);
    }
  }
}

TEST(JinjaTemplate, ErrorsNameTheLineAndTheCause) {
  EXPECT_THAT(error_of("a\n{% if x %}\n"), HasSubstr("\"line 2\": this chat template cannot be read: expected endif"));
  EXPECT_THAT(error_of("{{ 1 +\n }}"), HasSubstr("expected an expression, found the end of the tag"));
  EXPECT_THAT(error_of("{% include 'x' %}"), HasSubstr("found \"include\""));
  EXPECT_THAT(error_of("\n\n{{ message.content }}"), HasSubstr("\"line 3\": "));
  EXPECT_THAT(error_of("\n\n{{ message.content }}"), HasSubstr("\"message\" is undefined"));
  EXPECT_THAT(error_of("\n{{ raise_exception('roles must alternate\x1b') }}"), HasSubstr("line 2"));
  EXPECT_THAT(error_of("\n{{ raise_exception('roles must alternate\x1b') }}"), HasSubstr("roles must alternate\\x1b"));
  EXPECT_THAT(error_of("{{ 'a' | frobnicate }}"), HasSubstr("no filter is named \"frobnicate\""));
  EXPECT_THAT(error_of("{{ 9223372036854775807 + 1 }}"), HasSubstr("64 bits"));
  EXPECT_THAT(error_of("{{ (-9223372036854775807 - 1) // -1 }}"), HasSubstr("64 bits"));
  EXPECT_EQ(text_of("{{ (-9223372036854775807 - 1) % -1 }}"), "0");
  EXPECT_FALSE(Template::parse(std::string((std::size_t{4} << 20) + 1, 'x')));
}

TEST(JinjaTemplate, WhatDoesNotEndIsGivenUp) {
  const Limits small{.steps = 100'000, .bytes = 1 << 20, .depth = 250};
  const char* const endless[] = {
      "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
      "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
      "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{{ 'x' * 4000000000000000000 }}",
      "{{ [0] * 9000000000 }}",
      "{{ 'a' | indent(9000000000) }}",
      "{{ '%999s' * 999999 }}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
      ("{% set ns = namespace(l=[1], k=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}"
       "{% set ns.k = [ns.k, ns.k] %}{% endfor %}{{ ns.l == ns.k }}"),
      "{% set l = [] %}{% set _ = l.append(l) %}{{ l }}",
      "{% set l = [] %}{% set _ = l.append(l) %}{{ l | tojson }}",
      "{% set ns = namespace() %}{% set ns.self = ns %}{{ ns }}",
      "{% set l = [1] %}{% set k = [1] %}{% set _ = l.append(k) %}{% set _ = k.append(l) %}{{ l == k }}",
      "{% set ns = namespace(d=[]) %}{% for i in range(9999) %}{% set ns.d = [ns.d] %}{% endfor %}{{ ns.d }}",
      "{{ 2 ** 9 ** 9 ** 9 }}{{ 1 ** 9223372036854775807 }}",
  };
  for (const char* const source : endless) {
    const Rendering result = render(source, "{}", small);
    ASSERT_FALSE(result.text) << source;
    const bool number = std::string_view(source).find("**") != std::string_view::npos;
    EXPECT_TRUE(result.text.error().code == ErrorCode::TemplateLimit || number) << result.text.error().message();
  }
  const std::string counted = error_of("{% for a in range(2000) %}{{ a }}{% endfor %}", "{}", {.steps = 1000});
  EXPECT_THAT(counted, HasSubstr("does not come to an end: expected 1000 steps, found more"));
}

TEST(JinjaTemplate, NestingIsLimited) {
  const auto nested = [](std::size_t levels, std::string_view open, std::string_view middle, std::string_view close) {
    std::string source;
    for (std::size_t i = 0; i < levels; ++i) source += open;
    source += middle;
    for (std::size_t i = 0; i < levels; ++i) source += close;
    return source;
  };
  EXPECT_EQ(text_of(nested(50, "{% if true %}", "x", "{% endif %}")), "x");
  EXPECT_EQ(text_of("{{ " + nested(50, "(", "7", ")") + " }}"), "7");
  for (const std::size_t levels : {std::size_t{1000}, std::size_t{100'000}}) {
    EXPECT_FALSE(Template::parse(nested(levels, "{% if true %}", "x", "{% endif %}")));
    EXPECT_FALSE(Template::parse("{{ " + nested(levels, "(", "7", ")") + " }}"));
    EXPECT_FALSE(Template::parse("{{ " + nested(levels, "[", "", "]") + " }}"));
    EXPECT_FALSE(Template::parse("{{ " + nested(levels, "not ", "7", "") + " }}"));
    EXPECT_FALSE(Template::parse("{{ " + nested(levels, "-", "7", "") + " }}"));
    EXPECT_FALSE(Template::parse("{{ " + nested(levels, "1 if 1 else ", "7", "") + " }}"));
    EXPECT_FALSE(Template::parse("{% set " + nested(levels, "(", "x", ")") + " = 1 %}"));
    // long is not deep where operands stand side by side, and is refused while rendering where they do not
    EXPECT_EQ(text_of("{{ " + nested(levels, "1 + ", "0", "") + " }}"), std::to_string(levels));
    EXPECT_THAT(error_of("{{ 'x'" + nested(levels, "", "", ".x") + " }}"), HasSubstr("250 levels"));
    EXPECT_THAT(error_of("{{ 'x'" + nested(levels, "", "", "|trim") + " }}"), HasSubstr("250 levels"));
  }
}

TEST(JinjaTemplate, BytesKeepTheirOrigin) {
  const std::string context = R"({"u": " a<b> ", "l": ["p", "q"], "d": {"k": "v\n"}, "n": 5})";
  const auto origins = [&](const char* source) { return render(source, context).data; };
  EXPECT_EQ(origins("<{{ u }}>"), ".dddddd.");
  EXPECT_EQ(origins("{{ '<' + u | trim + '>' }}"), ".dddd.");
  EXPECT_EQ(origins("{{ '<' ~ u[1:3] | upper ~ n }}"), ".dd.");
  EXPECT_EQ(origins("{{ u.strip().replace('<', '[[') }}"), "d..dd");
  EXPECT_EQ(origins("{{ l | join('--') }}"), "d..d");
  EXPECT_EQ(origins("{{ ', '.join(l) | title }}"), "d..d");
  EXPECT_EQ(origins("{{ d | tojson }}"), "..d....ddd..");
  EXPECT_EQ(origins("{{ d }}"), "..d....ddd..");
  EXPECT_EQ(origins("{{ '%s|%s' | format(l[0], 'x') }}{{ '{}:{}'.format('x', l[1]) }}"), "d....d");
  EXPECT_EQ(origins("{{ u | trim | reverse }}{{ u.strip() | escape }}"), "dddddddddddddd");
  EXPECT_EQ(origins("{% for c in l[0] %}{{ c }}.{% endfor %}{% set x %}<{{ l[1] }}>{% endset %}{{ x }}"), "d..d.");
  EXPECT_EQ(origins("{% macro m(t) %}[{{ t }}]{% endmacro %}{{ m(l[0]) | indent(1, true) }}"), "..d.");
  EXPECT_EQ(origins("{{ ('[\"' ~ l[0] ~ '\"]') | from_json | first }}{{ '[\"x\"]' | from_json | first }}"), "d.");
  EXPECT_EQ(origins("{% filter lower %}A{{ l[0] }}{% endfilter %}{{ u.split('<')[1] }}"), ".dddd");
}

TEST(JinjaTemplate, JsonIsRead) {
  Heap heap;
  EXPECT_TRUE(
      parse_json(heap, R"( {"a": [1, -2.5e3, "\u00e9\ud83d\ude42\ud800\n", true, null], "b": {}} )", Origin::Data));
  for (const char* const wrong : {"", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "\"\x01\"", "\"\\x\"", "01x", "nul",
                                  "[1] 2", "\"open", "-", "1e999"}) {
    const auto value = parse_json(heap, wrong, Origin::Data);
    ASSERT_FALSE(value) << wrong;
    EXPECT_EQ(value.error().code, ErrorCode::TemplateFailed);
  }
  EXPECT_FALSE(parse_json(heap, std::string(100'000, '['), Origin::Data));
  std::string many = "{\"0\": 0";
  for (int i = 1; i < 5000; ++i) many += ", \"" + std::to_string(i) + "\": 0";
  EXPECT_FALSE(parse_json(heap, many + "}", Origin::Data));
}

TEST(JinjaTemplate, IllFormedTextStaysAsItIs) {
  EXPECT_EQ(text_of("\xff{{ '\xc3(\xe2\x82' | trim }}{{ '\xff\xfe' | length }}{{ '\xf0\x9f' | reverse }}"),
            "\xff\xc3(\xe2\x82"
            "2\x9f\xf0");
}

TEST(JinjaTemplate, ThreadsShareATemplate) {
  const auto parsed = Template::parse("{% for i in range(50) %}{{ i }}{% endfor %}");
  std::vector<std::thread> threads;
  std::vector<std::string> texts(4);
  for (std::string& text : texts) {
    threads.emplace_back([&] {
      Heap heap;
      text = parsed->render(heap, *heap.dict()).value().bytes();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) EXPECT_EQ(text, texts[0]);
  EXPECT_EQ(texts[0].size(), 90U);
}

}  // namespace
}  // namespace gguf_fuse::jinja
