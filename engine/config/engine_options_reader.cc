#include "engine/config/engine_options_reader.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "engine/config/units.h"
#include "engine/sandbox/refused_calls.h"

namespace ringmaster::config {
namespace {

struct TimeoutKey {
  std::string_view key;
  Duration Timeouts::*member;
};
constexpr TimeoutKey kTimeoutKeys[] = {
    {"connect", &Timeouts::connect},   {"handshake", &Timeouts::handshake},
    {"header", &Timeouts::header},     {"body", &Timeouts::body},
    {"message", &Timeouts::message},   {"read", &Timeouts::read},
    {"write", &Timeouts::write},       {"close", &Timeouts::close},
    {"lifetime", &Timeouts::lifetime},
};

constexpr uint32_t kWorkersMax = 1024;
constexpr uint64_t kSendQueueBytesMax = 4ull << 30;
constexpr uint64_t kBufferedBytesMax = uint64_t{1} << 40;
constexpr int64_t kConnectionsMax = 1 << 24;
// The name becomes part of file names (pid file, control socket).
constexpr size_t kNameBytesMax = 64;
constexpr size_t kUnixPathBytesMax = sizeof(sockaddr_un::sun_path) - 1;

// A power of two from `min` to `max`.
void ReadPowerOfTwo(ConfigObject& object, std::string_view key, uint32_t& out, uint32_t min,
                    uint32_t max) {
  uint32_t value = 0;
  if (!object.Read(key, value, min, max)) return;
  if (!std::has_single_bit(value)) {
    object.Fail(key, fmt::format("expected a power of two, got {}; {} is the next", value,
                                 std::bit_ceil(value)));
    return;
  }
  out = value;
}

void ReadWorkers(const ConfigValue& value, uint32_t& out) {
  if (value.is_string() && value.json().string == "auto") {
    out = 0;
    return;
  }
  if (value.json().kind != JsonValue::Kind::kInteger || value.json().integer < 1 ||
      value.json().integer > kWorkersMax) {
    value.FailExpected(fmt::format("\"auto\" or an integer from 1 to {}", kWorkersMax));
    return;
  }
  out = static_cast<uint32_t>(value.json().integer);
}

// "0660": octal in a string, because JSON has no octal numbers and 660 would be another mode.
void ReadMode(const ConfigValue& value, uint32_t& out) {
  uint32_t mode = 0;
  if (value.is_string()) {
    const std::string& text = value.json().string;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, mode, 8);
    if (error == std::errc() && rest == end && mode <= 0777 && text.size() >= 3) {
      out = mode;
      return;
    }
  }
  const bool number = value.json().kind == JsonValue::Kind::kInteger;
  value.Fail(fmt::format("expected permission bits such as \"0660\", got {}{}",
                         value.json().items.empty() && value.json().members.empty()
                             ? std::string(value.json().raw)
                             : "something else",
                         number ? fmt::format("; write \"0{}\"", value.json().raw) : ""));
}

void ReadSandbox(ConfigObject& object, ServerOptions& out) {
  object.Read("user", out.user);
  object.Read("group", out.group);
  constexpr std::pair<std::string_view, SandboxMode> kModes[] = {
      {"off", SandboxMode::kOff}, {"on", SandboxMode::kOn}, {"required", SandboxMode::kRequired}};
  object.ReadChoice("sandbox", out.sandbox, kModes);
  const auto allow = object.Get("sandbox_allow");
  if (!allow || !allow->Read(out.sandbox_allow)) return;
  for (const ConfigValue& name : allow->Items()) {
    const absl::Status status = CheckAllowedCall(name.json().string);
    if (!status.ok()) name.Fail(std::string(status.message()));
  }
}

}  // namespace

void ReadTimeoutOverrides(ConfigObject& object, TimeoutOverrides& out) {
  for (const TimeoutKey& timeout : kTimeoutKeys) {
    Duration duration = Duration::zero();
    if (object.Read(timeout.key, duration)) out.emplace_back(timeout.member, duration);
  }
}

Timeouts WithOverrides(Timeouts base, const TimeoutOverrides& overrides) {
  for (const auto& [member, duration] : overrides) base.*member = duration;
  return base;
}

void ReadTimeouts(ConfigObject& object, Timeouts& out) {
  TimeoutOverrides overrides;
  ReadTimeoutOverrides(object, overrides);
  out = WithOverrides(out, overrides);
}

void ReadStreamLimits(ConfigObject& object, StreamOptions& out) {
  // Bytes per second; a gigabyte a second is more than anybody means.
  object.ReadBytes("body_rate_bytes_min", out.body_rate_bytes_min, 0, uint64_t{1} << 30);
  object.Read("body_grace", out.body_grace);
  // Below one page the watermarks would pause and resume at every answer.
  constexpr uint64_t kMin = 4096;
  object.ReadBytes("send_queue_bytes_max", out.send_queue_bytes_max, kMin, kSendQueueBytesMax);
  object.ReadBytes("send_queue_bytes_high", out.send_queue_bytes_high, kMin, kSendQueueBytesMax);
  object.ReadBytes("send_queue_bytes_low", out.send_queue_bytes_low, 0, kSendQueueBytesMax);
  if (out.send_queue_bytes_low >= out.send_queue_bytes_high) {
    object.Fail("send_queue_bytes_low",
                fmt::format("must be below send_queue_bytes_high ({}), is {}",
                            FormatByteSize(out.send_queue_bytes_high),
                            FormatByteSize(out.send_queue_bytes_low)));
  }
  if (out.send_queue_bytes_high > out.send_queue_bytes_max) {
    object.Fail("send_queue_bytes_high",
                fmt::format("must not be above send_queue_bytes_max ({}), is {}",
                            FormatByteSize(out.send_queue_bytes_max),
                            FormatByteSize(out.send_queue_bytes_high)));
  }
  ReadSendQueuePolicy(object, out.send_queue_policy);
  object.Read("request_rate", out.request_rate);
  object.Read("message_rate", out.message_rate);
}

bool ReadSendQueuePolicy(ConfigObject& object, SendQueuePolicy& out) {
  constexpr std::pair<std::string_view, SendQueuePolicy> kPolicies[] = {
      {"refuse", SendQueuePolicy::kRefuse},
      {"drop-newest", SendQueuePolicy::kDropNewest},
      {"drop-oldest", SendQueuePolicy::kDropOldest},
      {"close", SendQueuePolicy::kClose},
  };
  return object.ReadChoice("send_queue_policy", out, kPolicies);
}

void ReadServerLimits(ConfigObject& object, ServerOptions& out) {
  object.Read("connections_max", out.connections_max, 0, kConnectionsMax);
  object.Read("worker_connections_max", out.worker_connections_max, 0, kConnectionsMax);
  object.Read("accept_rate", out.accept_rate);
  object.ReadBytes("buffered_bytes_soft", out.buffered_bytes_soft, 0, kBufferedBytesMax);
  object.ReadBytes("buffered_bytes_hard", out.buffered_bytes_hard, 0, kBufferedBytesMax);
  if (out.buffered_bytes_hard != 0 && out.buffered_bytes_soft > out.buffered_bytes_hard) {
    object.Fail("buffered_bytes_soft",
                fmt::format("must not be above buffered_bytes_hard ({}), is {}",
                            FormatByteSize(out.buffered_bytes_hard),
                            FormatByteSize(out.buffered_bytes_soft)));
  }
  object.Read("queue_time_max", out.queue_time_max);
  if (const auto address = object.Get("address")) {
    ConfigObject reader(*address);
    ReadAddressLimits(reader, out.address);
    reader.Finish();
  }
}

void ReadAddressLimits(ConfigObject& object, AddressLimits& out) {
  object.Read("connections_max", out.connections_max, 0, kConnectionsMax);
  object.Read("accept_rate", out.accept_rate);
  object.Read("request_rate", out.request_rate);
  object.Read("message_rate", out.message_rate);
  object.Read("ipv4_prefix_bits", out.ipv4_prefix_bits, 1, 32);
  object.Read("ipv6_prefix_bits", out.ipv6_prefix_bits, 1, 128);
  object.Read("exempt", out.exempt);
  ReadPowerOfTwo(object, "table_entries", out.table_entries, 1024, 1u << 24);
}

void ReadAdmin(ConfigObject& object, AdminOptions& out) {
  std::string address;
  if (object.Read("address", address)) {
    if (address != "auto" && address != "off") {
      const absl::StatusOr<Address> parsed = Address::Parse(address);
      if (!parsed.ok()) {
        object.Fail("address", fmt::format("expected \"auto\", \"off\" or an address: {}",
                                           std::string(parsed.status().message())));
      }
    }
    out.address = address;
  }
  object.Read("token", out.token);
}

void ReadServerOptions(ConfigObject& object, ServerOptions& out) {
  std::string name;
  if (object.Read("name", name)) {
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '-' || c == '_' || c == '.';
    });
    if (!plain || name.front() == '.' || name.size() > kNameBytesMax) {
      object.Fail("name", fmt::format("expected up to {} letters, digits, \"-\", \"_\" and \".\" "
                                      "(it becomes part of file names), got \"{}\"",
                                      kNameBytesMax, name));
    } else {
      out.name = name;
    }
  }
  if (const auto workers = object.Get("workers")) ReadWorkers(*workers, out.workers);
  object.Read("pin_workers", out.pin_workers);
  object.Read("pid_file", out.pid_file);
  if (object.Read("control_socket", out.control_socket) &&
      out.control_socket.size() > kUnixPathBytesMax) {
    object.Fail("control_socket",
                fmt::format("the path of a unix socket has at most {} bytes, this one has {}",
                            kUnixPathBytesMax, out.control_socket.size()));
  }
  object.Read("stop_timeout", out.stop_timeout);
  object.Read("ready_timeout", out.ready_timeout);
  if (out.ready_timeout.count() == 0) {
    object.Fail("ready_timeout",
                "must not be 0s: a worker that hangs would hold up a reload for ever");
  }
  object.Read("drain_timeout", out.drain_timeout);
  object.Read("drain_spread", out.drain_spread);
  constexpr std::pair<std::string_view, OrphanedWorkers> kOrphaned[] = {
      {"stop", OrphanedWorkers::kStop}, {"serve", OrphanedWorkers::kServe}};
  object.ReadChoice("orphaned_workers", out.orphaned_workers, kOrphaned);
  object.Read("orphan_timeout", out.orphan_timeout);
  object.Read("handler_timeout", out.handler_timeout);
  object.Read("handler_kill_timeout", out.handler_kill_timeout);
  if (out.handler_kill_timeout.count() > 0 && out.handler_timeout > out.handler_kill_timeout) {
    object.Fail("handler_timeout", fmt::format("must not be above handler_kill_timeout ({})",
                                               FormatDuration(out.handler_kill_timeout)));
  }
  object.Read("timings", out.timings);
  ReadSandbox(object, out);
}

void ReadLogging(ConfigObject& object, ServerOptions& out) {
  constexpr std::pair<std::string_view, std::string_view> kLevels[] = {
      {"trace", "trace"}, {"debug", "debug"}, {"info", "info"},
      {"warn", "warn"},   {"error", "error"}, {"off", "off"},
  };
  constexpr std::pair<std::string_view, std::string_view> kFormats[] = {{"text", "text"},
                                                                        {"json", "json"}};
  std::string_view word;
  if (object.ReadChoice("level", word, kLevels)) out.log_level = word;
  if (object.ReadChoice("format", word, kFormats)) out.log_format = word;
  object.Read("file", out.log_file);
}

void ReadRing(ConfigObject& object, ServerOptions& out) {
  // 32768: IORING_MAX_ENTRIES, which also bounds a provided-buffer ring.
  ReadPowerOfTwo(object, "entries", out.ring_entries, 64, 32768);
  ReadPowerOfTwo(object, "receive_buffer_count", out.receive_buffer_count, 8, 32768);
  object.ReadBytes("receive_buffer_bytes", out.receive_buffer_bytes, 1024, 1u << 20);
}

void ReadListener(ConfigObject& object, ListenerDefinition& out) {
  object.Read("address", out.address);
  object.Read("backlog", out.backlog, 1, 65535);
  object.Read("allow", out.allow);
  object.Read("deny", out.deny);
  object.Read("trusted_proxies", out.trusted_proxies);
  if (object.Read("proxy_protocol", out.proxy_protocol) && out.proxy_protocol &&
      out.trusted_proxies.empty()) {
    object.Fail("proxy_protocol",
                "needs trusted_proxies: who may say for whom it speaks, such as [\"10.0.0.0/8\"]");
  }
  if (const auto unix_socket = object.Get("unix")) {
    ConfigObject owner(*unix_socket);
    if (const auto mode = owner.Get("mode")) ReadMode(*mode, out.unix_mode);
    owner.Read("owner", out.unix_owner);
    owner.Read("group", out.unix_group);
    owner.Finish();
    const bool on_path = !out.address.unix_path().empty();
    if (!on_path) {
      object.Fail("unix",
                  "only a unix socket with a path (\"unix:/run/x.sock\") has a mode and an owner");
    }
  }
}

void ReadListenerLimits(ConfigObject& object, ListenerDefinition& out) {
  object.Read("connections_max", out.connections_max, 0, kConnectionsMax);
  object.Read("accept_rate", out.accept_rate);
}

void ReadAtLimit(ConfigObject& object, AtLimit& out) {
  constexpr std::pair<std::string_view, AtLimit> kChoices[] = {{"wait", AtLimit::kWait},
                                                               {"refuse", AtLimit::kRefuse}};
  object.ReadChoice("at_limit", out, kChoices);
}

}  // namespace ringmaster::config
