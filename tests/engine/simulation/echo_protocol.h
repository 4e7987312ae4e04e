#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine/connection/connection.h"
#include "engine/protocol.h"
#include "engine/worker/worker.h"
#include "tests/engine/simulation/world.h"

namespace ringmaster::simulation {

// What the peers send is a sequence of requests, each a length, a command and a body; the answer
// has the same form. A request makes the server do one of the things that applications do.
//
//   request:  | u16 bytes of body | u8 command | body |
//   answer:   | u32 bytes of body | u8 command | body |
enum class Command : char {
  kEcho = 'e',         // answers with the body, copied or encoded in place
  kLarge = 'l',        // body: u32 count; answers with a pattern of so many bytes, by reference
  kFile = 'f',         // the same, from a file
  kPause = 'p',        // echoes, then takes no input for a while
  kReplace = 'r',      // echoes, then another session goes on
  kClose = 'c',        // echoes, then closes at once after the flush
  kCloseLinger = 'C',  // the same, and waits for the peer's end
  kAbort = 'a',
  kThrow = 't',  // answered by the goodbye of OnException
};
inline constexpr std::string_view kGoodbye = "the handler threw";
// What the door says: no answer begins like this.
inline constexpr std::string_view kRefusalGoodbye = "refused at the door";

std::string EncodeRequest(Command command, std::string_view body);
std::string EncodeLargeRequest(Command command, uint32_t bytes);
// What the server is to answer to that request; empty for kAbort.
std::string ExpectedAnswer(Command command, std::string_view body);
// The bytes of kLarge and kFile answers.
std::string Pattern(size_t bytes);

// What the server saw of one connection. Outlives it.
struct ConnectionRecord {
  // Drawn by the test before the connection is made.
  bool new_session_throws = false;
  bool callbacks_throw = false;
  bool ignores_stop = false;

  bool opened = false;
  uint64_t connection_id = 0;
  int sessions_alive = 0;
  int closed_count = 0;
  CloseReason close_reason = CloseReason::kNone;
  TimePoint opened_at = 0;
  TimePoint closed_at = 0;
  TimePoint last_input_at = 0;
  TimePoint item_begun_at = 0;
  size_t consumed_bytes = 0;
  // The engine held this connection's input back at some time, so its read deadlines may be late.
  bool was_held_back = false;
  bool refused_output = false;
  bool callback_threw = false;
  bool input_end_seen = false;
  int timeouts_set_count = 0;
  TimePoint killed_at = kNever;  // by the test, as an operator would
  size_t unconsumed_at_end = 0;
  CloseReason timeout_reason = CloseReason::kNone;
};

class EchoProtocol final : public Protocol {
 public:
  explicit EchoProtocol(World& world) : world_(world) {}

  // A connection takes the record that its peer's address names: some are refused at the door. One
  // that the engine makes itself has no peer yet: they take the records one after the other.
  std::vector<std::unique_ptr<ConnectionRecord>>& records() { return records_; }
  const std::vector<std::unique_ptr<ConnectionRecord>>& records() const { return records_; }
  // How late a deadline may be noticed, and a socket be closed.
  Duration tolerance() const { return tolerance_; }
  void set_tolerance(Duration tolerance) { tolerance_ = tolerance; }

  // How long a request takes; some take longer (Faults::slow_handler).
  void set_handler_time(Duration time) { handler_time_ = time; }

  std::string_view name() const override { return "simulated echo"; }
  std::unique_ptr<Session> NewSession(Connection& connection) override;
  std::unique_ptr<Session> Restore(Connection& connection, StateReader& in) override;
  std::string_view RefusalGoodbye() const override { return kRefusalGoodbye; }

  // The address of the i-th peer: `group` is what an address limit with 16 bits counts.
  static PeerAddress AddressOf(size_t index, uint8_t group);
  static size_t IndexOf(const PeerAddress& address);

 private:
  friend class EchoSession;
  // Never below the listener's, so that whoever keeps those keeps all; the next change may well
  // shorten a wait that has begun.
  void ChangeTimeouts(Connection& connection, ConnectionRecord& record);

  World& world_;
  Duration tolerance_ = std::chrono::milliseconds(20);
  Duration handler_time_ = Duration::zero();
  std::vector<std::unique_ptr<ConnectionRecord>> records_;
  size_t next_outbound_ = 0;
};

}  // namespace ringmaster::simulation
