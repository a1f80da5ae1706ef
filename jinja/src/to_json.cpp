// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <functional>

#include "characters.hpp"
#include "operators.hpp"
#include "represent.hpp"

namespace gguf_fuse::jinja::detail {
namespace {

class JsonWriter {
 public:
  JsonWriter(Machine& machine, const JsonStyle& style) : machine_(machine), style_(style) {}

  Result<void> write(const Value& value) {
    const Machine::Nested nested(machine_);
    GGUF_FUSE_CHECK(machine_.charge(16));
    if (const Text* const text = value.text()) return write_text(*text);
    if (const List* const list = value.list()) return write_list(*list);
    if (const Dict* const dict = value.dict(); dict != nullptr && dict->kind == Dict::Kind::Dict)
      return write_dict(*dict);
    if (value.is<None>()) {
      put("null");
    } else if (const bool* const flag = value.get<bool>()) {
      put(*flag ? "true" : "false");
    } else if (const double* const number = value.get<double>()) {
      put(std::isnan(*number)   ? "NaN"
          : std::isinf(*number) ? (*number < 0 ? "-Infinity" : "Infinity")
                                : float_text(*number));
    } else if (const auto whole = integer_of(value)) {
      put(std::to_string(*whole));
    } else if (const Undefined* const undefined = value.get<Undefined>()) {
      return undefined_failure(machine_, *undefined);
    } else {
      return machine_.failure(std::string(kind_name(value)) + " cannot be JSON");
    }
    return {};
  }

  [[nodiscard]] Text take() { return std::move(out_); }

 private:
  void put(std::string_view text) { out_.append(text, Origin::Template); }

  void put_unit(char32_t unit, Origin origin) {
    std::string text = "\\u";
    for (unsigned shift = 16; shift > 0;) text += "0123456789abcdef"[unit >> (shift -= 4) & 0xFU];
    out_.append(text, origin);
  }

  Result<void> write_text(const Text& text) {
    constexpr std::string_view kControls = "\"\\\b\f\n\r\t";
    const std::string& bytes = text.bytes();
    GGUF_FUSE_CHECK(machine_.charge(bytes.size() * 2));
    put("\"");
    for (std::size_t at = 0; at < bytes.size();) {
      const Character character = character_at(bytes, at);
      const Origin origin = text.origin(at);
      const std::size_t known = kControls.find(bytes[at]);
      if (known != std::string_view::npos) {
        out_.append(std::string("\\") + "\"\\bfnrt"[known], origin);
      } else if (character.code < 0x20 ||
                 (style_.ascii && character.code >= 0x7F && character.code < 0x10000 && character.code != 0x7F)) {
        put_unit(character.code, origin);
      } else if (style_.ascii && character.code >= 0x10000) {
        put_unit(0xD800 + (character.code - 0x10000) / 0x400, origin);
        put_unit(0xDC00 + (character.code - 0x10000) % 0x400, origin);
      } else {
        out_.append(text, at, at + character.size);
      }
      at += character.size;
    }
    put("\"");
    return {};
  }

  Result<void> new_line() {
    if (style_.indent == nullptr) return {};
    GGUF_FUSE_CHECK(machine_.charge(1 + depth_ * style_.indent->size()));
    put("\n");
    for (unsigned i = 0; i < depth_; ++i) out_.append(*style_.indent);
    return {};
  }

  // One element after the other, `write_one` each.
  Result<void> write_all(std::string_view brackets, std::size_t count,
                         const std::function<Result<void>(std::size_t)>& write_one) {
    put(brackets.substr(0, 1));
    ++depth_;
    for (std::size_t i = 0; i < count; ++i) {
      if (i > 0) {
        GGUF_FUSE_CHECK(machine_.charge(style_.between.size()));
        out_.append(style_.between);
      }
      GGUF_FUSE_CHECK(new_line());
      GGUF_FUSE_CHECK(write_one(i));
    }
    --depth_;
    if (count > 0) GGUF_FUSE_CHECK(new_line());
    put(brackets.substr(1));
    return {};
  }

  Result<void> write_list(const List& list) {
    return write_all("[]", list.items.size(), [&](std::size_t i) { return write(list.items[i]); });
  }

  Result<void> write_dict(const Dict& dict) {
    GGUF_FUSE_CHECK(machine_.charge(dict.entries.size() * sizeof(void*)));
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) {
      if (entry.first.list() != nullptr) return machine_.failure("a tuple cannot be a key of JSON");
      entries.push_back(&entry);
    }
    if (style_.sorted) {
      std::stable_sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
        const Text* const left = a->first.text();
        const Text* const right = b->first.text();
        return left != nullptr && right != nullptr && left->bytes() < right->bytes();
      });
    }
    return write_all("{}", entries.size(), [&](std::size_t i) -> Result<void> {
      const Value& key = entries[i]->first;
      if (key.text() == nullptr) put("\"");
      GGUF_FUSE_CHECK(write(key));
      if (key.text() == nullptr) put("\"");
      GGUF_FUSE_CHECK(machine_.charge(style_.after_key.size()));
      out_.append(style_.after_key);
      return write(entries[i]->second);
    });
  }

  Machine& machine_;
  const JsonStyle& style_;
  Text out_;
  unsigned depth_ = 0;
};

}  // namespace

Result<Text> to_json(Machine& machine, const Value& value, const JsonStyle& style) {
  JsonWriter writer(machine, style);
  GGUF_FUSE_CHECK(writer.write(value));
  return writer.take();
}

}  // namespace gguf_fuse::jinja::detail
