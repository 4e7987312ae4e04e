#pragma once

#include <liburing.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/ring/ring.h"
#include "engine/ring/ring_setup.h"

namespace ringmaster {

// Ring on a real io_uring (io_uring_setup(2)). Create it on the thread that will use it, after
// fork: with IORING_SETUP_SINGLE_ISSUER another task gets -EEXIST.
//
//   ASSIGN_OR_RETURN(auto ring, KernelRing::Create(RingOptions{}));
//   ring->SubmitAcceptMultishot(listening_fd, UserData(kAccept, 0, 0));
//   ring->SubmitAndWait({});
class KernelRing final : public Ring {
 public:
  // Tries the best set-up first and falls back flag by flag (ring_setup.h). Without memory for the
  // queues (RLIMIT_MEMLOCK) it halves them, down to kQueueEntriesMin, and says so in description().
  // Errors carry the remedy.
  static absl::StatusOr<std::unique_ptr<KernelRing>> Create(const RingOptions& options);
  ~KernelRing() override;

  KernelRing(const KernelRing&) = delete;
  KernelRing& operator=(const KernelRing&) = delete;

  // One line for the start-up log: flags in use, what the kernel lacks.
  const std::string& description() const { return description_; }
  // The kernel refuses every operation that is not in ring_restrictions.h. False where it was not
  // asked for, or the kernel could not.
  bool restricted() const { return restricted_; }

  void SubmitAcceptMultishot(int listening_fd, UserData user_data) override;
  void SubmitRecvMultishot(int fd, UserData user_data, LinkedTimeout timeout) override;
  void SubmitRead(int fd, void* buffer, size_t bytes, uint64_t offset, UserData user_data) override;
  void SubmitPoll(int fd, UserData user_data) override;
  void SubmitSend(int fd, const void* data, size_t bytes, UserData user_data) override;
  void SubmitSendMessage(int fd, const msghdr* message, UserData user_data) override;
  void SubmitSendStuck(int fd, const void* data, size_t bytes, UserData user_data,
                       LinkedTimeout timeout) override;
  void SubmitSendMessageStuck(int fd, const msghdr* message, UserData user_data,
                              LinkedTimeout timeout) override;
  void SubmitConnect(int fd, const sockaddr* address, socklen_t address_bytes, UserData user_data,
                     LinkedTimeout timeout) override;
  void SubmitUpdateLinkedTimeout(UserData timeout, TimePoint deadline, UserData user_data) override;
  void SubmitCancel(UserData target, UserData user_data) override;
  void SubmitCancelFd(int fd, UserData user_data) override;
  void SubmitClose(int fd, UserData user_data) override;
  void Shutdown(int fd, int how) override;
  PeerAddress PeerOf(int fd) override;
  bool SendNow(int fd, std::string_view bytes) override;
  void DiscardUnsent(int fd) override;
  bool HasInput(int fd) override;
  Duration SinceLastData(int fd) override;
  void SetBacklog(int listening_fd, uint32_t backlog) override;
  std::span<char> BufferOf(const Completion& completion) override;
  void ReturnBuffer(uint16_t buffer_id) override;
  uint32_t BuffersAtHome() const override { return buffers_at_home_; }
  uint32_t BufferCount() const override { return buffer_count_; }
  void SubmitAndWait(const Wait& wait) override;
  size_t Reap(std::span<Completion> out) override;
  TimePoint Now() const override;
  bool AllSubmitted() const override;
  Figures figures() const override { return figures_; }

  // SQEs below which a ring is not worth having: every turn would submit several times.
  static constexpr uint32_t kQueueEntriesMin = 64;

  // For operations that no Submit function makes.
  io_uring& RingForTest() { return ring_; }

 private:
  KernelRing() = default;
  // `error` is the errno of what failed.
  absl::Status Setup(const RingOptions& options, int& error);
  absl::Status SetupBuffers(const RingOptions& options, int& error);
  // Restricts the ring, which is disabled so far, and enables it. Returns how to say it.
  absl::StatusOr<std::string> RestrictAndEnable(const RingOptions& options, int& error);
  void AdoptQueues();
  // The next free SQE; submits what is prepared when the queue is full. A linked pair must not
  // straddle a submission, so it reserves both first.
  io_uring_sqe* NextSqe();
  void Reserve(uint32_t sqe_count);
  void LinkTimeout(io_uring_sqe* operation, LinkedTimeout timeout);
  __kernel_timespec* TimespecFor(const io_uring_sqe* sqe, TimePoint deadline);
  uint32_t FlushSubmissions();
  int Enter(uint32_t submit_count, uint32_t wait_count, uint32_t flags, void* argument);

  io_uring ring_ = {};
  bool ring_open_ = false;
  bool ring_fd_registered_ = false;
  bool restricted_ = false;
  bool batch_wait_supported_ = false;
  uint32_t sqe_count_max_ = 0;
  std::string description_;

  // Linked timeouts are copied by the kernel at submission; until then they live here, one per SQE.
  std::vector<__kernel_timespec> timespecs_;

  io_uring_buf_ring* buffer_ring_ = nullptr;
  size_t buffer_ring_bytes_ = 0;
  char* buffers_ = nullptr;
  size_t buffers_bytes_ = 0;
  size_t buffer_stride_ = 0;
  uint32_t buffer_bytes_ = 0;
  uint32_t buffer_count_ = 0;
  uint32_t buffers_at_home_ = 0;
  uint32_t buffers_returned_ = 0;  // returned since the last commit

  Figures figures_;
};

}  // namespace ringmaster
