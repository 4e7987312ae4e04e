#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "engine/connection/address.h"
#include "engine/connection/stream_options.h"
#include "engine/limits/address_limits.h"
#include "engine/limits/cidr_set.h"
#include "engine/limits/rate_limit.h"
#include "engine/protocol.h"

namespace ringmaster {

// The admin listener: figures and health, served by a process of its own so that it answers while
// every worker is busy.
struct AdminOptions {
  // "auto": a unix socket beside the control socket (NAME.admin.sock, mode 0600). "off": none. Else
  // as ListenerDefinition::address.
  std::string address = "auto";
  // Bearer token (RFC 6750) that a request must carry; required for TCP, at least 16 characters.
  std::string token;

  bool operator==(const AdminOptions&) const = default;
};

// What a serving worker may still ask of the kernel (engine/sandbox).
enum class SandboxMode : uint8_t {
  kOff,
  kOn,        // what the kernel can; what it cannot is logged
  kRequired,  // a worker that cannot be sandboxed does not start
};

// What workers do whose master has died: killed, or out of memory.
enum class OrphanedWorkers : uint8_t {
  kStop,   // gracefully; the next start begins afresh
  kServe,  // until the next start adopts them, and their connections move to its workers
};

// Limits and shape of the whole server, shared by every worker.
struct ServerOptions {
  std::string name = "ringmaster";
  // 0 = one per CPU that the process may use (affinity and cgroup quota respected).
  uint32_t workers = 0;
  bool pin_workers = true;
  // Connections one worker holds at most; beyond, the door stays closed and they queue in the
  // kernel. 0 = what RLIMIT_NOFILE leaves.
  uint32_t worker_connections_max = 0;
  // Connections of all workers together. 0 = no limit.
  uint32_t connections_max = 0;
  // New connections of all workers together.
  RateLimit accept_rate;
  AddressLimits address;
  // Bytes that one worker holds for its connections, input not yet consumed and output not yet
  // sent. Above soft, receiving pauses for those that hold the most; above hard, those are closed.
  // 0 = no limit.
  uint64_t buffered_bytes_soft = 256u << 20;
  uint64_t buffered_bytes_hard = 512u << 20;
  // How long the first bytes of a new connection may wait for the worker. When more come than it
  // can serve it accepts only as many as it can serve in a part of that time, and refuses who has
  // waited twice as long all the same: so that work is not done for clients that have given up. 0 =
  // off.
  Duration queue_time_max = std::chrono::milliseconds(500);
  // A turn of the loop that lasts longer is reported with the handler's stack; past the second,
  // the master replaces the worker. 0 = off.
  Duration handler_timeout = std::chrono::seconds(1);
  Duration handler_kill_timeout = std::chrono::seconds(60);
  // Histograms of handler and queue time.
  bool timings = true;
  AdminOptions admin;
  Duration stop_timeout = std::chrono::seconds(30);
  // A reload is abandoned when a new worker is not ready by then.
  Duration ready_timeout = std::chrono::seconds(60);
  // What an old worker could not hand over to the new one may go on there for so long. Then it is
  // told to go, one connection after the other over drain_spread: reconnects shall not come as one
  // wave. What is left a close timeout later is closed.
  Duration drain_timeout = std::chrono::seconds(60);
  Duration drain_spread = std::chrono::seconds(10);
  OrphanedWorkers orphaned_workers = OrphanedWorkers::kStop;
  // With kServe: they stop gracefully when no master has come by then. 0 = they wait for ever.
  Duration orphan_timeout = std::chrono::hours(1);
  // Whom workers and the admin process become before they serve, names or numbers. Empty = the user
  // that started the server, and the group of `user`. The master stays what it is: it binds, spawns
  // and owns the pid file and the sockets' files.
  std::string user;
  std::string group;
  // Workers and the admin process give up system calls (refused_calls.h: another program, other
  // processes, mounts, namespaces, ...) and ring operations (ring_restrictions.h) that serving
  // needs not. Names in sandbox_allow are not refused: "mprotect" for a compiler at run time.
  SandboxMode sandbox = SandboxMode::kOn;
  std::vector<std::string> sandbox_allow;
  // Files of this instance; empty = derived from the name under $XDG_RUNTIME_DIR, /run or /tmp.
  std::string pid_file;
  std::string control_socket;

  // Logging: see engine/base/log.h.
  std::string log_level = "info";
  std::string log_format = "text";  // or "json"
  std::string log_file;             // empty = stderr

  // The ring of a worker. Sizes are powers of two; `receive_buffer_*` is one pool per worker, sized
  // to stay in a core's L2 cache (see bench/).
  uint32_t ring_entries = 1024;
  uint32_t receive_buffer_count = 128;
  uint32_t receive_buffer_bytes = 16 * 1024 + 64;
  // A message of at least this many bytes that goes straight back out of its receive buffer is sent
  // from there instead of being copied (Connection::SendMessage). Below, a copy costs less than
  // holding the buffer.
  uint32_t lease_bytes_min = 8 * 1024;

  bool operator==(const ServerOptions&) const = default;
};

// What a listener does with a connection that a limit leaves no room for.
enum class AtLimit : uint8_t {
  kWait,    // stop accepting: it waits in the kernel's queue until there is room
  kRefuse,  // accept it, let the protocol say a short goodbye (HTTP: 503), close it
};

struct ListenerDefinition {
  Address address;
  Protocol* protocol = nullptr;  // outlives the server
  StreamOptions stream;
  int backlog = 4096;
  // Unix sockets: permission bits and owner of the socket file. Empty owner/group = unchanged.
  uint32_t unix_mode = 0660;
  std::string unix_owner;
  std::string unix_group;
  // Connections on this listener, all workers together, and new ones a second. 0 = no limit.
  uint32_t connections_max = 0;
  RateLimit accept_rate;
  // For connections_max of server, worker and listener. Limits of an address and rates always
  // refuse: waiting would hold up everybody else.
  AtLimit at_limit = AtLimit::kWait;
  // Whom it serves: not who is in `deny`; if `allow` is not empty, only who is in it. A client whom
  // a trusted proxy names is judged, too: its HTTP requests are answered 403.
  CidrSet allow;
  CidrSet deny;
  // Every connection begins with a PROXY protocol header (v1 or v2) that names the client, and
  // comes from trusted_proxies; others are refused.
  bool proxy_protocol = false;
  // Who is believed when it says for whom it speaks: by the PROXY protocol, or by fields of a
  // request.
  CidrSet trusted_proxies;

  bool operator==(const ListenerDefinition&) const = default;
};

// What a server is: listeners, the protocols they speak, options, hooks. The same definition is
// built by the master (which opens the sockets) and by every worker (which serves them).
//
//   ServerDefinition server;
//   LineProtocol line(...);
//   server.Listen("127.0.0.1:7000", line);
//   return Main(server, argc, argv);
class ServerDefinition {
 public:
  ServerOptions options;
  // In the worker, still as the master's user: opens what ServerOptions::user may not (a log, a
  // key). A non-ok status of this or the next stops the start, or abandons the reload.
  std::function<absl::Status()> on_worker_open;
  // In the worker, before its first accept, as ServerOptions::user and not yet in the sandbox: the
  // place to start programs.
  std::function<absl::Status(Worker&)> on_worker_start;
  // In the worker, after its last connection is gone.
  std::function<void(Worker&)> on_worker_stop;
  // What the admin listener speaks (options.admin), in a process of its own; nullptr = there is
  // none. Outlives the server.
  Protocol* admin_protocol = nullptr;

  // Errors: kInvalidArgument for an address that cannot be parsed. Sockets are opened by Main.
  absl::Status Listen(std::string_view address, Protocol& protocol,
                      const StreamOptions& stream = {});
  void Listen(ListenerDefinition listener);
  // Keeps a protocol that wraps another as long as the definition.
  Protocol& Keep(std::unique_ptr<Protocol> protocol) {
    return *protocols_.emplace_back(std::move(protocol));
  }

  const std::vector<std::unique_ptr<ListenerDefinition>>& listeners() const { return listeners_; }

  // The first thing that was wrong while the server was defined; Main refuses to start with it. So
  // that a definition reads as a list and not as a chain of checks.
  const absl::Status& error() const { return error_; }
  void RecordError(absl::Status status) {
    if (error_.ok()) error_ = std::move(status);
  }
  // Asked once the definition is complete, by `check`, by the master before anything is opened, and
  // by every worker.
  std::vector<std::function<absl::Status()>> validators;

  // In a worker, from any of its handlers: asks the master to reload, as its reload command does.
  // Nothing happens in a process that is no worker, and in a worker whose master is gone.
  void Reload() const {
    if (request_reload) request_reload();
  }
  // Set by RunWorker.
  std::function<void()> request_reload;

  // error(), listeners that cannot keep what their definition says, then every validator.
  absl::Status Validate() const;

 private:
  absl::Status error_;
  std::vector<std::unique_ptr<Protocol>> protocols_;
  std::vector<std::unique_ptr<ListenerDefinition>> listeners_;
};

// A name for each listener by which it is the same one in another generation of the server: its
// address, and a number where several have port 0.
std::vector<std::string> ListenerKeys(const ServerDefinition& server);

}  // namespace ringmaster
