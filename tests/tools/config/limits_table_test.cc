// deploy/limits.md and the schema say the same: every deadline and limit is in the table, with its
// default and the places where it can be set, and what it names to be seen by exists.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/config/config_file.h"
#include "engine/config/json_value.h"
#include "engine/connection/close_reason.h"
#include "engine/stats/counters.h"
#include "protocols/http/service/http_counters.h"
#include "protocols/websocket/service/websocket_counters.h"
#include "tests/tools/config/find_member.h"

namespace ringmaster::config {
namespace {

struct Row {
  std::string default_value;
  std::set<std::string> where;
  std::vector<std::string> reasons;
  std::vector<std::string> counters;
  std::string stops;
};

std::vector<std::string> Split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(separator);
    std::string_view part = text.substr(0, end);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    parts.emplace_back(part);
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + separator.size());
  }
}

// What stands between backquotes.
std::vector<std::string> Quoted(const std::string& cell) {
  std::vector<std::string> words;
  const std::vector<std::string> parts = Split(cell, "`");
  for (size_t i = 1; i < parts.size(); i += 2) words.push_back(parts[i]);
  return words;
}

class LimitsTable : public testing::Test {
 protected:
  void SetUp() override {
    ReadTable(*ReadConfigFile(RINGMASTER_DEPLOY_DIR "/limits.md"));
    const std::string text = *ReadConfigFile(RINGMASTER_DEPLOY_DIR "/ringmaster.schema.json");
    ASSERT_EQ(ParseJson(text, schema_).message, "");
    Walk(schema_, "");
  }

  void ReadTable(const std::string& text) {
    for (const std::string& line : Split(text, "\n")) {
      const std::vector<std::string> cells = Split(line, "|");
      if (cells.size() != 9 || !cells[1].starts_with("`")) continue;
      const std::string key = Quoted(cells[1])[0];
      Row row;
      row.default_value = cells[3];
      for (const std::string& place : Split(cells[4], ",")) row.where.insert(place);
      row.reasons = Quoted(cells[5]);
      row.counters = Quoted(cells[6]);
      row.stops = cells[7];
      EXPECT_TRUE(rows_.emplace(key, row).second) << key << " stands there twice";
    }
  }

  void Walk(const JsonValue& schema, const std::string& path) {
    if (const JsonValue* reference = Find(schema, "$ref")) {
      Walk(*Find(*Find(schema_, "$defs"), reference->string.substr(std::string("#/$defs/").size())),
           path);
    }
    if (const JsonValue* items = Find(schema, "items")) Walk(*items, path + "[]");
    if (const JsonValue* value = Find(schema, "default")) {
      std::string text(value->raw);
      std::erase(text, '"');
      defaults_[path] = text;
    }
    const JsonValue* properties = Find(schema, "properties");
    if (properties == nullptr) {
      keys_.insert(path);
      return;
    }
    keys_.erase(path);
    for (const JsonMember& member : properties->members) {
      Walk(member.value, path.empty() ? member.key : path + "." + member.key);
    }
  }

  std::map<std::string, Row> rows_;
  JsonValue schema_;
  std::set<std::string> keys_;  // that hold a value
  std::map<std::string, std::string> defaults_;
};

TEST_F(LimitsTable, HasExactlyTheKeysOfTheSchema) {
  std::set<std::string> wanted = {"handler_timeout", "handler_kill_timeout", "stop_timeout",
                                  "ready_timeout",   "drain_timeout",        "drain_spread",
                                  "orphan_timeout"};
  for (const std::string& key : keys_) {
    if (!key.ends_with("[]") && (key.starts_with("timeouts.") || key.starts_with("limits."))) {
      wanted.insert(key);
    }
  }
  ASSERT_GT(wanted.size(), 30u);
  std::set<std::string> have;
  for (const auto& [key, row] : rows_) have.insert(key);
  EXPECT_THAT(have, testing::ContainerEq(wanted));
}

TEST_F(LimitsTable, HasTheDefaultsOfTheSchema) {
  for (const auto& [key, row] : rows_) {
    // A list has none: it is empty.
    const std::string wanted = defaults_.contains(key) ? defaults_[key] : "[]";
    EXPECT_EQ(row.default_value, wanted) << key;
  }
}

TEST_F(LimitsTable, NamesThePlacesOfTheSchema) {
  for (const auto& [key, row] : rows_) {
    EXPECT_TRUE(row.where.contains("server")) << key;
    EXPECT_EQ(row.where.contains("listener"), keys_.contains("listeners[]." + key)) << key;
    EXPECT_EQ(row.where.contains("route"), keys_.contains("routes[]." + key)) << key;
    if (key.starts_with("timeouts.")) {
      EXPECT_TRUE(row.where.contains("code")) << key;
    }
  }
}

TEST_F(LimitsTable, NamesReasonsAndCountersThatExist) {
  std::set<std::string> counters;
#define RINGMASTER_NAME_COUNTER(field, description) counters.insert(#field);
  RINGMASTER_COUNTERS(RINGMASTER_NAME_COUNTER)
  RINGMASTER_GAUGES(RINGMASTER_NAME_COUNTER)
#undef RINGMASTER_NAME_COUNTER
  http::HttpCounters::Get();
  websocket::WebSocketCounters::Get();
  for (int i = 0; i < CounterNames::count(); ++i) {
    counters.insert(std::string(CounterNames::name(i)));
  }
  std::set<std::string> reasons;
  for (int i = 1; i < kCloseReasonCount; ++i) {
    reasons.insert(std::string(CloseReasonName(static_cast<CloseReason>(i))));
  }
  for (const auto& [key, row] : rows_) {
    for (const std::string& counter : row.counters) {
      EXPECT_TRUE(counters.contains(counter)) << counter;
    }
    for (const std::string& reason : row.reasons) {
      EXPECT_TRUE(reasons.contains(reason)) << reason;
    }
    EXPECT_FALSE(row.stops.empty()) << key;
    if (key.starts_with("timeouts.")) {
      EXPECT_EQ(row.reasons.size(), 1u) << key;
    }
  }
}

}  // namespace
}  // namespace ringmaster::config
