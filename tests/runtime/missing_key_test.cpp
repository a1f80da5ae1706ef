// SPDX-License-Identifier: MIT
// What a file without a key means: tests/data/missing_keys.tsv, whose rows llama.cpp agrees with (tests/peers/keys.py).
// Its models are reference models, or tiny ones (tiny_model.hpp) behind "tiny:".
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>

#include "gguf_fuse/runtime/architecture.hpp"
#include "model/key_table.hpp"
#include "support/edited_model.hpp"
#include "support/file_util.hpp"
#include "support/paths.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"
#include "support/tiny_model.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::EditedModel;
using support::value_of;

struct Row {
  std::string model, key;
  std::string outcome;  // "refused", or a type and the value that its absence means
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all = [] {
    std::ifstream file(test_support::test_data("missing_keys.tsv"));
    std::vector<Row> read;
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with('#')) continue;
      std::istringstream cells(line);
      Row row;
      std::getline(cells, row.model, '\t');
      std::getline(cells, row.key, '\t');
      std::getline(cells, row.outcome);
      read.push_back(row);
    }
    return read;
  }();
  return all;
}

std::vector<std::string> models() {
  std::vector<std::string> names;
  for (const Row& row : rows()) {
    if (names.empty() || names.back() != row.model) names.push_back(row.model);
  }
  return names;
}

/// The model's file; a tiny one is made in `dir`.
std::string path_of(const std::string& model, const support::TempDir& dir) {
  constexpr std::string_view kTiny = "tiny:";
  if (!model.starts_with(kTiny)) return support::reference_path(model);
  const std::string path = dir.file("tiny.gguf");
  support::write_file(path, support::build_tiny_model(support::tiny_model(model.substr(kTiny.size()))));
  return path;
}

/// As files have it; those that begin with a dot are not below the architecture's name.
std::string name_of(const std::string& key, const EditedModel& file) {
  return key.starts_with('.') ? key.substr(1) : file.architecture() + "." + key;
}

template <typename T>
std::vector<T> numbers_of(const std::string& text) {
  std::vector<T> numbers;
  std::istringstream stream(text);
  for (std::string number; std::getline(stream, number, ',');) {
    numbers.push_back(static_cast<T>(std::stod(number)));
  }
  return numbers;
}

void add_value(HeaderWriter& writer, const std::string& key, const std::string& outcome) {
  const std::string type = outcome.substr(0, outcome.find(' '));
  const std::string text = outcome.substr(type.size() + 1);
  if (type == "u32") return writer.add_u32(key, static_cast<std::uint32_t>(std::stoul(text)));
  if (type == "f32") return writer.add_f32(key, std::stof(text));
  if (type == "bool") return writer.add_bool(key, text == "1");
  if (type == "string") return writer.add_string(key, text);
  if (type == "i32[]") return writer.add_i32_array(key, numbers_of<std::int32_t>(text));
  ASSERT_EQ(type, "bool[]");
  const auto flags = numbers_of<int>(text);
  const auto values = std::make_unique<bool[]>(flags.size());
  std::transform(flags.begin(), flags.end(), values.get(), [](int flag) { return flag != 0; });
  writer.add_bool_array(key, {values.get(), flags.size()});
}

std::vector<float> logits_of(const std::string& path) {
  const auto session = support::open_session(path, {.context = 16, .threads = 1});
  value_of(session->evaluate(std::vector{3, 14, 15, 9, 26, 5, 7, 11, 4, 30, 31, 12}));
  return value_of(session->logits());
}

class MissingKeys : public testing::TestWithParam<std::string> {};

/// The model's rows that name a value, of keys that its file has, or has not.
std::vector<Row> rows_with_value(const std::string& model, const EditedModel& file, bool there) {
  std::vector<Row> found;
  for (const Row& row : rows()) {
    const bool of_model = row.model == model && row.outcome != "refused";
    if (of_model && file.has_key(name_of(row.key, file)) == there) found.push_back(row);
  }
  return found;
}

TEST_P(MissingKeys, AreRefusedWhereTheyAreRequired) {
  const support::TempDir dir;
  const EditedModel whole(path_of(GetParam(), dir));
  for (const Row& row : rows()) {
    if (row.model != GetParam() || row.outcome != "refused") continue;
    const std::string path = EditedModel(whole).without_key(name_of(row.key, whole)).write(dir.file("in.gguf"));
    EXPECT_FALSE(RunnableModel::open(path, {.devices = {support::test_devices().front()}})) << row.key;
  }
}

TEST_P(MissingKeys, MeanTheValuesOfTheTable) {
  const support::TempDir dir;
  const EditedModel whole(path_of(GetParam(), dir));
  for (const Row& row : rows_with_value(GetParam(), whole, true)) {
    const std::string key = name_of(row.key, whole);
    EditedModel model = EditedModel(whole).without_key(key);
    const auto without = logits_of(model.write(dir.file("without.gguf")));
    model.with_key([&](HeaderWriter& writer) { add_value(writer, key, row.outcome); });
    EXPECT_EQ(without, logits_of(model.write(dir.file("with.gguf")))) << row.key;
  }
}

// Added all at once; where that changes something, each tells whether it was the one.
TEST_P(MissingKeys, OfTheReferenceModelMeanTheValuesOfTheTable) {
  const support::TempDir dir;
  const EditedModel whole(path_of(GetParam(), dir));
  const auto original = logits_of(path_of(GetParam(), dir));
  const auto with = [&](const std::vector<Row>& added) {
    EditedModel model = whole;
    for (const Row& row : added) {
      model.with_key([&](HeaderWriter& writer) { add_value(writer, name_of(row.key, whole), row.outcome); });
    }
    return logits_of(model.write(dir.file("with.gguf")));
  };
  const std::vector<Row> absent = rows_with_value(GetParam(), whole, false);
  if (with(absent) == original) return;
  for (const Row& row : absent) EXPECT_EQ(with({row}), original) << row.key;
  ADD_FAILURE() << "all keys at once change the logits";
}

std::string test_name(const testing::TestParamInfo<std::string>& model) {
  std::string name = model.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Reference, MissingKeys, testing::ValuesIn(models()), test_name);

// What is read is in the table, and the data says what its absence means for some model that reads it.
TEST(KeyTable, EveryRowHasItsData) {
  const support::TempDir dir;
  std::set<const KeyRow*> found;
  std::string architecture;
  std::string model;
  for (const Row& row : rows()) {
    if (row.model != model) architecture = EditedModel(path_of(row.model, dir)).architecture();
    model = row.model;
    found.insert(find_key(architecture, row.key));
  }
  for (const KeyRow& key : key_rows()) {
    EXPECT_FALSE(key.source.empty()) << key.key;
    if (key.key == "expert_group_used_count") continue;  // no reference model has groups
    EXPECT_TRUE(found.contains(&key)) << key.key << " of " << key.architectures;
  }
}

}  // namespace
}  // namespace gguf_fuse::runtime
