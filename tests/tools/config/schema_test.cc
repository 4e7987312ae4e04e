// The reader, the JSON Schema and the full example in deploy/ say the same: every key is in all
// three, and every default of the schema is the reader's.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "engine/config/config_file.h"
#include "tests/tools/config/find_member.h"
#include "tools/ringmaster/config/server_config_reader.h"

namespace ringmaster::config {
namespace {

class Schema : public testing::Test {
 protected:
  void SetUp() override {
    schema_text_ = *ReadConfigFile(RINGMASTER_DEPLOY_DIR "/ringmaster.schema.json");
    ASSERT_EQ(ParseJson(schema_text_, schema_).message, "");
    Walk(schema_, "");
    example_text_ = *ReadConfigFile(RINGMASTER_DEPLOY_DIR "/ringmaster.example.json");
    options_.check_machine = false;
  }

  // Collects keys, defaults and enums of `schema`, the description of what stands at `path`.
  void Walk(const JsonValue& schema, const std::string& path) {
    if (const JsonValue* reference = Find(schema, "$ref")) {
      const std::string name = reference->string.substr(std::string("#/$defs/").size());
      const JsonValue* definition = Find(*Find(schema_, "$defs"), name);
      ASSERT_NE(definition, nullptr) << reference->string;
      Walk(*definition, path);
    }
    if (!path.empty()) keys_.insert(path);
    if (const JsonValue* value = Find(schema, "default")) defaults_[path] = std::string(value->raw);
    if (const JsonValue* items = Find(schema, "items"); items && Find(*items, "properties")) {
      Walk(*items, path + "[]");
      keys_.erase(path + "[]");
    }
    const JsonValue* properties = Find(schema, "properties");
    if (properties == nullptr) return;
    const JsonValue* additional = Find(schema, "additionalProperties");
    EXPECT_TRUE(additional && additional->kind == JsonValue::Kind::kBoolean && !additional->boolean)
        << path << " must refuse additional properties";
    for (const JsonMember& member : properties->members) {
      const std::string member_path = path.empty() ? member.key : path + "." + member.key;
      Walk(member.value, member_path);
      EXPECT_TRUE(Find(member.value, "description") || Find(member.value, "$ref"))
          << member_path << " has no description";
    }
  }

  ServerConfig Parse(std::string_view text) {
    absl::StatusOr<ServerConfig> config = ParseServerConfig(text, "a.json", options_);
    EXPECT_TRUE(config.ok()) << text << "\n" << config.status().message();
    if (!config.ok()) return {};
    // A route keeps overrides; what counts is what they make of the listener.
    for (RouteConfig& route : config->routes) {
      config->stream = route.StreamFor(config->listeners[0]);
      config->limits = route.LimitsFor(config->listeners[0]);
      route.timeouts.clear();
      route.limits = {};
    }
    return *std::move(config);
  }

  // A text that holds `value` at `path` and else only what is required there.
  static std::string TextWith(std::string_view path, std::string_view value) {
    const size_t dot = path.find('.');
    std::string_view key = path.substr(0, dot);
    if (dot == std::string_view::npos) {
      return path.empty() ? "" : fmt::format("\"{}\": {}", path, value);
    }
    std::string inner = TextWith(path.substr(dot + 1), value);
    if (key == "routes[]") {
      inner = R"("path": "/x/", "type": "text")" + (inner.empty() ? "" : ", " + inner);
    }
    // The mode of a socket file needs a socket file.
    if (key == "listeners[]" && path.substr(dot + 1).starts_with("unix")) {
      inner = R"("address": "unix:/x", )" + inner;
    }
    if (key.ends_with("[]")) {
      return fmt::format("\"{}\": [{{{}}}]", key.substr(0, key.size() - 2), inner);
    }
    return fmt::format("\"{}\": {{{}}}", key, inner);
  }

  std::string schema_text_;
  std::string example_text_;
  JsonValue schema_;
  ReadOptions options_;
  std::set<std::string> keys_;
  std::map<std::string, std::string> defaults_;
};

TEST_F(Schema, AndReaderKnowTheSameKeys) {
  ConfigDocument document("example", example_text_);
  ReadServerConfig(document, options_);
  EXPECT_TRUE(document.ok()) << document.status().message();
  EXPECT_THAT(document.known_keys(), testing::ContainerEq(keys_));
}

TEST_F(Schema, AndExampleHoldTheSameKeys) {
  std::set<std::string> held;
  const auto collect = [&held](auto& self, const JsonValue& value,
                               const std::string& path) -> void {
    for (const JsonValue& item : value.items) self(self, item, path + "[]");
    for (const JsonMember& member : value.members) {
      const std::string member_path = path.empty() ? member.key : path + "." + member.key;
      held.insert(member_path);
      self(self, member.value, member_path);
    }
  };
  JsonValue example;
  ASSERT_EQ(ParseJson(example_text_, example).message, "");
  // The example shows one or two overrides at a listener or route; those keys are seen at the root.
  std::set<std::string> expected;
  for (const std::string& key : keys_) {
    const bool override_key = key.find("[].timeouts.") != std::string::npos ||
                              key.find("[].limits.") != std::string::npos;
    if (!override_key) expected.insert(key);
  }
  collect(collect, example, "");
  for (const std::string& key : expected) EXPECT_TRUE(held.contains(key)) << key;
  for (const std::string& key : held) {
    // The body of a json route is the user's.
    EXPECT_TRUE(keys_.contains(key) || key.starts_with("routes[].body.")) << key;
  }
}

TEST_F(Schema, DefaultsAreTheReaders) {
  ASSERT_GT(defaults_.size(), 60u);
  for (const auto& [path, value] : defaults_) {
    const std::string with = "{" + TextWith(path, value) + "}";
    // Beside it the same objects, without the key.
    const size_t dot = path.rfind('.');
    std::string without = "{}";
    if (path.find("[]") != std::string::npos) {
      const std::string parent = path.substr(0, dot);
      without = parent.ends_with("[]") ? "{" + TextWith(parent + ".", "") + "}"
                                       : "{" + TextWith(parent, "{}") + "}";
    }
    EXPECT_TRUE(Parse(with) == Parse(without)) << path << ": " << with << "\n" << without;
  }
}

// Were a default compared with itself, the test above could not fail: another value must differ.
TEST_F(Schema, DefaultsThatAreWrongWouldBeNoticed) {
  const std::pair<std::string, std::string> kOthers[] = {
      {"workers", "3"},
      {"timeouts.read", "\"74s\""},
      {"limits.send_queue_bytes_low", "\"255KiB\""},
      {"limits.pipelined_requests_max", "127"},
      {"logging.access_log", "\"stderr\""},
  };
  for (const auto& [path, value] : kOthers) {
    EXPECT_FALSE(Parse("{" + TextWith(path, value) + "}") == ServerConfig()) << path;
  }
  EXPECT_FALSE(Parse("{" + TextWith("listeners[].timeouts.read", "\"74s\"") + "}") ==
               Parse("{" + TextWith("listeners[].timeouts", "{}") + "}"));
  EXPECT_FALSE(Parse("{" + TextWith("routes[].limits.body_bytes_max", "5") + "}") ==
               Parse("{" + TextWith("routes[].limits", "{}") + "}"));
}

TEST_F(Schema, ExampleShowsTheDefaultsAtTheRoot) {
  const ServerConfig example = Parse(example_text_);
  const absl::StatusOr<ServerConfig> plain = ParseServerConfig(example_text_, "a.json", options_);
  ASSERT_TRUE(plain.ok());
  const ServerConfig defaults;
  EXPECT_TRUE(plain->stream == defaults.stream);
  EXPECT_TRUE(plain->limits == defaults.limits);
  EXPECT_TRUE(plain->logging == defaults.logging);
  ServerOptions server = plain->server;
  // These have no default that could be written down: they are derived from the name, or stay as
  // the process was started.
  server.user.clear();
  server.group.clear();
  server.pid_file.clear();
  server.control_socket.clear();
  server.log_file.clear();
  server.admin.token.clear();
  EXPECT_TRUE(server == defaults.server);
  EXPECT_EQ(plain->listeners.size(), 4u);
  EXPECT_EQ(example.routes.size(), static_cast<size_t>(kRouteTypeCount));
}

TEST_F(Schema, ListsEveryRouteType) {
  const JsonValue* routes = Find(*Find(schema_, "properties"), "routes");
  const JsonValue* type = Find(*Find(*Find(*routes, "items"), "properties"), "type");
  std::vector<std::string> names;
  for (const JsonValue& item : Find(*type, "enum")->items) names.push_back(item.string);
  ASSERT_EQ(names.size(), static_cast<size_t>(kRouteTypeCount));
  for (int i = 0; i < kRouteTypeCount; ++i) {
    EXPECT_EQ(names[i], RouteTypeName(static_cast<RouteType>(i)));
  }
}

}  // namespace
}  // namespace ringmaster::config
