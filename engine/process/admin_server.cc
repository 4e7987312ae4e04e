#include "engine/process/admin_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

namespace ringmaster {
namespace {

constexpr std::string_view kAuto = "auto";
constexpr std::string_view kOff = "off";

// A browser opens six, a scraper one. More is a mistake, or somebody who holds them open; the
// timeouts below bound for how long.
constexpr uint32_t kConnectionsMax = 128;
constexpr int kBacklog = 128;

Timeouts AdminTimeouts() {
  Timeouts timeouts;
  timeouts.handshake = std::chrono::seconds(5);
  timeouts.header = std::chrono::seconds(5);
  timeouts.body = std::chrono::seconds(5);
  // Longer than usual scrape intervals of 15 s: a scraper keeps its connection.
  timeouts.read = std::chrono::seconds(65);
  timeouts.write = std::chrono::seconds(10);
  timeouts.close = std::chrono::seconds(2);
  return timeouts;
}

ServerOptions AdminServerOptions(const ServerOptions& server) {
  ServerOptions options = server;
  options.workers = 1;
  options.worker_connections_max = kConnectionsMax;
  // Who guards the door of the server must not be shut out by it.
  options.connections_max = 0;
  options.accept_rate = {};
  options.address = {};
  options.buffered_bytes_soft = 16u << 20;
  options.buffered_bytes_hard = 32u << 20;
  options.timings = false;
  // It stops last, when nobody is left to wait for.
  options.stop_timeout = std::chrono::milliseconds(500);
  // A few requests a second without content: 16 buffers of 4 KiB are plenty, and all it costs.
  options.ring_entries = 64;
  options.receive_buffer_count = 16;
  options.receive_buffer_bytes = 4096 + 64;
  return options;
}

// A file's permissions keep others out; an abstract socket has none.
bool GuardedByFile(const Address& address) { return !address.unix_path().empty(); }

absl::Status CheckToken(const std::string& token, const Address& address) {
  if (token.empty()) {
    if (GuardedByFile(address)) return absl::OkStatus();
    return absl::InvalidArgumentError(fmt::format(
        "the admin listener on {} is open to others: it needs a token of at least {} characters, "
        "admin.token in the configuration or {} in the environment (`openssl rand -hex 16` makes "
        "one); or listen on a unix socket: admin.address \"auto\"",
        address.ToString(), kAdminTokenBytesMin, kAdminTokenVariable));
  }
  if (token.size() < kAdminTokenBytesMin) {
    return absl::InvalidArgumentError(fmt::format(
        "the admin token has {} characters; it needs at least {} (`openssl rand -hex 16` makes "
        "one)",
        token.size(), kAdminTokenBytesMin));
  }
  // A field's value is trimmed, and not every client sends other bytes as they are.
  if (!std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; })) {
    return absl::InvalidArgumentError(
        "the admin token has a character that cannot be sent; letters, digits and punctuation of "
        "ASCII can");
  }
  return absl::OkStatus();
}

absl::StatusOr<Address> AdminAddress(const AdminOptions& admin, const RuntimePaths& paths) {
  absl::StatusOr<Address> address = Address::Parse(
      admin.address == kAuto ? fmt::format("unix:{}", paths.admin_socket) : admin.address);
  if (address.ok()) return address;
  return absl::InvalidArgumentError(
      fmt::format("admin.address: {} (\"auto\" is a unix socket beside the control socket, \"off\" "
                  "is none)",
                  std::string(address.status().message())));
}

}  // namespace

bool HasAdmin(const ServerDefinition& server) {
  return server.admin_protocol != nullptr && server.options.admin.address != kOff;
}

void ApplyAdminTokenVariable(ServerOptions& options) {
  const char* token = std::getenv(kAdminTokenVariable);
  if (token != nullptr && token[0] != '\0') options.admin.token = token;
}

absl::StatusOr<std::unique_ptr<ServerDefinition>> DefineAdminServer(const ServerDefinition& server,
                                                                    const RuntimePaths& paths) {
  absl::StatusOr<Address> address = AdminAddress(server.options.admin, paths);
  if (!address.ok()) return address.status();
  absl::Status token = CheckToken(server.options.admin.token, *address);
  if (!token.ok()) return token;
  auto admin = std::make_unique<ServerDefinition>();
  admin->options = AdminServerOptions(server.options);
  ListenerDefinition listener;
  listener.address = *std::move(address);
  listener.protocol = server.admin_protocol;
  listener.stream.timeouts = AdminTimeouts();
  listener.backlog = kBacklog;
  listener.unix_mode = 0600;
  admin->Listen(std::move(listener));
  return admin;
}

}  // namespace ringmaster
