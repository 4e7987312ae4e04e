#include "engine/config/engine_options_reader.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "engine/config/units.h"

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

}  // namespace ringmaster::config
