#ifndef BENCH_SIDE_BY_SIDE_CLIENT_RING_H_
#define BENCH_SIDE_BY_SIDE_CLIENT_RING_H_

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace side_by_side {

// The user_data of the alarm, which no connection has.
inline constexpr uint64_t kAlarm = UINT64_MAX;

// The steps of a connection that is there for one request.
enum Step : uint64_t { kConnect = 0, kSend = 1, kRecv = 2, kClose = 3 };

// A slice that is this late has lost an answer.
inline constexpr double kStallSeconds = 10.0;

// The client's own ring, with a small provided-buffer ring (group 0) all connections share.
// It is not the engine's: a client that fails together with what it measures proves nothing.
class ClientRing {
 public:
  explicit ClientRing(size_t buffer_bytes);
  ~ClientRing();
  ClientRing(const ClientRing&) = delete;
  ClientRing& operator=(const ClientRing&) = delete;

  // Never null: submits when the submission queue is full.
  io_uring_sqe* NextSqe();

  // Makes room, so that the next `count` SQEs are submitted together: a link must not be cut.
  void ReserveSqes(unsigned count);

  // Submits and waits for one completion at least; calls `on_completion(cqe)` for each one there.
  template <typename OnCompletion>
  void Turn(OnCompletion on_completion) {
    SubmitAndWait();
    ForEachCompletion(on_completion);
  }

  // The same, but after `seconds` it returns without a completion.
  template <typename OnCompletion>
  void TurnWithin(double seconds, OnCompletion on_completion) {
    SubmitAndWaitWithin(seconds);
    ForEachCompletion(on_completion);
  }

  // What a receive that selected a buffer brought. Valid until ReturnBuffer of the same cqe.
  std::string_view Buffer(const io_uring_cqe& cqe) const;
  void ReturnBuffer(const io_uring_cqe& cqe);

  // One timeout completion with `user_data`, `seconds` from now, unless disarmed before. Disarming
  // brings completions too: that of the timeout, and one with `user_data` for the removal.
  void ArmAlarm(uint64_t user_data, double seconds);
  void DisarmAlarm(uint64_t user_data);

 private:
  void SubmitAndWait();
  void SubmitAndWaitWithin(double seconds);

  template <typename OnCompletion>
  void ForEachCompletion(OnCompletion on_completion) {
    unsigned head;
    unsigned count = 0;
    io_uring_cqe* cqe;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      ++count;
      on_completion(*cqe);
    }
    io_uring_cq_advance(&ring_, count);
  }

  io_uring ring_ = {};
  io_uring_buf_ring* buffer_ring_ = nullptr;
  size_t buffer_ring_bytes_ = 0;
  char* buffers_ = nullptr;
  size_t buffer_bytes_;
  __kernel_timespec alarm_ = {};
};

}  // namespace side_by_side

#endif  // BENCH_SIDE_BY_SIDE_CLIENT_RING_H_
