#include "engine/ring/kernel_ring.h"

#include <fmt/format.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "engine/base/check.h"
#include "engine/ring/ring_restrictions.h"

namespace ringmaster {
namespace {

// Newer than Debian 12's headers; values from the kernel's UAPI.
constexpr uint32_t kFeatureMinTimeout = 1u << 15;  // IORING_FEAT_MIN_TIMEOUT, 6.12

// io_uring_getevents_arg as of 6.12: what was padding carries the batch wait.
struct GetEventsArgument {
  uint64_t signal_mask = 0;
  uint32_t signal_mask_bytes = 0;
  uint32_t min_wait_microseconds = 0;
  uint64_t timespec = 0;
};
static_assert(sizeof(GetEventsArgument) == sizeof(io_uring_getevents_arg));

constexpr uint16_t kBufferGroup = 0;

void FillTimespec(TimePoint nanoseconds, __kernel_timespec& out) {
  out.tv_sec = nanoseconds / kNanosecondsPerSecond;
  out.tv_nsec = nanoseconds % kNanosecondsPerSecond;
}

size_t PageRounded(size_t bytes) { return (bytes + 4095) & ~size_t{4095}; }

}  // namespace

absl::StatusOr<std::unique_ptr<KernelRing>> KernelRing::Create(const RingOptions& options) {
  RingOptions smaller = options;
  absl::Status first_failure;
  while (true) {
    std::unique_ptr<KernelRing> ring(new KernelRing);
    int error = 0;
    const absl::Status status = ring->Setup(smaller, error);
    if (status.ok()) {
      if (smaller.sq_entries < options.sq_entries) {
        ring->description_ += fmt::format(
            ", smaller than the {} SQEs asked for: RLIMIT_MEMLOCK is too low", options.sq_entries);
      }
      return ring;
    }
    // The first one names what the ring that was asked for would have needed.
    first_failure.Update(status);
    if (error != ENOMEM || smaller.sq_entries <= kQueueEntriesMin) return first_failure;
    smaller.sq_entries = std::max(smaller.sq_entries / 2, kQueueEntriesMin);
    smaller.cq_entries = std::max(smaller.cq_entries / 2, smaller.sq_entries);
  }
}

absl::Status KernelRing::Setup(const RingOptions& options, int& error) {
  const SetupAttempt* attempt = kSetupAttempts;
  io_uring_params parameters = {};
  for (; attempt->name != nullptr; ++attempt) {
    parameters = {};
    parameters.flags = attempt->flags | (options.restricted ? IORING_SETUP_R_DISABLED : 0);
    parameters.cq_entries = options.cq_entries;
    error = -io_uring_queue_init_params(options.sq_entries, &ring_, &parameters);
    if (error == 0) break;
    if (error != EINVAL) break;  // EINVAL alone says "a flag I do not know"
  }
  if (error != 0) return ExplainSetupError("io_uring_setup", error, options);
  ring_open_ = true;
  if (absl::Status status = SetupBuffers(options, error); !status.ok()) return status;

  ring_fd_registered_ = io_uring_register_ring_fd(&ring_) == 1;
  std::string operations = "any";
  if (options.restricted) {
    absl::StatusOr<std::string> restricted = RestrictAndEnable(options, error);
    if (!restricted.ok()) return restricted.status();
    operations = *std::move(restricted);
  }
  batch_wait_supported_ = (parameters.features & kFeatureMinTimeout) != 0;
  sqe_count_max_ = parameters.sq_entries;
  timespecs_.resize(sqe_count_max_);
  AdoptQueues();
  description_ = fmt::format(
      "io_uring: {} (Linux {}+), {} SQEs, {} CQEs, {} buffers of {} bytes, registered descriptor: "
      "{}, "
      "batched wait: {}, operations: {}",
      attempt->name, attempt->since, parameters.sq_entries, parameters.cq_entries, buffer_count_,
      buffer_bytes_, ring_fd_registered_ ? "yes" : "no (needs 5.18)",
      batch_wait_supported_ ? "yes" : "no (needs 6.12)", operations);
  return absl::OkStatus();
}

// With IORING_SETUP_SINGLE_ISSUER the thread that enables the ring becomes the one that submits.
absl::StatusOr<std::string> KernelRing::RestrictAndEnable(const RingOptions& options, int& error) {
  const int restriction_error = -RegisterRestrictions(ring_);
  error = -EnableRing(ring_);
  if (error != 0) return ExplainSetupError("io_uring_register (enable)", error, options);
  restricted_ = restriction_error == 0;
  if (restricted_) return fmt::format("{} opcodes", std::size(kSubmittedOpcodes));
  return fmt::format("any (restrictions: {})", std::strerror(restriction_error));
}

absl::Status KernelRing::SetupBuffers(const RingOptions& options, int& error) {
  CHECK(options.buffer_count > 0 && (options.buffer_count & (options.buffer_count - 1)) == 0);
  buffer_count_ = options.buffer_count;
  buffer_bytes_ = options.buffer_bytes;
  // An odd number of cache lines between buffers: were it a power of two, the first lines of all
  // buffers would fall into the same few cache sets and push each other out.
  buffer_stride_ = (size_t{buffer_bytes_} + 63) / 64 * 64;
  if (buffer_stride_ / 64 % 2 == 0) buffer_stride_ += 64;
  buffers_bytes_ = PageRounded(buffer_stride_ * buffer_count_);
  buffer_ring_bytes_ = PageRounded(sizeof(io_uring_buf) * buffer_count_);
  const auto map = [](size_t bytes) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
  };
  buffers_ = static_cast<char*>(map(buffers_bytes_));
  buffer_ring_ = static_cast<io_uring_buf_ring*>(map(buffer_ring_bytes_));
  if (buffers_ == nullptr || buffer_ring_ == nullptr) {
    return absl::ResourceExhaustedError("no memory for the receive buffers");
  }
  io_uring_buf_reg registration = {};
  registration.ring_addr = reinterpret_cast<uint64_t>(buffer_ring_);
  registration.ring_entries = buffer_count_;
  registration.bgid = kBufferGroup;
  error = -io_uring_register_buf_ring(&ring_, &registration, 0);
  if (error != 0) {
    return ExplainSetupError("io_uring_register (buffer ring)", error, options);
  }
  io_uring_buf_ring_init(buffer_ring_);
  for (uint32_t id = 0; id < buffer_count_; ++id) ReturnBuffer(static_cast<uint16_t>(id));
  io_uring_buf_ring_advance(buffer_ring_, static_cast<int>(buffers_returned_));
  buffers_returned_ = 0;
  return absl::OkStatus();
}

// We publish SQEs ourselves (liburing's submit cannot pass the batched wait before 2.8), so the SQ
// array is made the identity once and never touched again.
void KernelRing::AdoptQueues() {
  for (uint32_t i = 0; i < sqe_count_max_; ++i) ring_.sq.array[i] = i;
}

KernelRing::~KernelRing() {
  // Closing the ring cancels what is armed; the memory below may go only after that.
  if (ring_open_) io_uring_queue_exit(&ring_);
  if (buffer_ring_ != nullptr) munmap(buffer_ring_, buffer_ring_bytes_);
  if (buffers_ != nullptr) munmap(buffers_, buffers_bytes_);
}

uint32_t KernelRing::FlushSubmissions() {
  io_uring_sq& queue = ring_.sq;
  const uint32_t tail = queue.sqe_tail;
  if (queue.sqe_head != tail) {
    for (uint32_t i = queue.sqe_head; i != tail; ++i) {
      DCHECK(IsSubmittedOpcode(queue.sqes[i & (sqe_count_max_ - 1)].opcode));
    }
    queue.sqe_head = tail;
    // The kernel reads the tail inside our own io_uring_enter: program order is enough, but a
    // release store costs nothing here.
    __atomic_store_n(queue.ktail, tail, __ATOMIC_RELEASE);
  }
  return tail - __atomic_load_n(queue.khead, __ATOMIC_ACQUIRE);
}

int KernelRing::Enter(uint32_t submit_count, uint32_t wait_count, uint32_t flags, void* argument) {
  ++figures_.enter_count;
  if (ring_fd_registered_) flags |= IORING_ENTER_REGISTERED_RING;
  return io_uring_enter2(static_cast<uint32_t>(ring_.enter_ring_fd), submit_count, wait_count,
                         flags, static_cast<sigset_t*>(argument),
                         argument == nullptr ? 0 : sizeof(GetEventsArgument));
}

void KernelRing::Reserve(uint32_t sqe_count) {
  const auto free_count = [&] {
    return sqe_count_max_ - (ring_.sq.sqe_tail - __atomic_load_n(ring_.sq.khead, __ATOMIC_ACQUIRE));
  };
  if (free_count() >= sqe_count) return;
  ++figures_.sq_full_count;
  while (free_count() < sqe_count) {
    const int result = Enter(FlushSubmissions(), 0, IORING_ENTER_GETEVENTS, nullptr);
    CHECK(result >= 0 || result == -EINTR || result == -EBUSY || result == -EAGAIN);
  }
}

io_uring_sqe* KernelRing::NextSqe() {
  Reserve(1);
  io_uring_sq& queue = ring_.sq;
  io_uring_sqe* sqe = &queue.sqes[queue.sqe_tail & (sqe_count_max_ - 1)];
  ++queue.sqe_tail;
  ++figures_.sqe_count;
  return sqe;
}

__kernel_timespec* KernelRing::TimespecFor(const io_uring_sqe* sqe, TimePoint deadline) {
  __kernel_timespec& timespec = timespecs_[static_cast<size_t>(sqe - ring_.sq.sqes)];
  FillTimespec(deadline, timespec);
  return &timespec;
}

void KernelRing::LinkTimeout(io_uring_sqe* operation, LinkedTimeout timeout) {
  if (timeout.deadline == kNever) return;
  operation->flags |= IOSQE_IO_LINK;
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_link_timeout(sqe, TimespecFor(sqe, timeout.deadline), IORING_TIMEOUT_ABS);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = timeout.user_data.value;
}

void KernelRing::SubmitAcceptMultishot(int listening_fd, UserData user_data) {
  io_uring_sqe* sqe = NextSqe();
  // No SOCK_NONBLOCK: io_uring would answer -EAGAIN instead of waiting.
  io_uring_prep_multishot_accept(sqe, listening_fd, nullptr, nullptr, SOCK_CLOEXEC);
  sqe->user_data = user_data.value;
}

void KernelRing::SubmitRecvMultishot(int fd, UserData user_data, LinkedTimeout timeout) {
  Reserve(2);
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = kBufferGroup;
  sqe->user_data = user_data.value;
  LinkTimeout(sqe, timeout);
}

void KernelRing::SubmitRead(int fd, void* buffer, size_t bytes, uint64_t offset,
                            UserData user_data) {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_read(sqe, fd, buffer, static_cast<unsigned>(bytes), offset);
  sqe->user_data = user_data.value;
}

void KernelRing::SubmitPoll(int fd, UserData user_data) {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_poll_add(sqe, fd, POLLIN);
  sqe->user_data = user_data.value;
}

void KernelRing::SubmitSend(int fd, const void* data, size_t bytes, UserData user_data) {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_send(sqe, fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
  sqe->user_data = user_data.value;
}

void KernelRing::SubmitSendMessage(int fd, const msghdr* message, UserData user_data) {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_sendmsg(sqe, fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
  sqe->user_data = user_data.value;
}

void KernelRing::SubmitSendStuck(int fd, const void* data, size_t bytes, UserData user_data,
                                 LinkedTimeout timeout) {
  Reserve(2);
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_send(sqe, fd, data, bytes, MSG_NOSIGNAL);
  sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
  sqe->user_data = user_data.value;
  LinkTimeout(sqe, timeout);
}

void KernelRing::SubmitSendMessageStuck(int fd, const msghdr* message, UserData user_data,
                                        LinkedTimeout timeout) {
  Reserve(2);
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_sendmsg(sqe, fd, message, MSG_NOSIGNAL);
  sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
  sqe->user_data = user_data.value;
  LinkTimeout(sqe, timeout);
}

void KernelRing::SubmitConnect(int fd, const sockaddr* address, socklen_t address_bytes,
                               UserData user_data, LinkedTimeout timeout) {
  Reserve(2);
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_connect(sqe, fd, address, address_bytes);
  sqe->user_data = user_data.value;
  LinkTimeout(sqe, timeout);
}

void KernelRing::SubmitUpdateLinkedTimeout(UserData timeout, TimePoint deadline,
                                           UserData user_data) {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_timeout_update(sqe, TimespecFor(sqe, deadline), timeout.value,
                               IORING_LINK_TIMEOUT_UPDATE | IORING_TIMEOUT_ABS);
  sqe->user_data = user_data.value;
}

void KernelRing::SubmitCancel(UserData target, UserData user_data) {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_cancel64(sqe, target.value, 0);
  sqe->user_data = user_data.value;
}

void KernelRing::SubmitCancelFd(int fd, UserData user_data) {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_cancel_fd(sqe, fd, IORING_ASYNC_CANCEL_ALL);
  sqe->user_data = user_data.value;
}

void KernelRing::SubmitClose(int fd, UserData user_data) {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_close(sqe, fd);
  sqe->user_data = user_data.value;
}

void KernelRing::Shutdown(int fd, int how) { shutdown(fd, how); }

PeerAddress KernelRing::PeerOf(int fd) {
  sockaddr_storage storage = {};
  socklen_t size = sizeof(storage);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return PeerAddress::Of(storage);
}

bool KernelRing::SendNow(int fd, std::string_view bytes) {
  const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(bytes.size());
}

bool KernelRing::HasInput(int fd) {
  int bytes = 0;
  return ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

Duration KernelRing::SinceLastData(int fd) {
  tcp_info info = {};
  socklen_t bytes = sizeof(info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0) return Duration::zero();
  return std::chrono::milliseconds(info.tcpi_last_data_recv);
}

void KernelRing::SetBacklog(int listening_fd, uint32_t backlog) {
  listen(listening_fd, static_cast<int>(backlog));
}

void KernelRing::DiscardUnsent(int fd) {
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  // Refused only by what is no socket of a stream; such a one has nothing to discard.
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

std::span<char> KernelRing::BufferOf(const Completion& completion) {
  DCHECK(completion.has_buffer() && completion.buffer_id() < buffer_count_);
  --buffers_at_home_;
  return {buffers_ + completion.buffer_id() * buffer_stride_,
          static_cast<size_t>(std::max(completion.result, 0))};
}

void KernelRing::ReturnBuffer(uint16_t buffer_id) {
  io_uring_buf_ring_add(buffer_ring_, buffers_ + buffer_id * buffer_stride_, buffer_bytes_,
                        buffer_id, io_uring_buf_ring_mask(buffer_count_),
                        static_cast<int>(buffers_returned_));
  ++buffers_returned_;
  ++buffers_at_home_;
}

void KernelRing::SubmitAndWait(const Wait& wait) {
  if (buffers_returned_ != 0) {
    io_uring_buf_ring_advance(buffer_ring_, static_cast<int>(buffers_returned_));
    buffers_returned_ = 0;
  }
  GetEventsArgument argument;
  __kernel_timespec timespec = {};
  if (wait.deadline != kNever) {
    FillTimespec(std::max<int64_t>(0, wait.deadline - Now()), timespec);
    argument.timespec = reinterpret_cast<uint64_t>(&timespec);
  }
  if (batch_wait_supported_ && wait.completions_min > 1) {
    argument.min_wait_microseconds = wait.batch_microseconds;
  }
  // Without the batched wait, waiting for more than one could wait for ever.
  const uint32_t wait_count =
      batch_wait_supported_ ? wait.completions_min : std::min(wait.completions_min, 1u);
  const int result = Enter(FlushSubmissions(), wait_count,
                           IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument);
  // ETIME: the deadline came first. EINTR: a signal. EBUSY, EAGAIN: the kernel wants us to reap
  // first, or had no memory for the operations, which then stay in the queue (AllSubmitted). EBADR
  // would say that it has dropped a completion for want of memory: an operation would be in flight
  // for ever, so that is a crash.
  CHECK(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
        result == -EAGAIN);
  if ((__atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW) != 0) {
    ++figures_.cq_overflow_count;
  }
}

bool KernelRing::AllSubmitted() const {
  return __atomic_load_n(ring_.sq.khead, __ATOMIC_ACQUIRE) == ring_.sq.sqe_tail;
}

size_t KernelRing::Reap(std::span<Completion> out) {
  io_uring_cq& queue = ring_.cq;
  const uint32_t head = *queue.khead;
  const uint32_t tail = __atomic_load_n(queue.ktail, __ATOMIC_ACQUIRE);
  const uint32_t mask = *queue.kring_mask;
  const size_t count = std::min<size_t>(tail - head, out.size());
  for (size_t i = 0; i < count; ++i) {
    const io_uring_cqe& cqe = queue.cqes[(head + i) & mask];
    out[i] = {UserData(cqe.user_data), cqe.res, cqe.flags};
  }
  __atomic_store_n(queue.khead, head + static_cast<uint32_t>(count), __ATOMIC_RELEASE);
  return count;
}

TimePoint KernelRing::Now() const {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNanosecondsPerSecond + now.tv_nsec;
}

}  // namespace ringmaster
