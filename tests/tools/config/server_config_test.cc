#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "protocols/http/codec/request_head_parser.h"
#include "protocols/websocket/codec/frame_parser.h"
#include "tools/ringmaster/config/server_config_reader.h"

namespace ringmaster::config {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ReadOptions AnyMachine() {
  ReadOptions options;
  options.check_machine = false;
  options.base_directory = "/etc/ringmaster";
  return options;
}

ServerConfig Parse(std::string_view text) {
  const absl::StatusOr<ServerConfig> config = ParseServerConfig(text, "server.json", AnyMachine());
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? *config : ServerConfig();
}

std::string Refused(std::string_view text, const ReadOptions& options = AnyMachine()) {
  const absl::StatusOr<ServerConfig> config = ParseServerConfig(text, "server.json", options);
  EXPECT_FALSE(config.ok()) << text;
  return std::string(config.status().message());
}

TEST(ServerConfig, HasADefaultForEverything) {
  const ServerConfig config = Parse("{}");
  EXPECT_TRUE(config == ServerConfig());
  ASSERT_EQ(config.listeners.size(), 1u);
  EXPECT_EQ(config.listeners[0].definition.address.ToString(), "127.0.0.1:8080");
  EXPECT_THAT(config.routes, IsEmpty());
  EXPECT_EQ(config.logging.access_log, LoggingConfig::AccessLog::kOff);
  EXPECT_EQ(config.websocket.allowed_origins, std::nullopt);
}

TEST(ServerConfig, ListenersInheritFromTheRootAndRoutesFromTheListener) {
  const ServerConfig config = Parse(R"({
    "routes": [
      {"path": "/a", "type": "echo"},
      {"path": "/b", "type": "echo", "timeouts": {"body": "5m"}, "limits": {"body_bytes_max": 7}}],
    "listeners": [
      {"address": "127.0.0.1:1"},
      {"address": "127.0.0.1:2", "timeouts": {"read": "2s"}, "limits": {"header_count_max": 5}}],
    "timeouts": {"read": "1s", "write": "3s"},
    "limits": {"header_bytes_max": "1KiB", "send_queue_bytes_low": 0}})");
  const ListenerConfig& plain = config.listeners[0];
  const ListenerConfig& other = config.listeners[1];
  EXPECT_EQ(plain.definition.stream.timeouts.read, seconds(1));
  EXPECT_EQ(plain.definition.stream.send_queue_bytes_low, 0u);
  EXPECT_EQ(plain.limits.header_bytes_max, 1024u);
  EXPECT_EQ(plain.limits.header_count_max, 100u);
  EXPECT_EQ(other.definition.stream.timeouts.read, seconds(2));
  EXPECT_EQ(other.definition.stream.timeouts.write, seconds(3));
  EXPECT_EQ(other.limits.header_bytes_max, 1024u);
  EXPECT_EQ(other.limits.header_count_max, 5u);
  EXPECT_TRUE(config.routes[0].StreamFor(other) == other.definition.stream);
  EXPECT_TRUE(config.routes[0].LimitsFor(other) == other.limits);
  EXPECT_EQ(config.routes[1].StreamFor(other).timeouts.body, minutes(5));
  EXPECT_EQ(config.routes[1].StreamFor(other).timeouts.read, seconds(2));
  EXPECT_EQ(config.routes[1].LimitsFor(other).body_bytes_max, 7u);
  EXPECT_EQ(config.routes[1].LimitsFor(other).header_count_max, 5u);
}

TEST(ServerConfig, NamesAHeaderForTheGeneration) {
  EXPECT_EQ(Parse("{}").generation_header, "");
  EXPECT_EQ(Parse(R"({"generation_header": "X-Generation"})").generation_header, "X-Generation");
  EXPECT_THAT(Refused(R"({"generation_header": "X Generation"})"),
              HasSubstr("generation_header: expected a header name, such as \"X-Generation\", got "
                        "\"X Generation\""));
  EXPECT_THAT(
      Refused(R"({"generation_header": "content-length"})"),
      HasSubstr("generation_header: expected a header that the server does not send itself"));
  EXPECT_THAT(Refused(R"({"generation_header": ""})"), HasSubstr("generation_header"));
}

TEST(ServerConfig, WithoutListenersTheDefaultOneInherits) {
  const ServerConfig config = Parse(R"({"timeouts": {"lifetime": "12h"}})");
  EXPECT_EQ(config.listeners[0].definition.stream.timeouts.lifetime, hours(12));
}

TEST(ServerConfig, ReadsEveryTypeOfRoute) {
  const ServerConfig config = Parse(R"({"websocket": {"allowed_origins": ["https://a.example"]},
    "routes": [
      {"path": "/text", "type": "text", "body": "x\ny", "status": 503, "methods": ["GET", "POST"],
       "content_type": "text/html"},
      {"path": "/json", "type": "json", "body": {"a": [1, "b c"]}},
      {"path": "/echo", "type": "echo"},
      {"path": "/static/", "type": "static", "directory": "www/../public"},
      {"path": "/page", "type": "page"},
      {"path": "/status", "type": "status"},
      {"path": "/ws", "type": "websocket-echo"},
      {"path": "/ws2", "type": "websocket-echo", "allowed_origins": [], "missing_origin": "allow"}]})");
  ASSERT_EQ(config.routes.size(), 8u);
  const auto& routes = config.routes;
  EXPECT_EQ(routes[0].body, "x\ny");
  EXPECT_EQ(routes[0].status, 503);
  EXPECT_EQ(routes[0].content_type, "text/html");
  EXPECT_THAT(routes[0].methods, ElementsAre("GET", "POST"));
  EXPECT_EQ(routes[1].body, R"({"a":[1,"b c"]})");
  EXPECT_EQ(routes[1].content_type, "application/json");
  EXPECT_THAT(routes[1].methods, ElementsAre("GET"));
  EXPECT_THAT(routes[2].methods, IsEmpty());
  EXPECT_EQ(routes[3].directory, "/etc/ringmaster/public");
  EXPECT_EQ(routes[4].type, RouteType::kPage);
  EXPECT_EQ(routes[5].type, RouteType::kStatus);
  EXPECT_THAT(*routes[6].origin.allowed_origins, ElementsAre("https://a.example"));
  EXPECT_EQ(routes[6].origin.allow_missing_origin, std::nullopt);
  EXPECT_THAT(*routes[7].origin.allowed_origins, IsEmpty());
  EXPECT_EQ(routes[7].origin.allow_missing_origin, true);
}

TEST(ServerConfig, ReadsTheAccessLog) {
  using AccessLog = LoggingConfig::AccessLog;
  EXPECT_EQ(Parse(R"({"logging": {"access_log": "off"}})").logging.access_log, AccessLog::kOff);
  EXPECT_EQ(Parse(R"({"logging": {"access_log": "stderr"}})").logging.access_log,
            AccessLog::kStderr);
  const ServerConfig config = Parse(R"({"logging": {"access_log": "./access.log"}})");
  EXPECT_EQ(config.logging.access_log, AccessLog::kFile);
  EXPECT_EQ(config.logging.access_log_file, "./access.log");
}

struct RefusalCase {
  std::string_view text;
  std::string_view message;  // whole
};

const RefusalCase kRefusals[] = {
    {"{\"listeners\": [\n{\"timeouts\":\n{\"read\": 75}}]}",
     "server.json:3: listeners[0].timeouts.read: expected a duration such as \"75s\", got 75; "
     "write "
     "\"75s\" or \"75ms\""},
    {"{\n\"listener\": []}", "server.json:2: listener: unknown key; did you mean \"listeners\"?"},
    {"{\"timeouts\": {\n\"idle\": \"1s\"}}",
     "server.json:2: timeouts.idle: unknown key; known here: \"connect\", \"handshake\", "
     "\"header\", "
     "\"body\", \"message\", \"read\", \"write\", \"close\" or \"lifetime\""},
    {"{\"workers\": 2000}",
     "server.json:1: workers: expected \"auto\" or an integer from 1 to 1024, got 2000"},
    {"{\"limits\": {\n\n\"header_bytes_max\": 255}}",
     "server.json:3: limits.header_bytes_max: expected a size from \"256B\" to \"1MiB\", got 255"},
    {"{\"limits\": {\"header_count_max\": 129}}",
     "server.json:1: limits.header_count_max: expected an integer from 1 to 128, got 129"},
    {"{\"limits\":\n{\"message_bytes_max\": \"65MiB\"}}",
     "server.json:2: limits: message_bytes_max (65MiB) is above send_queue_bytes_max (64MiB): such "
     "a "
     "message could not be answered by one of its size"},
    {"{\"limits\": {\"send_queue_bytes_low\": \"2MiB\"}}",
     "server.json:1: limits.send_queue_bytes_low: must be below send_queue_bytes_high (1MiB), is "
     "2MiB"},
    {"{\"listeners\": []}", "server.json:1: listeners: expected 1 to 64 listeners, got 0"},
    {"{\"listeners\": {}}", "server.json:1: listeners: expected an array, got an object"},
    {"{\"listeners\": [\n5]}", "server.json:2: listeners[0]: expected an object, got 5"},
    {"{\"listeners\": [{\"address\": \"[::1]:80\"},\n{\"address\": \"[::1]:81\"},\n"
     "{\"address\": \"[0::1]:80\"}]}",
     "server.json:3: listeners[2]: listens on [::1]:80, as listeners[0] in line 1 does already"},
    {"{\"listeners\": [{\"limits\": {\n\"worker_connections_max\": 5}}]}",
     "server.json:2: listeners[0].limits.worker_connections_max: unknown key; did you mean "
     "\"connections_max\"?"},
    {"{\"logging\": {\"access_log\": \"on\"}}",
     "server.json:1: logging.access_log: expected \"off\", \"stderr\" or a path with a \"/\", got "
     "\"on\""},
    {"{\"websocket\": {\"missing_origin\": true}}",
     "server.json:1: websocket.missing_origin: expected \"allow\" or \"deny\", got true"},
    {"{\"websocket\": {\"allowed_origins\": \"*\"}}",
     "server.json:1: websocket.allowed_origins: expected an array, got \"*\""},
    {"{\"routes\": [\n{\"type\": \"echo\"}]}",
     "server.json:2: routes[0].path: is missing; write \"path\": \"/hello\""},
    {"{\"routes\": [\n{\"path\": \"/\"}]}",
     "server.json:2: routes[0].type: is missing; write \"type\": \"text\", \"json\", \"echo\", "
     "\"static\", \"page\", \"status\" or \"websocket-echo\""},
    {"{\"routes\": [{\"path\": \"/\", \"type\": \"txt\"}]}",
     "server.json:1: routes[0].type: expected \"text\", \"json\", \"echo\", \"static\", \"page\", "
     "\"status\" or \"websocket-echo\", got \"txt\""},
    {"{\"routes\": [{\"path\": \"hello\", \"type\": \"echo\"}]}",
     "server.json:1: routes[0].path: expected a path that begins with \"/\" and holds no space, "
     "\"?\", "
     "\"#\" or \"%\", got \"hello\""},
    {"{\"routes\": [{\"path\": \"/static\", \"type\": \"static\", \"directory\": \"/x\"}]}",
     "server.json:1: routes[0].path: the path of a static route ends with \"/\"; write "
     "\"/static/\""},
    {"{\"routes\": [\n{\"path\": \"/static/\", \"type\": \"static\"}]}",
     "server.json:2: routes[0].directory: is missing; a static route says which directory it "
     "serves"},
    {"{\"routes\": [{\"path\": \"/\", \"type\": \"echo\", \"methods\": [\"POST\",\n\"get\"]}]}",
     "server.json:2: routes[0].methods[1]: expected a method in capitals such as \"GET\" or "
     "\"POST\", "
     "got \"get\""},
    {"{\"routes\": [{\"path\": \"/\", \"type\": \"echo\", \"methods\": [\"GET\", \"GET\"]}]}",
     "server.json:1: routes[0].methods[1]: \"GET\" stands twice in the list"},
    {"{\"routes\": [{\"path\": \"/\", \"type\": \"text\", \"methods\": []}]}",
     "server.json:1: routes[0].methods: the list is empty; leave the key out for [\"GET\"]"},
    {"{\"routes\": [{\"path\": \"/\", \"type\": \"page\", \"methods\": [\"GET\"]}]}",
     "server.json:1: routes[0].methods: a route of type \"page\" answers GET; leave the key out"},
    {"{\"routes\": [{\"path\": \"/\", \"type\": \"text\", \"status\": 100}]}",
     "server.json:1: routes[0].status: expected an integer from 200 to 599, got 100"},
    {"{\"routes\": [{\"path\": \"/\", \"type\": \"text\", \"status\": 304}]}",
     "server.json:1: routes[0].status: 304 has no content, so a route cannot answer it"},
    {"{\"routes\": [{\"path\": \"/\", \"type\": \"text\", \"content_type\": \"html\"}]}",
     "server.json:1: routes[0].content_type: expected a media type such as \"text/html; "
     "charset=utf-8\", got \"html\""},
    {"{\"routes\": [{\"path\": \"/\", \"type\": \"text\", \"body\": {}}]}",
     "server.json:1: routes[0].body: expected a string, got an object"},
    {"{\"routes\": [{\"path\": \"/\", \"type\": \"echo\", \"body\": \"x\"}]}",
     "server.json:1: routes[0].body: only a route of type \"text\" and \"json\" has it, this one "
     "is "
     "\"echo\""},
    {"{\"routes\": [{\"path\": \"/\", \"type\": \"text\", \"missing_origin\": \"deny\"}]}",
     "server.json:1: routes[0].missing_origin: only a route of type \"websocket-echo\" has it, "
     "this one "
     "is \"text\""},
    {"{\"routes\": [{\"path\": \"/a\", \"type\": \"text\"},\n{\"path\": \"/a\", \"type\": "
     "\"json\"}]}",
     "server.json:2: routes[1]: GET /a is answered already by routes[0] in line 1"},
    {"{\"routes\": [{\"path\": \"/a\", \"type\": \"text\"},\n{\"path\": \"/a\", \"type\": "
     "\"echo\"}]}",
     "server.json:2: routes[1]: any method of /a is answered already by routes[0] in line 1"},
    {"{\"routes\": [{\"path\": \"/a\", \"type\": \"echo\"},\n{\"path\": \"/a\", \"type\": "
     "\"page\"}]}",
     "server.json:2: routes[1]: GET /a is answered already by routes[0] in line 1"},
    {"{\"routes\": [{\"path\": \"/\", \"type\": \"websocket-echo\",\n \"limits\": "
     "{\"message_bytes_max\": \"65MiB\"}}]}",
     "server.json:2: routes[0].limits: message_bytes_max (65MiB) is above send_queue_bytes_max "
     "(64MiB): "
     "such a message could not be answered by one of its size"},
    {"{\"routes\": [{\"path\": \"/\", \"type\": \"echo\", \"limits\": {\"header_bytes_max\": 5}}]}",
     "server.json:1: routes[0].limits.header_bytes_max: unknown key; known here: "
     "\"body_bytes_max\", \"message_bytes_max\", \"message_fragments_max\", "
     "\"body_rate_bytes_min\", \"body_grace\", \"request_rate\", \"message_rate\" or "
     "\"send_queue_policy\""},
    {"{\"name\": \"a\",\n\"name\": \"b\"}",
     "server.json:2: name: this key stands already in line 1; keep one of them"},
    {"{\n\"workers\": 2,\n}",
     "server.json:2:13: not valid JSON: a comma before \"}\"; leave it out"},
    {"", "server.json: holds no JSON; the smallest configuration is {}"},
    {"[]", "server.json:1:1: expected an object, got an array"},
};

TEST(ServerConfig, RefusesAMistakeWithItsLinePathAndRemedy) {
  for (const RefusalCase& test : kRefusals) EXPECT_EQ(Refused(test.text), test.message);
}

TEST(ServerConfig, ReportsAllMistakesAtOnce) {
  EXPECT_EQ(
      Refused("{\n\"workers\": 0,\n\"nmae\": \"x\",\n\"stop_timeout\": 5}"),
      "server.json:2: workers: expected \"auto\" or an integer from 1 to 1024, got 0\n"
      "server.json:3: nmae: unknown key; did you mean \"name\"?\n"
      "server.json:4: stop_timeout: expected a duration such as \"75s\", got 5; write \"5s\" or "
      "\"5ms\"");
}

TEST(ServerConfig, LetsPortZeroStandTwice) {
  EXPECT_EQ(Parse(R"({"listeners": [{"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0"}]})")
                .listeners.size(),
            2u);
}

TEST(ServerConfig, AsksTheOriginCheckForEachEntry) {
  ReadOptions options = AnyMachine();
  options.check_origin = [](const std::string& entry) {
    return entry == "bad" ? absl::InvalidArgumentError("\"bad\" is no origin") : absl::OkStatus();
  };
  EXPECT_EQ(Refused("{\"websocket\": {\"allowed_origins\": [\"good\",\n\"bad\"]}}", options),
            "server.json:2: websocket.allowed_origins[1]: \"bad\" is no origin");
}

TEST(ServerConfig, RefusesAnOriginThatIsNone) {
  EXPECT_THAT(Refused("{\"websocket\": {\"allowed_origins\": [\"https://a.example\",\n"
                      "\"https://a.example/path\"]}}"),
              testing::StartsWith("server.json:2: websocket.allowed_origins[1]: "));
  Parse(R"({"websocket": {"allowed_origins": ["https://*.a.example", "*", "null"]}})");
}

TEST(RequestLimits, DefaultToTheCodecs) {
  const RequestLimits limits;
  EXPECT_EQ(limits.header_bytes_max, http::HeadLimits().head_bytes_max);
  EXPECT_EQ(limits.header_count_max, http::HeadLimits().fields_max);
  EXPECT_EQ(limits.message_bytes_max, websocket::FrameLimits().message_bytes_max);
  EXPECT_EQ(limits.message_fragments_max, websocket::FrameLimits().fragments_max);
}

TEST(ServerConfig, RefusesUsersAndDirectoriesThisMachineLacks) {
  EXPECT_EQ(
      Refused("{\"listeners\": [{\"address\": \"unix:/x\", \"unix\": {\"owner\": \"no such\"}}]}",
              ReadOptions()),
      "server.json:1: listeners[0].unix.owner: there is no user \"no such\" on this machine");
  EXPECT_EQ(
      Refused("{\"listeners\": [{\"address\": \"unix:/x\", \"unix\": {\"group\": \"no such\"}}]}",
              ReadOptions()),
      "server.json:1: listeners[0].unix.group: there is no group \"no such\" on this machine");
  EXPECT_EQ(Refused("{\"routes\": [{\"path\": \"/s/\", \"type\": \"static\",\n"
                    "\"directory\": \"/nowhere/at/all\"}]}",
                    ReadOptions()),
            "server.json:2: routes[0].directory: there is no directory /nowhere/at/all");
  EXPECT_EQ(Refused("{\"routes\": [{\"path\": \"/s/\", \"type\": \"static\", \"directory\": "
                    "\"/dev/null\"}]}",
                    ReadOptions()),
            "server.json:1: routes[0].directory: /dev/null is not a directory");
}

TEST(LoadServerConfig, FindsRelativeDirectoriesBesideTheFile) {
  std::string pattern = (std::filesystem::temp_directory_path() / "server_config_XXXXXX").string();
  const std::filesystem::path directory = ::mkdtemp(pattern.data());
  std::filesystem::create_directory(directory / "www");
  const std::string path = (directory / "server.json").string();
  std::ofstream(path) << R"({"routes": [{"path": "/s/", "type": "static", "directory": "www"}]})";
  const absl::StatusOr<ServerConfig> config = LoadServerConfig(path);
  std::filesystem::remove_all(directory);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->routes[0].directory, (directory / "www").string());
}

TEST(LoadServerConfig, SaysThatAFileIsMissing) {
  const absl::StatusOr<ServerConfig> config = LoadServerConfig("/nowhere/server.json");
  EXPECT_EQ(config.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(std::string(config.status().message()), "/nowhere/server.json: there is no such file");
}

}  // namespace
}  // namespace ringmaster::config
