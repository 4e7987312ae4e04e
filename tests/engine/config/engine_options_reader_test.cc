#include "engine/config/engine_options_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ringmaster::config {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

// Reads `text` with `read` and returns the messages; empty = ok.
template <typename Read>
std::string MessagesOf(std::string_view text, Read read) {
  ConfigDocument document("a.json", std::string(text));
  ConfigObject root(document.root());
  read(root);
  root.Finish();
  return std::string(document.status().message());
}

TEST(ReadTimeouts, ReadsEveryWait) {
  Timeouts timeouts;
  EXPECT_EQ(MessagesOf(R"({"connect":"1ms","handshake":"2ms","header":"3ms","body":"4ms",
                          "message":"5ms","read":"6ms","write":"7ms","close":"8ms","lifetime":"9ms"})",
                       [&](ConfigObject& root) { ReadTimeouts(root, timeouts); }),
            "");
  const Timeouts expected = {milliseconds(1), milliseconds(2), milliseconds(3),
                             milliseconds(4), milliseconds(5), milliseconds(6),
                             milliseconds(7), milliseconds(8), milliseconds(9)};
  EXPECT_TRUE(timeouts == expected);
}

TEST(ReadTimeouts, KeepsWhatIsNotNamedAndTurnsOffWithZero) {
  Timeouts timeouts;
  EXPECT_EQ(
      MessagesOf(R"({"read": "0s"})", [&](ConfigObject& root) { ReadTimeouts(root, timeouts); }),
      "");
  Timeouts expected;
  expected.read = Duration::zero();
  EXPECT_TRUE(timeouts == expected);
}

TEST(ReadTimeoutOverrides, ApplyToAnyBase) {
  TimeoutOverrides overrides;
  EXPECT_EQ(MessagesOf(R"({"body": "5m"})",
                       [&](ConfigObject& root) { ReadTimeoutOverrides(root, overrides); }),
            "");
  Timeouts base;
  base.read = seconds(1);
  const Timeouts result = WithOverrides(base, overrides);
  EXPECT_EQ(result.body, seconds(300));
  EXPECT_EQ(result.read, seconds(1));
}

TEST(ReadStreamLimits, ReadsRatesGraceAndPolicy) {
  StreamOptions stream;
  EXPECT_EQ(MessagesOf(R"({"body_grace": "3s", "send_queue_policy": "drop-oldest",
                          "request_rate": "100/s burst 200", "message_rate": "30/m"})",
                       [&](ConfigObject& root) { ReadStreamLimits(root, stream); }),
            "");
  EXPECT_EQ(stream.body_grace, seconds(3));
  EXPECT_EQ(stream.send_queue_policy, SendQueuePolicy::kDropOldest);
  EXPECT_EQ(stream.request_rate, (RateLimit{100, 200}));
  EXPECT_EQ(stream.message_rate, (RateLimit{0.5, 0}));
  EXPECT_THAT(MessagesOf(R"({"request_rate": "fast"})",
                         [&](ConfigObject& root) { ReadStreamLimits(root, stream); }),
              HasSubstr("request_rate: expected a rate such as \"100/s\""));
}

TEST(ReadServerLimits, ReadsEveryLevel) {
  ServerOptions options;
  EXPECT_EQ(MessagesOf(R"({"connections_max": 7, "worker_connections_max": 3, "accept_rate": "9/s",
                          "buffered_bytes_soft": "1MiB", "buffered_bytes_hard": "2MiB",
                          "address": {"connections_max": 5, "accept_rate": "1/s",
                            "request_rate": "2/s", "message_rate": "3/s", "ipv4_prefix_bits": 24,
                            "ipv6_prefix_bits": 56, "exempt": ["10.0.0.0/8", "unix"],
                            "table_entries": 2048}})",
                       [&](ConfigObject& root) { ReadServerLimits(root, options); }),
            "");
  EXPECT_EQ(options.connections_max, 7u);
  EXPECT_EQ(options.worker_connections_max, 3u);
  EXPECT_EQ(options.accept_rate, (RateLimit{9, 0}));
  EXPECT_EQ(options.buffered_bytes_soft, 1u << 20);
  EXPECT_EQ(options.buffered_bytes_hard, 2u << 20);
  AddressLimits address;
  address.connections_max = 5;
  address.accept_rate = {1, 0};
  address.request_rate = {2, 0};
  address.message_rate = {3, 0};
  address.ipv4_prefix_bits = 24;
  address.ipv6_prefix_bits = 56;
  address.exempt = *CidrSet::Parse({"10.0.0.0/8", "unix"});
  address.table_entries = 2048;
  EXPECT_EQ(options.address, address);
}

TEST(ReadServerLimits, RefusesWhatCannotBe) {
  ServerOptions options;
  const auto read = [&](ConfigObject& root) { ReadServerLimits(root, options); };
  EXPECT_THAT(MessagesOf(R"({"buffered_bytes_soft": "2MiB", "buffered_bytes_hard": "1MiB"})", read),
              HasSubstr("buffered_bytes_soft: must not be above buffered_bytes_hard (1MiB)"));
  EXPECT_THAT(MessagesOf(R"({"address": {"exempt": ["10.0.0.1/8"]}})", read),
              HasSubstr("address.exempt[0]: \"10.0.0.1/8\" is no block of addresses"));
  EXPECT_THAT(MessagesOf(R"({"address": {"table_entries": 5000}})", read),
              HasSubstr("expected a power of two"));
}

TEST(ReadListener, ReadsWhomItServesAndWhomItBelieves) {
  ListenerDefinition listener;
  const auto read = [&](ConfigObject& root) { ReadListener(root, listener); };
  EXPECT_EQ(MessagesOf(R"({"allow": ["192.0.2.0/24"], "deny": ["192.0.2.7"], "proxy_protocol": true,
                          "trusted_proxies": ["10.0.0.0/8"]})",
                       read),
            "");
  EXPECT_EQ(listener.allow.entries(), (std::vector<std::string>{"192.0.2.0/24"}));
  EXPECT_EQ(listener.deny.entries(), (std::vector<std::string>{"192.0.2.7"}));
  EXPECT_TRUE(listener.proxy_protocol);
  listener = {};
  EXPECT_THAT(MessagesOf(R"({"proxy_protocol": true})", read),
              HasSubstr("proxy_protocol: needs trusted_proxies"));
}

TEST(ReadAdmin, TakesAutoOffOrAnAddress) {
  AdminOptions admin;
  const auto read = [&](ConfigObject& root) { ReadAdmin(root, admin); };
  for (const char* good : {"auto", "off", "127.0.0.1:9100", "unix:/run/x.sock"}) {
    EXPECT_EQ(MessagesOf(std::string(R"({"address": ")") + good + "\"}", read), "");
    EXPECT_EQ(admin.address, good);
  }
  EXPECT_THAT(MessagesOf(R"({"address": "nowhere"})", read), HasSubstr("\"auto\", \"off\""));
}

TEST(ReadStreamLimits, RefusesWatermarksInTheWrongOrder) {
  StreamOptions stream;
  const auto read = [&](ConfigObject& root) { ReadStreamLimits(root, stream); };
  EXPECT_EQ(MessagesOf(R"({"send_queue_bytes_low": "1MiB"})", read),
            "a.json:1: send_queue_bytes_low: must be below send_queue_bytes_high (1MiB), is 1MiB");
  stream = StreamOptions();
  EXPECT_EQ(
      MessagesOf(R"({"send_queue_bytes_max": "512KiB"})", read),
      "a.json:1: send_queue_bytes_high: must not be above send_queue_bytes_max (512KiB), is 1MiB");
  stream = StreamOptions();
  EXPECT_EQ(MessagesOf(R"({"send_queue_bytes_max": 8192, "send_queue_bytes_high": 8192,
                          "send_queue_bytes_low": 0})",
                       read),
            "");
  EXPECT_EQ(stream.send_queue_bytes_max, 8192u);
}

TEST(ReadServerOptions, ReadsEveryField) {
  ServerOptions options;
  EXPECT_EQ(MessagesOf(R"({"name":"game-1","workers":3,"pin_workers":false,"pid_file":"/run/a.pid",
                          "control_socket":"/run/a.sock","stop_timeout":"5s",
                          "ready_timeout":"6s","drain_timeout":"7s","drain_spread":"8s"})",
                       [&](ConfigObject& root) { ReadServerOptions(root, options); }),
            "");
  EXPECT_EQ(options.name, "game-1");
  EXPECT_EQ(options.workers, 3u);
  EXPECT_FALSE(options.pin_workers);
  EXPECT_EQ(options.pid_file, "/run/a.pid");
  EXPECT_EQ(options.control_socket, "/run/a.sock");
  EXPECT_EQ(options.stop_timeout, seconds(5));
  EXPECT_EQ(options.ready_timeout, seconds(6));
  EXPECT_EQ(options.drain_timeout, seconds(7));
  EXPECT_EQ(options.drain_spread, seconds(8));
}

TEST(ReadServerOptions, ReadsWhatOrphanedWorkersDo) {
  ServerOptions options;
  const auto read = [&](ConfigObject& root) { ReadServerOptions(root, options); };
  EXPECT_EQ(options.orphaned_workers, OrphanedWorkers::kStop);
  EXPECT_EQ(MessagesOf(R"({"orphaned_workers": "serve", "orphan_timeout": "0s"})", read), "");
  EXPECT_EQ(options.orphaned_workers, OrphanedWorkers::kServe);
  EXPECT_EQ(options.orphan_timeout, seconds(0));
  EXPECT_EQ(MessagesOf(R"({"orphaned_workers": "stop"})", read), "");
  EXPECT_EQ(options.orphaned_workers, OrphanedWorkers::kStop);
  EXPECT_THAT(MessagesOf(R"({"orphaned_workers": "run"})", read), HasSubstr("\"serve\""));
}

TEST(ReadServerOptions, ReadsTheSandbox) {
  ServerOptions options;
  const auto read = [&](ConfigObject& root) { ReadServerOptions(root, options); };
  EXPECT_EQ(MessagesOf(R"({"user": "www-data", "group": "33", "sandbox": "required",
                          "sandbox_allow": ["mprotect", "io_uring_setup"]})",
                       read),
            "");
  EXPECT_EQ(options.user, "www-data");
  EXPECT_EQ(options.group, "33");
  EXPECT_EQ(options.sandbox, SandboxMode::kRequired);
  EXPECT_EQ(options.sandbox_allow, (std::vector<std::string>{"mprotect", "io_uring_setup"}));
  EXPECT_EQ(MessagesOf(R"({"sandbox": "off"})", read), "");
  EXPECT_EQ(options.sandbox, SandboxMode::kOff);
}

TEST(ReadServerOptions, RefusesASandboxThatCannotBe) {
  ServerOptions options;
  const auto read = [&](ConfigObject& root) { ReadServerOptions(root, options); };
  EXPECT_EQ(
      MessagesOf("{\n\"sandbox_allow\": [\"mprotect\",\n\"exceve\", \"getrandom\"]}", read),
      "a.json:3: sandbox_allow[1]: the sandbox refuses no system call \"exceve\"; there is "
      "nothing to allow (did you mean \"execve\"?)\n"
      "a.json:3: sandbox_allow[2]: the sandbox refuses no system call \"getrandom\"; there is "
      "nothing to allow");
  EXPECT_THAT(MessagesOf(R"({"sandbox": true})", read), HasSubstr("a.json:1: sandbox: "));
  EXPECT_THAT(MessagesOf(R"({"sandbox": "strict"})", read), HasSubstr("\"required\""));
  EXPECT_THAT(MessagesOf(R"({"user": ""})", read), HasSubstr("a.json:1: user: "));
}

TEST(ReadServerOptions, TakesWorkersAsANumberOrAuto) {
  ServerOptions options;
  const auto read = [&](ConfigObject& root) { ReadServerOptions(root, options); };
  options.workers = 9;
  EXPECT_EQ(MessagesOf(R"({"workers": "auto"})", read), "");
  EXPECT_EQ(options.workers, 0u);
  for (std::string_view text : {"0", "1025", "-1", "\"4\"", "\"Auto\"", "1.5"}) {
    EXPECT_EQ(MessagesOf("{\"workers\": " + std::string(text) + "}", read),
              "a.json:1: workers: expected \"auto\" or an integer from 1 to 1024, got " +
                  std::string(text));
  }
}

TEST(ReadServerOptions, RefusesANameThatIsNoPartOfAFileName) {
  ServerOptions options;
  const auto read = [&](ConfigObject& root) { ReadServerOptions(root, options); };
  const std::string too_long(65, 'a');
  for (const std::string& name :
       {std::string("a/b"), std::string(".."), std::string("a b"), std::string("é"), too_long}) {
    EXPECT_THAT(MessagesOf("{\"name\": \"" + name + "\"}", read),
                HasSubstr("name: expected up to 64"));
  }
  EXPECT_EQ(options.name, "ringmaster");
}

TEST(ReadServerOptions, RefusesAControlSocketThatDoesNotFitItsAddress) {
  ServerOptions options;
  EXPECT_THAT(MessagesOf("{\"control_socket\": \"/" + std::string(107, 'x') + "\"}",
                         [&](ConfigObject& root) { ReadServerOptions(root, options); }),
              HasSubstr("at most 107 bytes, this one has 108"));
}

TEST(ReadLogging, ReadsLevelFormatAndFile) {
  ServerOptions options;
  const auto read = [&](ConfigObject& root) { ReadLogging(root, options); };
  EXPECT_EQ(MessagesOf(R"({"level": "warn", "format": "json", "file": "/tmp/x.log"})", read), "");
  EXPECT_EQ(options.log_level, "warn");
  EXPECT_EQ(options.log_format, "json");
  EXPECT_EQ(options.log_file, "/tmp/x.log");
  EXPECT_EQ(
      MessagesOf(R"({"level": "warning"})", read),
      "a.json:1: level: expected \"trace\", \"debug\", \"info\", \"warn\", \"error\" or \"off\", "
      "got \"warning\"");
}

TEST(ReadRing, TakesPowersOfTwo) {
  ServerOptions options;
  const auto read = [&](ConfigObject& root) { ReadRing(root, options); };
  EXPECT_EQ(MessagesOf(R"({"entries": 4096, "receive_buffer_count": 8,
                          "receive_buffer_bytes": "4KiB"})",
                       read),
            "");
  EXPECT_EQ(options.ring_entries, 4096u);
  EXPECT_EQ(options.receive_buffer_count, 8u);
  EXPECT_EQ(options.receive_buffer_bytes, 4096u);
  EXPECT_EQ(MessagesOf(R"({"entries": 1000})", read),
            "a.json:1: entries: expected a power of two, got 1000; 1024 is the next");
}

TEST(ReadListener, ReadsAnAddressAndAUnixSocketsOwner) {
  ListenerDefinition listener;
  const auto read = [&](ConfigObject& root) { ReadListener(root, listener); };
  EXPECT_EQ(MessagesOf(R"({"address": "unix:/run/a.sock", "backlog": 5,
                          "unix": {"mode": "0600", "owner": "root", "group": "daemon"}})",
                       read),
            "");
  EXPECT_EQ(listener.address.ToString(), "unix:/run/a.sock");
  EXPECT_EQ(listener.backlog, 5);
  EXPECT_EQ(listener.unix_mode, 0600u);
  EXPECT_EQ(listener.unix_owner, "root");
  EXPECT_EQ(listener.unix_group, "daemon");
}

TEST(ReadListener, RefusesAModeThatIsNotOctal) {
  ListenerDefinition listener;
  const auto read = [&](ConfigObject& root) { ReadListener(root, listener); };
  const auto message = [&](std::string_view mode) {
    return MessagesOf("{\"address\": \"unix:/a\", \"unix\": {\"mode\": " + std::string(mode) + "}}",
                      read);
  };
  EXPECT_EQ(
      message("660"),
      "a.json:1: unix.mode: expected permission bits such as \"0660\", got 660; write \"0660\"");
  for (std::string_view mode : {"\"0668\"", "\"rw\"", "\"\"", "\"7777\"", "\"-660\"", "\"6\""}) {
    EXPECT_THAT(message(mode),
                HasSubstr("expected permission bits such as \"0660\", got " + std::string(mode)));
  }
  EXPECT_EQ(listener.unix_mode, 0660u);
}

TEST(ReadListener, RefusesAModeOfWhatHasNoFile) {
  for (std::string_view address : {"127.0.0.1:80", "unix:@abstract"}) {
    ListenerDefinition listener;
    EXPECT_THAT(MessagesOf("{\"address\": \"" + std::string(address) + "\", \"unix\": {}}",
                           [&](ConfigObject& root) { ReadListener(root, listener); }),
                HasSubstr("unix: only a unix socket with a path"));
  }
}

}  // namespace
}  // namespace ringmaster::config
