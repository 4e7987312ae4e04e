#ifndef BENCH_SIDE_BY_SIDE_KEEP_ALIVE_LOAD_H_
#define BENCH_SIDE_BY_SIDE_KEEP_ALIVE_LOAD_H_

#include <cstdint>
#include <vector>

#include "bench/side_by_side/client_ring.h"
#include "bench/side_by_side/conversation.h"
#include "bench/side_by_side/load.h"

namespace side_by_side {

// Connections that stay open. Each has one turn outstanding: the conversation's requests go out in
// one send, and the next turn starts when all its answers are in. One multishot recv per
// connection and sends without a completion keep the client cheaper than any server.
class KeepAliveLoad : public Load {
 public:
  // Takes over `sockets`: connected, and with any opening handshake done.
  KeepAliveLoad(Conversation conversation, std::vector<int> sockets);
  ~KeepAliveLoad() override;

  uint64_t RunSlice(const SliceBounds& bounds) override;

 private:
  struct Connection {
    int fd = -1;
    bool turn_outstanding = false;
    size_t received_bytes = 0;  // of this turn
  };

  void SubmitRecv(size_t index);
  void SubmitSend(size_t index);
  void OnCompletion(const io_uring_cqe& cqe);
  void OnRecv(size_t index, const io_uring_cqe& cqe);
  void OnTurnDone(size_t index);

  const Conversation conversation_;
  const size_t turn_bytes_;
  ClientRing ring_;
  std::vector<Connection> connections_;

  // Of the slice under way.
  bool accepts_new_turns_ = false;
  uint64_t answers_ = 0;
  uint64_t answers_max_ = 0;
  size_t turns_outstanding_ = 0;
  size_t alarm_completions_due_ = 0;
};

}  // namespace side_by_side

#endif  // BENCH_SIDE_BY_SIDE_KEEP_ALIVE_LOAD_H_
