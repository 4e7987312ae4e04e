#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "engine/base/time.h"
#include "engine/connection/address.h"
#include "engine/connection/close_reason.h"

namespace ringmaster {

// One connection as `connections` shows it: what a worker writes about it, in a fixed size, so that
// it can be written for a hundred thousand within few milliseconds.
struct ConnectionRecord {
  // Raise it with every change: command, master and worker may be of different releases.
  static constexpr uint32_t kLayout = 2;

  // As Connection's states; kept apart, since these have names that people see.
  enum class State : uint8_t { kConnecting, kOpen, kFlushing, kLingering, kClosing };

  uint64_t id;
  TimePoint opened_at;
  TimePoint last_activity;
  uint64_t bytes_received;
  uint64_t bytes_sent;
  uint64_t messages;
  uint64_t queue_bytes;  // output not yet taken by the kernel
  TimePoint deadline;    // the next; kNever = none
  PeerAddress peer;
  char protocol[16];  // ended by zeros unless it fills them
  State state;
  CloseReason deadline_reason;  // what the deadline would close it for
  bool outbound;
  uint32_t worker;

  std::string_view protocol_name() const {
    const std::string_view all(protocol, sizeof(protocol));
    return all.substr(0, all.find('\0'));
  }
};
static_assert(std::is_trivially_copyable_v<ConnectionRecord>);

// "open", "lingering", ...
std::string_view ConnectionStateName(ConnectionRecord::State state);

// In front of the records in the memory that a worker writes them to. Written last.
struct ConnectionReportHeader {
  uint32_t layout = ConnectionRecord::kLayout;
  uint32_t record_bytes = sizeof(ConnectionRecord);
  uint64_t request = 0;  // ControlMessage::kList
  uint64_t count = 0;
};

}  // namespace ringmaster
