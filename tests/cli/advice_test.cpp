// SPDX-License-Identifier: MIT
// The table of docs/errors.md: each cause is provoked, and the programs say what stands there.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <sstream>

#include "gguf_fuse/loader/model.hpp"
#include "run_test.hpp"
#include "support/gguf_builder.hpp"
#include "support/paths.hpp"
#include "support/random_model.hpp"

namespace gguf_fuse::test_support {
namespace {

using namespace std::string_literals;

/// Where a cause may put its files.
struct Place {
  const TempDir& folder;
  [[nodiscard]] std::string file(const std::string& content, const std::string& name = "in") const {
    write_text(folder.file(name), content);
    return folder.file(name);
  }
  [[nodiscard]] std::string gguf(const GgufBuilder& builder, const std::string& name = "in.gguf") const {
    write_file(folder.file(name), builder.build());
    return folder.file(name);
  }
  [[nodiscard]] std::string directory(const std::string& name) const {
    std::filesystem::create_directory(folder.file(name));
    return folder.file(name);
  }
};

using Provoke = std::function<ProgramResult(const Place&)>;

Provoke inspect(const std::string& content) {
  return [content](const Place& place) { return gguf_fuse({"inspect", place.file(content)}); };
}

Provoke inspect_gguf(const std::function<void(GgufBuilder&)>& change) {
  return [change](const Place& place) {
    GgufBuilder builder;
    change(builder);
    return gguf_fuse({"inspect", place.gguf(builder)});
  };
}

ProgramResult run(const std::string& path) { return gguf_run({"-m", path, "-p", "a", "-n", "1"}); }

Provoke run_gguf(const std::function<void(GgufBuilder&)>& change) {
  return [change](const Place& place) {
    GgufBuilder builder;
    change(builder);
    return run(place.gguf(builder));
  };
}

Provoke run_with_key(const std::string& key, const std::string& value) {
  return run_gguf([=](GgufBuilder& builder) { builder.string(key, value); });
}

Provoke run_with_tensor(const std::string& architecture, const std::string& tensor) {
  return run_gguf([=](GgufBuilder& builder) {
    builder.string("general.architecture", architecture).tensor({.name = tensor, .dims = {32, 8}});
  });
}

/// A conversion in which a system call fails.
Provoke convert_with(const std::string& fault) {
  return [fault](const Place& place) {
    return gguf_fuse({"convert", llama(), place.folder.file("out.gguf")},
                     {.environment = {"LD_PRELOAD=" + built("libgguf_fuse_faults.so"), "GGUF_FUSE_FAULT=" + fault,
                                      "ASAN_OPTIONS=verify_asan_link_order=0"}});
  };
}

Provoke convert_to(const std::function<std::string(const Place&)>& output, const std::string& input = {}) {
  return [=](const Place& place) {
    if (input.empty()) return gguf_fuse({"convert", llama(), output(place)});
    return gguf_fuse({"convert", "-", output(place)}, {.input = input});
  };
}

std::string little_endian(std::uint64_t value, std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>(value >> 8 * i & 0xff);
  return text;
}

std::string zip_of(const std::string& name) {
  return "PK\x03\x04"s + std::string(22, '\0') + little_endian(name.size(), 2) + "\0\0"s + name + "content";
}

std::map<std::string, Provoke> files_of_other_formats() {
  return {
      {"a safetensors file", inspect(little_endian(60, 8) + R"({"__metadata__":{"format":"pt"}})")},
      {"a PyTorch checkpoint", inspect(zip_of("archive/data.pkl"))},
      {"a Python pickle", inspect("\x80\x02}q\x01(X\x05")},
      {"a zip archive", inspect(zip_of("model.gguf"))},
      {"a tar archive", inspect("model.gguf" + std::string(247, '\0') + "ustar  ")},
      {"a zstd file", inspect("\x28\xb5\x2f\xfd....")},
      {"a GGJT file", inspect("tjgg\x03\0\0\0"s)},
      {"a GGML file, or one of whisper.cpp", inspect("lmgg\x01\0\0\0"s)},
      {"a GGLA adapter", inspect("algg\x01\0\0\0"s)},
      {"an HTML page", inspect("\n<!DOCTYPE html>\n<html lang=\"en\">")},
      {"a server's line of text", inspect("Invalid username or password.")},
      {"a JSON text", inspect("{\"error\": \"Repository not found\"}")},
      {"a Git LFS pointer", inspect("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")},
      {"a llamafile", inspect("MZqFpD='\n\n")},
      {"an importance matrix of the old kind",
       inspect(little_endian(2, 4) + little_endian(19, 4) + "blk.0.attn_k.weight")},
      {"a download that has only begun", inspect(std::string(4096, '\0'))},
      {"an empty file", inspect("")},
      {"something unknown", inspect("\x12\x34\x56\x78\x9a")},
  };
}

std::map<std::string, Provoke> folders() {
  return {
      {"a folder with a GGUF file",
       [](const Place& place) {
         write_text(place.directory("models") + "/one.gguf", "");
         return gguf_fuse({"inspect", place.folder.file("models")});
       }},
      {"a folder with several",
       [](const Place& place) {
         const std::string folder = place.directory("models");
         for (const char* name : {"/b-00001-of-00002.gguf", "/b-00002-of-00002.gguf", "/a.gguf"}) {
           write_text(folder + name, "");
         }
         return gguf_fuse({"inspect", folder});
       }},
      {"a folder from Hugging Face",
       [](const Place& place) {
         write_text(place.directory("models") + "/model.safetensors", "");
         return gguf_fuse({"inspect", place.folder.file("models")});
       }},
      {"another folder",
       [](const Place& place) {
         return gguf_fuse({"inspect", place.directory("models")});
       }},
  };
}

std::map<std::string, Provoke> gguf_files() {
  return {
      {"a LoRA adapter", run_with_key("general.type", "adapter")},
      {"a LoRA adapter without general.type", run_with_tensor("llama", "blk.0.attn_q.weight.lora_a")},
      {"a projector (mmproj)", run_with_key("general.type", "mmproj")},
      {"a projector without general.type", run_with_key("general.architecture", "clip")},
      {"an importance matrix", run_with_key("general.type", "imatrix")},
      {"a control vector", run_with_key("general.architecture", "controlvector")},
      {"a diffusion model", run_with_key("general.architecture", "flux")},
      {"a vocabulary alone", run_gguf([](GgufBuilder& builder) {
         builder.keys([](HeaderWriter& writer) {
           const std::vector<std::string_view> tokens = {"a", "b"};
           writer.add_string_array("tokenizer.ggml.tokens", tokens);
         });
       })},
      {"a mixture with a tensor for each expert, and one of them missing",
       [](const Place& place) {
         RandomModel model = RandomModel("llama").experts(4).unstacked();
         model.edit([](std::vector<TensorSpec>& table) {
           std::erase_if(table, [](const TensorSpec& spec) { return spec.name == "blk.0.ffn_up.2.weight"; });
         });
         return run(model.write(place.folder.file("in.gguf")));
       }},
      {"DeepSeek 2 without attn_k_b and attn_v_b", run_with_tensor("deepseek2", "blk.0.attn_kv_b.weight")},
      {"a big-endian file to run",
       run_gguf([](GgufBuilder& builder) { builder.big_endian().string("general.architecture", "llama"); })},
      {"GGUF of version 1", inspect_gguf([](GgufBuilder& builder) { builder.version(1); })},
      {"GGUF of a later version", inspect_gguf([](GgufBuilder& builder) { builder.version(4); })},
      {"a renamed shard",
       [](const Place& place) {
         write_file(place.folder.file("model.gguf"), RandomModel("llama").build_shards(3).front());
         return gguf_fuse({"inspect", place.folder.file("model.gguf")});
       }},
      {"a shard in a pipe",
       [](const Place& place) {
         write_file(place.folder.file("model.gguf"), RandomModel("llama").build_shards(3).front());
         return gguf_fuse({"inspect", "-"}, {.input = read_text(place.folder.file("model.gguf"))});
       }},
      {"a missing shard",
       [](const Place& place) {
         const std::vector<Bytes> shards = RandomModel("llama").build_shards(3);
         const std::string first = shard_path(place.folder.file("model"), 0, shards.size());
         write_file(first, shards.front());
         return gguf_fuse({"inspect", first});
       }},
  };
}

std::map<std::string, Provoke> outputs() {
  return {
      {"an output in a folder that is not there",
       convert_to([](const Place& place) { return place.folder.file("no/out.gguf"); })},
      {"an output folder that is not there", convert_to([](const Place& place) { return place.folder.file("no/"); })},
      {"a pipe into a folder",
       convert_to([](const Place& place) { return place.directory("models"); }, read_text(llama()))},
      {"a link that leads nowhere", convert_to([](const Place& place) {
         EXPECT_EQ(symlink("nowhere", place.folder.file("link.gguf").c_str()), 0);
         return place.folder.file("link.gguf");
       })},
      {"a name that is too long",
       convert_to([](const Place& place) { return place.folder.file(std::string(300, 'x')); })},
      {"too many open files", convert_with("open:1+:EMFILE")},
      {"a filesystem that can only be read", convert_with("openat:1+:EROFS")},
      {"a quota that is used up", convert_with("pwrite:1+:EDQUOT")},
      {"a disk that fails", convert_with("pread:3+:EIO,copy_file_range:1+:EIO")},
      {"a server that lost the file", convert_with("pread:3+:ESTALE,copy_file_range:1+:EIO")},
  };
}

struct Row {
  std::string cause, code, advice;
  int exit_code = 0;
};

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(' '), end = text.find_last_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

/// The rows between the markers in docs/errors.md.
std::vector<Row> documented() {
  std::istringstream lines(read_text(test_data("../../docs/errors.md")));
  std::vector<Row> rows;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("<!-- causes:")) inside = line.find("begin") != std::string::npos;
    if (!inside || !line.starts_with("| ") || line.starts_with("| cause") || line.starts_with("| ---")) continue;
    std::istringstream cells(line.substr(1));
    std::string cause, code, exit_code, advice;
    std::getline(cells, cause, '|');
    std::getline(cells, code, '|');
    std::getline(cells, exit_code, '|');
    std::getline(cells, advice, '|');
    rows.push_back({trimmed(cause), trimmed(code), trimmed(advice), std::stoi(exit_code)});
  }
  return rows;
}

/// Whether `text` has the pieces of `pattern` between its "..." in this order, the last one at its end.
bool fits(const std::string& text, const std::string& pattern) {
  std::size_t at = 0;
  for (std::size_t begin = 0; begin <= pattern.size();) {
    const std::size_t end = std::min(pattern.find("...", begin), pattern.size());
    const std::string piece = pattern.substr(begin, end - begin);
    at = text.find(piece, at);
    if (at == std::string::npos) return false;
    at += piece.size();
    begin = end + 3;
  }
  return at == text.size();
}

TEST(Advice, EveryCauseOfTheTableIsProvokedAndSaysWhatStandsThere) {
  std::map<std::string, Provoke> causes = files_of_other_formats();
  causes.merge(folders());
  causes.merge(gguf_files());
  causes.merge(outputs());
  for (const Row& row : documented()) {
    SCOPED_TRACE(row.cause);
    const auto cause = causes.find(row.cause);
    ASSERT_NE(cause, causes.end()) << "nothing provokes it";
    const TempDir folder;
    const ProgramResult result = cause->second(Place{folder});
    EXPECT_EQ(result.exit_code, row.exit_code) << result.err;
    std::string error = result.err.substr(0, result.err.size() - 1);  // without the line's end
    EXPECT_TRUE(fits(error, row.advice)) << error << "\nis not\n" << row.advice;
    EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 0) << error;
    causes.erase(cause);
  }
  for (const auto& [cause, provoke] : causes) ADD_FAILURE() << "docs/errors.md lacks: " << cause;
}

// What is no model goes through convert unchanged, with a word about it.
TEST(Advice, AnAdapterIsCopiedWithAWarning) {
  const TempDir folder;
  const Place place{folder};
  GgufBuilder builder;
  builder.string("general.type", "adapter")
      .string("general.architecture", "llama")
      .tensor({.name = "blk.0.attn_q.weight.lora_a", .dims = {32, 8}});
  const std::string path = place.gguf(builder);
  const ProgramResult result = gguf_fuse({"convert", path, folder.file("out.gguf")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("warning: this is a LoRA adapter (general.type is adapter): give the model"),
            std::string::npos)
      << result.err;
  const ProgramResult strict = gguf_fuse({"convert", path, folder.file("other.gguf"), "--strict"});
  EXPECT_EQ(strict.exit_code, 6);
  EXPECT_NE(strict.err.find("a LoRA adapter"), std::string::npos) << strict.err;
}

// As cp has it.
TEST(Advice, AFolderAsTheOutputGetsAFileOfTheInputsName) {
  const TempDir folder;
  const std::string models = Place{folder}.directory("models");
  const std::string wanted = folder.file("wanted.gguf");
  ASSERT_EQ(gguf_fuse({"convert", llama(), wanted, "--quiet"}).exit_code, 0);
  for (const std::string& output : {models, models + "/"}) {
    const ProgramResult result = gguf_fuse({"convert", llama(), output, "--json", "--force"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(parsed(result.out).at("outputs").at(0), models + "/llama-q8_0.gguf");
    EXPECT_EQ(difference(models + "/llama-q8_0.gguf", wanted), "");
  }
  EXPECT_EQ(gguf_fuse({"convert", llama(), models}).exit_code, 1) << "it exists already";
  const ProgramResult same = gguf_fuse({"convert", models + "/llama-q8_0.gguf", models, "--force"});
  EXPECT_EQ(same.exit_code, 1);
  EXPECT_NE(same.err.find("is the input itself"), std::string::npos) << same.err;
  // Back, by its own name, and shards.
  const std::string back = Place{folder}.directory("back");
  ASSERT_EQ(gguf_fuse({"unfuse", models + "/llama-q8_0.gguf", back}).exit_code, 0);
  EXPECT_EQ(difference(back + "/llama-q8_0.gguf", llama()), "");
  const std::string shards = Place{folder}.directory("shards");
  ASSERT_EQ(gguf_fuse({"convert", llama(), shards, "--split-max-tensors", "8"}).exit_code, 0);
  EXPECT_TRUE(std::filesystem::exists(shard_path(shards + "/llama-q8_0", 0, list_folder(shards).size())));
}

}  // namespace
}  // namespace gguf_fuse::test_support
