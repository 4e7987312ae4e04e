#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "engine/connection/close_reason.h"

namespace ringmaster {

// One figure in shared memory, written by one worker and read by anybody: relaxed, no lock prefix.
class Counter {
 public:
  void Add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void Subtract(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  void Set(uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  uint64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// The engine's own figures: X(field, "what it counts"). Protocols count in named slots of their own
// (CounterNames below), so that nothing here names a protocol.
#define RINGMASTER_COUNTERS(X)                                                         \
  X(connections_open, "connections open now")                                          \
  X(connections_accepted, "connections accepted")                                      \
  X(connections_connected, "outbound connections made")                                \
  X(connections_closed, "connections closed")                                          \
  X(bytes_received, "bytes received")                                                  \
  X(bytes_sent, "bytes sent")                                                          \
  X(messages, "requests and messages given to handlers")                               \
  X(handler_exceptions, "handlers that threw")                                         \
  X(accept_held_limit, "connections held at the door: connection limit reached")       \
  X(refused_server_max, "connections refused: connections_max of the server")          \
  X(refused_worker_max, "connections refused: worker_connections_max")                 \
  X(refused_listener_max, "connections refused: connections_max of the listener")      \
  X(refused_address_max, "connections refused: connections_max of the address")        \
  X(refused_server_rate, "connections refused: accept_rate of the server")             \
  X(refused_listener_rate, "connections refused: accept_rate of the listener")         \
  X(refused_address_rate, "connections refused: accept_rate of the address")           \
  X(refused_denied, "connections refused: address denied, or not in the allow list")   \
  X(refused_proxy_untrusted, "connections refused: not from a trusted proxy")          \
  X(refused_proxy_header, "connections refused: no valid PROXY protocol header")       \
  X(refused_no_memory, "connections refused: no memory for them")                      \
  X(address_table_full, "connections not counted by address: the table was full")      \
  X(request_rate_limited, "requests refused: request_rate of the connection")          \
  X(message_rate_limited, "messages refused: message_rate of the connection")          \
  X(address_request_rate_limited, "requests refused: request_rate of the address")     \
  X(address_message_rate_limited, "messages refused: message_rate of the address")     \
  X(accept_paused_descriptors, "times accepting paused: out of descriptors or memory") \
  X(receive_starved, "receives that found no free buffer")                             \
  X(receive_paused, "receives paused: output queue above its high watermark")          \
  X(send_refused, "sends refused: output queue full")                                  \
  X(send_dropped_newest, "messages dropped: output queue full, newest first")          \
  X(send_dropped_oldest, "messages dropped: output queue full, oldest first")          \
  X(receive_paused_memory, "receives paused: buffered bytes above the soft limit")     \
  X(buffered_input_bytes, "received bytes held in memory now")                         \
  X(buffered_output_bytes, "bytes queued for sending now")                             \
  X(receive_buffers_in_use, "receive buffers away from home at the end of a turn")     \
  X(slab_bytes, "memory of connection slots")                                          \
  X(heap_bytes, "memory handed out by the allocator")                                  \
  X(send_stuck, "sends whose remainder had to wait for the peer")                      \
  X(send_no_memory, "sends tried again later: the kernel had no memory")               \
  X(deadline_rearmed, "read deadlines re-armed after activity")                        \
  X(timers_fired, "user timers fired")                                                 \
  X(loop_turns, "turns of the loop")                                                   \
  X(ring_enters, "io_uring_enter calls")                                               \
  X(ring_submissions, "SQEs submitted")                                                \
  X(ring_completions, "CQEs handled")                                                  \
  X(ring_overflows, "completion queue overflows")                                      \
  X(ring_submissions_full, "times the submission queue was full")                      \
  X(handler_stalls, "turns longer than handler_timeout")                               \
  X(log_lines_lost, "log lines that could not be written")

// Slots for figures that protocols register by name: "http_requests", "websocket_refused_origin",
// ...
inline constexpr int kProtocolCounterCount = 96;

// What one worker publishes; lives in shared memory and outlives the worker.
struct WorkerCounters {
#define RINGMASTER_DECLARE_COUNTER(field, description) Counter field;
  RINGMASTER_COUNTERS(RINGMASTER_DECLARE_COUNTER)
#undef RINGMASTER_DECLARE_COUNTER
  Counter closed_by_reason[kCloseReasonCount];
  Counter protocol[kProtocolCounterCount];
};

// Names of the protocol slots. Registered while the server is defined, in the same order by master
// and workers (they run the same definition). Index = slot. CHECK-fails when the slots run out.
//
//   static const int kRequests = CounterNames::Register("http_requests", "HTTP requests answered");
//   counters.protocol[kRequests].Add();
class CounterNames {
 public:
  static int Register(std::string_view name, std::string_view description);
  static int count();
  static std::string_view name(int slot);
  static std::string_view description(int slot);
};

}  // namespace ringmaster
