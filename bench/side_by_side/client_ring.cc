#include "bench/side_by_side/client_ring.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>
#include <stdexcept>

namespace side_by_side {
namespace {

constexpr unsigned kSqeCount = 4096;
constexpr unsigned kCqeCount = 16384;

// 64 buffers: more than a turn delivers, and small enough to stay in the cache with 16 KiB each.
constexpr unsigned kBufferCount = 64;
constexpr uint16_t kBufferGroup = 0;

void* Map(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("mmap of the receive buffers failed");
  return memory;
}

}  // namespace

ClientRing::ClientRing(size_t buffer_bytes) : buffer_bytes_(buffer_bytes) {
  io_uring_params params = {};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE;
  params.cq_entries = kCqeCount;
  const int result = io_uring_queue_init_params(kSqeCount, &ring_, &params);
  if (result < 0) {
    throw std::runtime_error(fmt::format(
        "io_uring_setup: {}; the load client needs Linux 6.1 and kernel.io_uring_disabled=0",
        std::strerror(-result)));
  }
  io_uring_register_ring_fd(&ring_);

  buffer_ring_bytes_ = kBufferCount * sizeof(io_uring_buf);
  buffer_ring_ = static_cast<io_uring_buf_ring*>(Map(buffer_ring_bytes_));
  buffers_ = static_cast<char*>(Map(kBufferCount * buffer_bytes_));
  io_uring_buf_reg registration = {};
  registration.ring_addr = reinterpret_cast<uint64_t>(buffer_ring_);
  registration.ring_entries = kBufferCount;
  registration.bgid = kBufferGroup;
  const int registered = io_uring_register_buf_ring(&ring_, &registration, 0);
  if (registered < 0) {
    throw std::runtime_error(
        fmt::format("io_uring_register_buf_ring: {}", std::strerror(-registered)));
  }
  io_uring_buf_ring_init(buffer_ring_);
  for (unsigned i = 0; i < kBufferCount; ++i) {
    io_uring_buf_ring_add(buffer_ring_, buffers_ + i * buffer_bytes_,
                          static_cast<unsigned>(buffer_bytes_), static_cast<uint16_t>(i),
                          io_uring_buf_ring_mask(kBufferCount), static_cast<int>(i));
  }
  io_uring_buf_ring_advance(buffer_ring_, kBufferCount);
}

ClientRing::~ClientRing() {
  // The ring goes first: while it lives, the kernel may write to the buffers.
  io_uring_queue_exit(&ring_);
  munmap(buffers_, kBufferCount * buffer_bytes_);
  munmap(buffer_ring_, buffer_ring_bytes_);
}

io_uring_sqe* ClientRing::NextSqe() {
  ReserveSqes(1);
  return io_uring_get_sqe(&ring_);
}

void ClientRing::ReserveSqes(unsigned count) {
  while (io_uring_sq_space_left(&ring_) < count) {
    const int result = io_uring_submit(&ring_);
    if (result < 0 && result != -EBUSY && result != -EAGAIN && result != -EINTR) {
      throw std::runtime_error(fmt::format("io_uring_submit: {}", std::strerror(-result)));
    }
  }
}

void ClientRing::SubmitAndWait() {
  const int result = io_uring_submit_and_wait(&ring_, 1);
  if (result < 0 && result != -EBUSY && result != -EAGAIN && result != -EINTR) {
    throw std::runtime_error(fmt::format("io_uring_enter: {}", std::strerror(-result)));
  }
}

void ClientRing::SubmitAndWaitWithin(double seconds) {
  __kernel_timespec timespec = {};
  timespec.tv_nsec = static_cast<int64_t>(seconds * 1e9);
  io_uring_cqe* cqe = nullptr;
  const int result = io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &timespec, nullptr);
  if (result < 0 && result != -ETIME && result != -EBUSY && result != -EAGAIN && result != -EINTR) {
    throw std::runtime_error(fmt::format("io_uring_enter: {}", std::strerror(-result)));
  }
}

std::string_view ClientRing::Buffer(const io_uring_cqe& cqe) const {
  const size_t index = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
  return {buffers_ + index * buffer_bytes_, static_cast<size_t>(cqe.res)};
}

void ClientRing::ReturnBuffer(const io_uring_cqe& cqe) {
  const size_t index = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
  io_uring_buf_ring_add(buffer_ring_, buffers_ + index * buffer_bytes_,
                        static_cast<unsigned>(buffer_bytes_), static_cast<uint16_t>(index),
                        io_uring_buf_ring_mask(kBufferCount), 0);
  io_uring_buf_ring_advance(buffer_ring_, 1);
}

void ClientRing::ArmAlarm(uint64_t user_data, double seconds) {
  alarm_.tv_sec = static_cast<int64_t>(seconds);
  alarm_.tv_nsec = static_cast<int64_t>((seconds - static_cast<double>(alarm_.tv_sec)) * 1e9);
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_timeout(sqe, &alarm_, 0, 0);
  sqe->user_data = user_data;
}

void ClientRing::DisarmAlarm(uint64_t user_data) {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_timeout_remove(sqe, user_data, 0);
  sqe->user_data = user_data;
}

}  // namespace side_by_side
