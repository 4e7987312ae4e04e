#pragma once

#include <utility>
#include <vector>

#include "engine/config/config_reader.h"
#include "engine/connection/stream_options.h"
#include "engine/server.h"

// Readers for the engine's own options. Each reads what stands in `object` over the value that
// `out` already has, so a more specific place inherits from a more general one. None calls Finish:
// a program may have keys of its own beside the engine's.

namespace ringmaster::config {

// timeouts: connect, handshake, header, body, message, read, write, close, lifetime.
void ReadTimeouts(ConfigObject& object, Timeouts& out);

// The timeouts of `object` that differ from some base known only later.
using TimeoutOverrides = std::vector<std::pair<Duration Timeouts::*, Duration>>;
void ReadTimeoutOverrides(ConfigObject& object, TimeoutOverrides& out);
Timeouts WithOverrides(Timeouts base, const TimeoutOverrides& overrides);

// limits: body_rate_bytes_min, body_grace, send_queue_bytes_max, send_queue_bytes_high,
// send_queue_bytes_low, send_queue_policy, request_rate, message_rate; refuses low >= high and high
// > max.
void ReadStreamLimits(ConfigObject& object, StreamOptions& out);
bool ReadSendQueuePolicy(ConfigObject& object, SendQueuePolicy& out);

// limits at the root: connections_max, worker_connections_max, accept_rate, buffered_bytes_soft,
// buffered_bytes_hard, queue_time_max.
void ReadServerLimits(ConfigObject& object, ServerOptions& out);
// limits.address: connections_max, accept_rate, request_rate, message_rate, ipv4_prefix_bits,
// ipv6_prefix_bits, exempt, table_entries.
void ReadAddressLimits(ConfigObject& object, AddressLimits& out);
// admin: address, token.
void ReadAdmin(ConfigObject& object, AdminOptions& out);

// At the root: name, workers, pin_workers, pid_file, control_socket, stop_timeout, ready_timeout,
// drain_*, handler_timeout, handler_kill_timeout, timings, user, group, sandbox, sandbox_allow.
void ReadServerOptions(ConfigObject& object, ServerOptions& out);
// logging: level, format, file.
void ReadLogging(ConfigObject& object, ServerOptions& out);
// ring: entries, receive_buffer_count, receive_buffer_bytes.
void ReadRing(ConfigObject& object, ServerOptions& out);

// A listener: address, backlog, unix, allow, deny, proxy_protocol, trusted_proxies. Its timeouts
// and limits are read by the functions above and below.
void ReadListener(ConfigObject& object, ListenerDefinition& out);
// limits of a listener: connections_max, accept_rate.
void ReadListenerLimits(ConfigObject& object, ListenerDefinition& out);
// limits at the root and of a listener: at_limit.
void ReadAtLimit(ConfigObject& object, AtLimit& out);

}  // namespace ringmaster::config
