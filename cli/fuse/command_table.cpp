// SPDX-License-Identifier: MIT
#include "command_table.hpp"

#include <array>

#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

const std::array<CommandRow, 7>& table() {
  static const std::array<CommandRow, 7> kRows{{
      {Command::Convert,
       "convert",
       {"IN", "OUT"},
       "write a fused copy of a model",
       "Writes a copy of a GGUF model in which tensors that are always used together are one: Q, K and V of a layer, "
       "gate and up of its experts. No weight is changed, the copy is read back and compared, and unfuse gives the "
       "original file back byte for byte, proven by hashes in the copy.",
       {{"fuse what llama.cpp reads fused", "gguf-fuse model.gguf fused.gguf"},
        {"for another engine, and see first what would happen",
         "gguf-fuse convert --target ik_llama.cpp --dry-run model.gguf fused.gguf"},
        {"from a download straight into a fused file", "curl -sL URL | gguf-fuse convert - fused.gguf"}}},
      {Command::Unfuse,
       "unfuse",
       {"IN", "OUT"},
       "give the original back",
       "Takes a fused model apart again. What gguf-fuse made becomes the original file, byte for byte, and what comes "
       "out is compared with hashes of the original; where a tensor or the metadata changed since, it says so. A model "
       "that was fused elsewhere is split by its head counts.",
       {{"the way back", "gguf-fuse unfuse fused.gguf model.gguf"},
        {"compare with the original's checksum", "gguf-fuse unfuse fused.gguf - | sha256sum"}}},
      {Command::Plan,
       "plan",
       {"IN"},
       "say what would be fused, and why not",
       "Shows what convert would do with a model, which engines will load the result and what to expect of it. Reads "
       "the header only.",
       {{"a summary", "gguf-fuse plan model.gguf"},
        {"every decision with its reason, layer by layer",
         "gguf-fuse plan --explain --target ik_llama.cpp model.gguf"}}},
      {Command::Inspect,
       "inspect",
       {"IN"},
       "show metadata and tensors of a file",
       "Shows what a GGUF file holds: facts from its header, then its tensors in groups with types, shapes and sizes.",
       {{"an overview", "gguf-fuse inspect model.gguf"},
        {"all metadata keys", "gguf-fuse inspect --kv model.gguf"},
        {"for scripts, metadata arrays in full", "gguf-fuse inspect --json --kv model.gguf"}}},
      {Command::Verify,
       "verify",
       {"FUSED", "ORIGINAL"},
       "prove that two files hold the same weights",
       "Reads both files and proves, slice by slice, that every weight of the original is in the fused file unchanged. "
       "Exits with 5 when one is not.",
       {{"prove a conversion", "gguf-fuse verify fused.gguf model.gguf"}}},
      {Command::Hash,
       "hash",
       {"IN"},
       "print a hash of every tensor",
       "Prints the XXH64 of every tensor's bytes, in the format of llama-gguf-hash.",
       {{"which tensors differ between two files", "diff <(gguf-fuse hash - < a.gguf) <(gguf-fuse hash - < b.gguf)"}}},
      {Command::Targets,
       "targets",
       {},
       "print what each engine reads fused",
       "Prints, for every architecture, which fused tensors each engine reads.",
       {{"for the documentation", "gguf-fuse targets --markdown"}}},
  }};
  return kRows;
}

}  // namespace

std::span<const CommandRow> commands() { return table(); }

const CommandRow& command_row(Command command) {
  for (const CommandRow& row : table()) {
    if (row.command == command) return row;
  }
  return table().front();
}

const CommandRow* find_command(std::string_view name) {
  for (const CommandRow& row : table()) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::vector<std::string> command_names() { return names_of(table()); }

}  // namespace gguf_fuse::cli
