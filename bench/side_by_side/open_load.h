#ifndef BENCH_SIDE_BY_SIDE_OPEN_LOAD_H_
#define BENCH_SIDE_BY_SIDE_OPEN_LOAD_H_

#include <netinet/in.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "bench/side_by_side/client_ring.h"
#include "bench/side_by_side/conversation.h"
#include "bench/side_by_side/load.h"

namespace side_by_side {

// New clients at a fixed rate, whatever the server does: one connection and one request each, as
// strangers come. An answer is good when it is whole and there within `within_seconds` of the time
// at which its request was due, so a client that falls behind cannot hide what the server delays
// (coordinated omission). Who has no answer by then gives up and is counted as late.
class OpenLoad : public Load {
 public:
  OpenLoad(Conversation conversation, uint16_t port, double rate, double within_seconds);
  ~OpenLoad() override;

  // Returns the number of good answers.
  uint64_t RunSlice(const SliceBounds& bounds) override;
  // "due":N,"refused":N,"late":N,"failed":N,"p50_ms":X,"p99_ms":X of the last slice.
  std::string DetailsJson() const override;

 private:
  using Clock = std::chrono::steady_clock;
  struct Attempt {
    int fd = -1;
    bool given_up = false;
    Clock::time_point due;
    std::string buffer;
  };

  void StartDue(Clock::time_point now, double elapsed_seconds);
  bool Start(Clock::time_point due);
  void GiveUpOverdue(Clock::time_point now);
  void OnCompletion(const io_uring_cqe& cqe);
  void Judge(Attempt& attempt, int32_t result);
  void Release(size_t index);

  const Conversation conversation_;
  const double rate_;
  const Clock::duration within_;
  sockaddr_in target_ = {};
  ClientRing ring_;
  std::vector<Attempt> attempts_;
  std::vector<size_t> free_;
  // Started, in the order in which they become overdue; an entry whose attempt has ended is stale.
  std::deque<std::pair<size_t, Clock::time_point>> waiting_;
  size_t outstanding_ = 0;
  uint64_t source_ = 0;

  uint64_t due_ = 0;
  uint64_t good_ = 0;
  uint64_t refused_ = 0;
  uint64_t late_ = 0;
  uint64_t failed_ = 0;
  std::vector<float> milliseconds_;  // of good answers
};

}  // namespace side_by_side

#endif  // BENCH_SIDE_BY_SIDE_OPEN_LOAD_H_
