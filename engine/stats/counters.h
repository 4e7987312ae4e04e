#pragma once

#include <cstdint>
#include <string_view>

#include "engine/connection/close_reason.h"
#include "engine/stats/counter.h"
#include "engine/stats/histogram.h"

namespace ringmaster {

// The engine's own figures that only grow: X(field, "what it counts"). Protocols count in named
// slots of their own (CounterNames below), so that nothing here names a protocol.
#define RINGMASTER_COUNTERS(X)                                                         \
  X(connections_accepted, "connections accepted")                                      \
  X(connections_connected, "outbound connections made")                                \
  X(connections_closed, "connections closed")                                          \
  X(connections_handed_over, "connections given to another worker")                    \
  X(connections_adopted, "connections taken over from another worker")                 \
  X(adoptions_refused, "connections of another worker that could not be taken over")   \
  X(drain_closed, "connections closed at the end of a drain")                          \
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
  X(refused_queue_time, "connections refused: waited longer than queue_time_max")      \
  X(accept_paused_overload, "times accepting paused: more asked than can be done")     \
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
  X(send_stuck, "sends whose remainder had to wait for the peer")                      \
  X(send_no_memory, "sends tried again later: the kernel had no memory")               \
  X(deadline_rearmed, "read deadlines re-armed after activity")                        \
  X(timers_fired, "user timers fired")                                                 \
  X(loop_turns, "turns of the loop")                                                   \
  X(turns_crowded, "turns that left completions to the next: no time for all")         \
  X(sends_postponed, "sends left to the next turn: enough had been sent in one")       \
  X(ring_enters, "io_uring_enter calls")                                               \
  X(ring_submissions, "SQEs submitted")                                                \
  X(ring_completions, "CQEs handled")                                                  \
  X(ring_overflows, "completion queue overflows")                                      \
  X(ring_submissions_full, "times the submission queue was full")                      \
  X(handler_stalls, "turns longer than handler_timeout")                               \
  X(log_lines_lost, "log lines that could not be written")

// What goes up and down. A worker that died leaves them at 0.
#define RINGMASTER_GAUGES(X)                                                       \
  X(connections_open, "connections open now")                                      \
  X(buffered_input_bytes, "received bytes held in memory now")                     \
  X(buffered_output_bytes, "bytes queued for sending now")                         \
  X(receive_buffers_in_use, "receive buffers away from home at the end of a turn") \
  X(slab_bytes, "memory of connection slots")                                      \
  X(heap_bytes, "memory handed out by the allocator")

// Slots for figures that protocols register by name: "http_requests", "websocket_refused_origin",
// ...
inline constexpr int kProtocolCounterCount = 128;

// What one worker publishes; lives in shared memory and outlives the worker.
struct WorkerCounters {
#define RINGMASTER_DECLARE_COUNTER(field, description) Counter field;
  RINGMASTER_COUNTERS(RINGMASTER_DECLARE_COUNTER)
  RINGMASTER_GAUGES(RINGMASTER_DECLARE_COUNTER)
#undef RINGMASTER_DECLARE_COUNTER
  Counter closed_by_reason[kCloseReasonCount];
  Counter protocol[kProtocolCounterCount];
  // Written only with ServerOptions::timings; engine/worker/turn_timings.h says what each measures.
  Histogram handler_time;
  Histogram queue_time;
  Histogram turn_time;
};

enum class FigureKind : uint8_t {
  kCounter,  // only grows
  kGauge,    // goes up and down
};

// Figures of one kind that differ in one word are one metric with a label where figures are
// exported (engine/stats/prometheus.h): http_responses{class="2xx"}. Empty: a metric of its own.
struct FigureFamily {
  std::string_view name;         // "http_responses"
  std::string_view description;  // of all of them
  std::string_view label;        // "class"
  std::string_view value;        // "2xx"
};

// Names of the protocol slots. Registered while the server is defined, in the same order by master
// and workers (they run the same definition). Index = slot. CHECK-fails when the slots run out.
//
//   static const int kRequests = CounterNames::Register("http_requests", "HTTP requests answered");
//   counters.protocol[kRequests].Add();
class CounterNames {
 public:
  static int Register(std::string_view name, std::string_view description,
                      FigureKind kind = FigureKind::kCounter, const FigureFamily& family = {});
  static int count();
  static std::string_view name(int slot);
  static std::string_view description(int slot);
  static FigureKind kind(int slot);
  static FigureFamily family(int slot);
};

}  // namespace ringmaster
