#include "tests/engine/faults/fault_ring.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "engine/connection/operation.h"
#include "tests/engine/faults/memory_faults.h"

namespace ringmaster::faults {
namespace {

// Of our own cancellations; the engine knows no such operation.
constexpr uint8_t kOwnCancel = 0xFF;

constexpr int kAcceptErrors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
constexpr int kSendErrors[] = {ENOBUFS, ENOMEM};
constexpr int kConnectErrors[] = {ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL};
constexpr int kCloseErrors[] = {EIO, EINTR, ENOSPC};

template <size_t size>
int32_t OneOf(simulation::Random& random, const int (&errors)[size]) {
  return -errors[random.Below(size)];
}

bool IsMultishot(const Completion& completion) {
  return completion.user_data.operation() == kOperationAccept ||
         completion.user_data.operation() == kOperationReceive;
}

}  // namespace

FaultRing::~FaultRing() {
  kernel_.reset();
  for (const auto& [user_data, ending] : endings_) {
    if (UserData(user_data).operation() != kOperationAccept) continue;
    for (const Completion& completion : ending.held) close(completion.result);
  }
}

bool FaultRing::Draw(Fault fault) {
  // No draw for what cannot happen: a run without faults draws nothing.
  if (rates_[fault] == 0 || !random_.Chance(rates_[fault])) return false;
  ++counts_[static_cast<size_t>(fault)];
  return true;
}

void FaultRing::Complete(UserData user_data, int32_t result) {
  const MemoryFaults::Pause pause;
  // Late at once, so that it is seen behind the next SubmitAndWait and not before.
  late_.push_back({user_data, result, 0});
}

void FaultRing::SubmitAcceptMultishot(int listening_fd, UserData user_data) {
  if (Draw(Fault::kAcceptError)) return Complete(user_data, OneOf(random_, kAcceptErrors));
  kernel_->SubmitAcceptMultishot(listening_fd, user_data);
}

void FaultRing::SubmitRecvMultishot(int fd, UserData user_data, LinkedTimeout timeout) {
  if (Draw(Fault::kReceiveStarved)) return Complete(user_data, -ENOBUFS);
  kernel_->SubmitRecvMultishot(fd, user_data, timeout);
}

void FaultRing::SubmitRead(int fd, void* buffer, size_t bytes, uint64_t offset,
                           UserData user_data) {
  if (user_data.operation() == kOperationFileRead) {
    if (Draw(Fault::kReadError)) return Complete(user_data, -EIO);
    if (bytes > 1 && Draw(Fault::kReadShort)) bytes = random_.Between(1, bytes - 1);
  }
  kernel_->SubmitRead(fd, buffer, bytes, offset, user_data);
}

bool FaultRing::FailSend(UserData user_data) {
  if (!Draw(Fault::kSendNoMemory)) return false;
  Complete(user_data, OneOf(random_, kSendErrors));
  return true;
}

size_t FaultRing::ShortenSend(size_t bytes) {
  return bytes > 1 && Draw(Fault::kSendShort) ? random_.Between(1, bytes - 1) : bytes;
}

void FaultRing::SubmitSend(int fd, const void* data, size_t bytes, UserData user_data) {
  if (FailSend(user_data)) return;
  if (Draw(Fault::kSendWouldBlock)) return Complete(user_data, -EAGAIN);
  kernel_->SubmitSend(fd, data, ShortenSend(bytes), user_data);
}

void FaultRing::SubmitSendMessage(int fd, const msghdr* message, UserData user_data) {
  if (FailSend(user_data)) return;
  if (Draw(Fault::kSendWouldBlock)) return Complete(user_data, -EAGAIN);
  if (Draw(Fault::kSendShort)) {
    // The first piece alone.
    return kernel_->SubmitSend(fd, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len,
                               user_data);
  }
  kernel_->SubmitSendMessage(fd, message, user_data);
}

void FaultRing::SubmitSendStuck(int fd, const void* data, size_t bytes, UserData user_data,
                                LinkedTimeout timeout) {
  if (FailSend(user_data)) return;
  kernel_->SubmitSendStuck(fd, data, ShortenSend(bytes), user_data, timeout);
}

void FaultRing::SubmitSendMessageStuck(int fd, const msghdr* message, UserData user_data,
                                       LinkedTimeout timeout) {
  if (FailSend(user_data)) return;
  kernel_->SubmitSendMessageStuck(fd, message, user_data, timeout);
}

void FaultRing::SubmitConnect(int fd, const sockaddr* address, socklen_t address_bytes,
                              UserData user_data, LinkedTimeout timeout) {
  if (Draw(Fault::kConnectError)) return Complete(user_data, OneOf(random_, kConnectErrors));
  kernel_->SubmitConnect(fd, address, address_bytes, user_data, timeout);
}

void FaultRing::SubmitUpdateLinkedTimeout(UserData timeout, TimePoint deadline,
                                          UserData user_data) {
  kernel_->SubmitUpdateLinkedTimeout(timeout, deadline, user_data);
}

void FaultRing::SubmitCancel(UserData target, UserData user_data) {
  kernel_->SubmitCancel(target, user_data);
}

void FaultRing::SubmitCancelFd(int fd, UserData user_data) {
  kernel_->SubmitCancelFd(fd, user_data);
}

void FaultRing::SubmitClose(int fd, UserData user_data) { kernel_->SubmitClose(fd, user_data); }

void FaultRing::SubmitAndWait(const Wait& wait) {
  Wait changed = wait;
  if (!ready_.empty() || !late_.empty() || Draw(Fault::kEarlyReturn)) changed.completions_min = 0;
  kernel_->SubmitAndWait(changed);
  const MemoryFaults::Pause pause;
  ready_.insert(ready_.end(), late_.begin(), late_.end());
  late_.clear();
}

// Lets the kernel cancel the operation of `completion`. The end is told as `result`, or, when that
// is 0, by `completion` itself. The cancellation stands in the submission queue before anything
// that the engine may submit under the same name, so it hits this life of the operation or nothing.
void FaultRing::End(const Completion& completion, int32_t result) {
  Ending& ending = endings_[completion.user_data.value];
  ending.result = result;
  if (result == 0) {
    ending.held.push_back(completion);
  } else {
    ready_.push_back(completion);
  }
  kernel_->SubmitCancel(completion.user_data, UserData(kOwnCancel, 0, 0));
}

void FaultRing::TakeOfEnding(Ending& ending, const Completion& completion) {
  if (completion.more()) {
    if (ending.result == 0) {
      ending.held.push_back(completion);
    } else {
      ready_.push_back(completion);
    }
    return;
  }
  Completion end = completion;
  if (completion.result == -ECANCELED && ending.result < 0) end.result = ending.result;
  if (completion.result == -ECANCELED && ending.result == 0) {
    ending.held.back().flags &= ~Completion::kMore;
  } else {
    ending.held.push_back(end);
  }
  ready_.insert(ready_.end(), ending.held.begin(), ending.held.end());
  endings_.erase(completion.user_data.value);
}

void FaultRing::Take(const Completion& completion) {
  const uint8_t operation = completion.user_data.operation();
  if (operation == kOwnCancel) return;
  if (const auto it = endings_.find(completion.user_data.value); it != endings_.end()) {
    return TakeOfEnding(it->second, completion);
  }
  if (completion.more() && completion.result >= 0) {
    const bool accept = operation == kOperationAccept;
    if (Draw(accept ? Fault::kAcceptError : Fault::kReceiveStarved)) {
      return End(completion, accept ? OneOf(random_, kAcceptErrors) : -ENOBUFS);
    }
    if (Draw(accept ? Fault::kAcceptEnds : Fault::kReceiveEnds)) return End(completion, 0);
  }
  Completion changed = completion;
  if (operation == kOperationClose && Draw(Fault::kCloseError)) {
    changed.result = OneOf(random_, kCloseErrors);
  }
  // Never a multishot: its completions keep their order.
  if (!IsMultishot(completion) && Draw(Fault::kLate)) {
    late_.push_back(changed);
  } else {
    ready_.push_back(changed);
  }
}

size_t FaultRing::Reap(std::span<Completion> out) {
  const MemoryFaults::Pause pause;
  Completion completions[64];
  while (const size_t count = kernel_->Reap(completions)) {
    std::for_each(completions, completions + count, [this](const Completion& c) { Take(c); });
  }
  size_t count = std::min(out.size(), ready_.size());
  if (count > 1 && Draw(Fault::kReapShort)) count = random_.Between(1, count - 1);
  std::copy_n(ready_.begin(), count, out.begin());
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(count));
  return count;
}

}  // namespace ringmaster::faults
