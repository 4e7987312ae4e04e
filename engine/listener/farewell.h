#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/base/time.h"

namespace ringmaster {

class Worker;

// The way out of connections that the door refused: a goodbye in one send, FIN, and then what the
// peer still sends is read and thrown away until its FIN, without a Connection. Closing at once
// would make the kernel answer the peer's request with RST, which can destroy the goodbye before
// the peer has read it.
//
// One ring read at a time per refused connection, all into one buffer that nobody looks at.
// Bounded: kLingeringMax at a time for kLinger each; beyond, and where the protocol has nothing to
// say, the descriptor is closed at once, so that a flood of refusals costs descriptors and time to
// nobody.
class Farewell {
 public:
  // 128 times 500 ms: a client that was refused and is slow has long read its goodbye.
  static constexpr uint32_t kLingeringMax = 128;
  static constexpr Duration kLinger = std::chrono::milliseconds(500);
  // Who goes on sending is closed with RST.
  static constexpr uint32_t kDiscardedBytesMax = 64 * 1024;

  explicit Farewell(Worker& worker) : worker_(worker) {}
  Farewell(const Farewell&) = delete;
  Farewell& operator=(const Farewell&) = delete;

  // Takes ownership of `fd`.
  void Say(int fd, std::string_view goodbye);
  void OnDiscard(uint32_t place, int32_t result);
  // The worker stops: nobody lingers any longer.
  void Hurry();
  bool idle() const { return lingering_count_ == 0; }

 private:
  struct Place {
    int fd = -1;
    uint32_t discarded_bytes = 0;
    uint64_t serial = 0;  // which guest, for deadlines_
  };
  struct Deadline {
    TimePoint at;
    uint32_t place;
    uint64_t serial;
  };
  void SubmitDiscard(uint32_t place);
  void Close(int fd);
  void WaitForDeadline();
  void OnDeadline();

  Worker& worker_;
  std::vector<Place> places_;
  std::vector<uint32_t> free_places_;
  std::deque<Deadline> deadlines_;  // in the order of time
  uint32_t lingering_count_ = 0;
  uint64_t next_serial_ = 1;
  bool timer_set_ = false;
  bool hurried_ = false;
  // What is thrown away; the kernel may write it for several at once.
  std::unique_ptr<std::array<char, 4096>> discarded_;
};

}  // namespace ringmaster
