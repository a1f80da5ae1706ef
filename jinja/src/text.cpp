// SPDX-License-Identifier: MIT
#include "gguf_fuse/jinja/text.hpp"

namespace gguf_fuse::jinja {

Origin Text::origin() const {
  return origins_.find(static_cast<char>(Origin::Data)) == std::string::npos ? Origin::Template : Origin::Data;
}

void Text::append(std::string_view bytes, Origin origin) {
  bytes_ += bytes;
  origins_.append(bytes.size(), static_cast<char>(origin));
}

void Text::append(const Text& other, std::size_t begin, std::size_t end) {
  bytes_.append(other.bytes_, begin, end - begin);
  origins_.append(other.origins_, begin, end - begin);
}

Text Text::slice(std::size_t begin, std::size_t end) const {
  Text part;
  part.append(*this, begin, end);
  return part;
}

}  // namespace gguf_fuse::jinja
