#include "engine/worker/orphan.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/descriptor_passing.h"
#include "engine/base/log.h"
#include "engine/config/units.h"
#include "engine/connection/operation.h"
#include "engine/process/control_message.h"
#include "engine/process/orphan_hello.h"
#include "engine/stats/shared_status.h"
#include "engine/worker/worker.h"

namespace ringmaster {
namespace {

// A caller that says nothing must not keep others out.
constexpr Duration kAnswerMax = std::chrono::seconds(10);
// When a caller could not be let in for want of descriptors or memory.
constexpr Duration kTryAgain = std::chrono::milliseconds(100);
constexpr uint32_t kPoll = 0;  // slots of kOperationOrphan
constexpr uint32_t kSignal = 1;
constexpr uint32_t kCancel = 2;

// Of the one worker of this process.
std::atomic<int> signal_fd = -1;

extern "C" void OnTerminate(int) {
  const int error = errno;
  const uint64_t one = 1;
  (void)!::write(signal_fd.load(), &one, sizeof(one));
  errno = error;
}

// Root, the worker's own account, and that of the master that made the door.
bool MayCall(int caller, int door) {
  ucred who = {};
  ucred owner = {};
  socklen_t size = sizeof(ucred);
  if (::getsockopt(caller, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 ||
      ::getsockopt(door, SOL_SOCKET, SO_PEERCRED, &owner, &size) != 0) {
    return false;
  }
  return who.uid == 0 || who.uid == ::geteuid() || who.uid == owner.uid;
}

std::vector<pid_t> ThatServe() {
  std::vector<pid_t> pids;
  const SharedBlock* const block = SharedStatus::Get();
  for (uint32_t index = 0; block != nullptr && index < block->slot_count(); ++index) {
    const SharedSlot& slot = block->slot(index);
    if (slot.state.load() == SlotState::kReady && slot.pid.load() > 0) {
      pids.push_back(slot.pid.load());
    }
  }
  pids.resize(std::min(pids.size(), OrphanHello::kListSizeMax));
  return pids;
}

}  // namespace

// One that waits to take another's place leaves, but not with connections that the other has given
// it already. Who was told to leave does.
bool Worker::Outlives() const {
  return server_.options.orphaned_workers == OrphanedWorkers::kServe && environment_.door_fd >= 0 &&
         !stopping_ && !retiring_ && (serving_ || slab_.used_count() > outbound_count_);
}

void Worker::OnMasterGone() {
  if (!Outlives()) {
    log::Get().warn("the master is gone, worker {} stops", index());
    CloseDoor();
    Stop();
    return;
  }
  // A socket of a hand-over of which the master could not speak any more: its other end shall see
  // that nobody comes.
  while (environment_.inbox_fd >= 0 &&
         !ReceiveDescriptors(environment_.inbox_fd, 16).bytes.empty()) {
  }
  // What is on its way to another comes back.
  Serve();
  try {
    orphan_ = std::make_unique<Orphan>(*this);
  } catch (const std::bad_alloc&) {
    CloseDoor();
    Stop();  // nothing would bound it
    return;
  }
  const Duration timeout = server_.options.orphan_timeout;
  log::Get().warn(
      "the master is gone, worker {} serves on until a new one adopts it{}", index(),
      timeout.count() == 0 ? "" : fmt::format(", for {} at most", config::FormatDuration(timeout)));
}

void Worker::CloseDoor() {
  if (environment_.door_fd >= 0) ::close(std::exchange(environment_.door_fd, -1));
}

void Worker::OnOrphan(const Completion& completion) {
  if (orphan_ == nullptr || completion.result < 0) return;
  if (completion.user_data.slot() == kSignal) orphan_->OnSignal();
  if (completion.user_data.slot() == kPoll && !orphan_->OnReadable()) orphan_.reset();
}

Orphan::Orphan(Worker& worker) : worker_(worker) {
  const Duration timeout = worker_.server_.options.orphan_timeout;
  if (timeout.count() > 0) {
    orphan_timer_ = worker_.AddTimer(timeout, Duration::zero(), [this] {
      orphan_timer_ = 0;
      log::Get().warn("no master has come within orphan_timeout, worker {} stops", worker_.index());
      worker_.Stop();
    });
  }
  ListenToSignal();
  AwaitCaller();
}

void Orphan::ListenToSignal() {
  signal_.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!signal_.valid()) return;  // no descriptor is left; the timeout and the door remain
  signal_fd.store(signal_.get());
  worker_.ring().SubmitPoll(signal_.get(), UserData(kOperationOrphan, 0, kSignal));
  struct sigaction action = {};
  action.sa_handler = OnTerminate;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGTERM, &action, nullptr);
}

void Orphan::OnSignal() {
  log::Get().info("SIGTERM: worker {} stops, it has no master", worker_.index());
  worker_.Stop();
}

Orphan::~Orphan() {
  if (signal_.valid()) ::signal(SIGTERM, SIG_IGN);
  for (const TimerId timer : {orphan_timer_, patience_timer_}) {
    if (timer != 0) worker_.CancelTimer(timer);
  }
}

void Orphan::End() {
  if (std::exchange(ended_, true)) return;
  // The poll that is armed keeps the door open, too.
  Cancel(kPoll);
  Cancel(kSignal);
  if (caller_.valid()) ::shutdown(caller_.get(), SHUT_RDWR);
  caller_.Reset();
  worker_.CloseDoor();
}

void Orphan::Cancel(uint32_t slot) {
  worker_.ring().SubmitCancel(UserData(kOperationOrphan, 0, slot),
                              UserData(kOperationOrphan, 0, kCancel));
}

void Orphan::AwaitCaller() {
  worker_.ring().SubmitPoll(worker_.environment_.door_fd, UserData(kOperationOrphan, 0, kPoll));
}

void Orphan::AwaitCallerLater() {
  patience_timer_ = worker_.AddTimer(kTryAgain, Duration::zero(), [this] {
    patience_timer_ = 0;
    if (!ended_) AwaitCaller();
  });
}

void Orphan::AwaitAnswer() {
  worker_.ring().SubmitPoll(caller_.get(), UserData(kOperationOrphan, 0, kPoll));
}

bool Orphan::OnReadable() {
  if (ended_) return true;
  if (caller_.valid()) return Hear();
  Receive();
  return true;
}

void Orphan::Receive() {
  // Blocking: as a control socket it is read through the ring, which fails on others.
  caller_.Reset(::accept4(worker_.environment_.door_fd, nullptr, nullptr, SOCK_CLOEXEC));
  if (!caller_.valid()) {
    // Another orphan was faster.
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) {
      AwaitCaller();
    } else {
      AwaitCallerLater();
    }
    return;
  }
  if (!Greet()) {
    caller_.Reset();
    AwaitCaller();
    return;
  }
  patience_timer_ = worker_.AddTimer(kAnswerMax, Duration::zero(), [this] {
    patience_timer_ = 0;
    if (caller_.valid()) ::shutdown(caller_.get(), SHUT_RDWR);
  });
  AwaitAnswer();
}

bool Orphan::Greet() {
  const WorkerEnvironment& environment = worker_.environment_;
  if (!MayCall(caller_.get(), environment.door_fd)) {
    log::Get().warn("worker {} does not speak to another account's process", worker_.index());
    return false;
  }
  OrphanHello hello;
  hello.index = environment.index;
  hello.generation = environment.generation;
  hello.connection_prefix = environment.connection_prefix;
  hello.connections = worker_.slab_.used_count();
  hello.served = ThatServe();
  std::vector<int> fds;
  for (const ListeningSocket& socket : environment.listening_sockets) {
    hello.listeners.push_back(worker_.listener_keys_[socket.listener]);
    fds.push_back(socket.fd);
  }
  if (!SendDescriptors(caller_.get(), hello.Write(), {})) return false;
  for (size_t begin = 0; begin < fds.size(); begin += kDescriptorsPerMessageMax) {
    const size_t count = std::min(kDescriptorsPerMessageMax, fds.size() - begin);
    if (!SendDescriptors(caller_.get(), "f", std::span(fds).subspan(begin, count))) return false;
  }
  return true;
}

bool Orphan::Hear() {
  ReceivedDescriptors answer = ReceiveDescriptors(caller_.get(), ControlPacket::kBytesMax);
  if (answer.bytes.empty() && !answer.ended) {
    AwaitAnswer();
    return true;
  }
  if (patience_timer_ != 0) worker_.CancelTimer(std::exchange(patience_timer_, 0));
  const std::optional<ControlPacket> packet =
      ControlPacket::Read(answer.bytes.data(), answer.bytes.size());
  WorkerEnvironment& environment = worker_.environment_;
  const auto becomes = [](int& fd, const UniqueFd& from) {
    // The same number: the watchdog's thread knows it.
    if (fd >= 0) ::dup3(from.get(), fd, O_CLOEXEC);
  };
  if (packet && packet->message == ControlMessage::kTakeIn && answer.fds.size() == 3) {
    becomes(environment.control_fd, caller_);
    becomes(environment.inbox_fd, answer.fds[0]);
    becomes(environment.report_fd, answer.fds[1]);
    becomes(environment.door_fd, answer.fds[2]);
    Cancel(kSignal);
    log::Get().info("a new master has adopted worker {}", worker_.index());
    worker_.ArmControl();
    return false;
  }
  if (packet &&
      (packet->message == ControlMessage::kStop || packet->message == ControlMessage::kStopNow)) {
    becomes(environment.control_fd, caller_);
    worker_.CloseDoor();
    Cancel(kSignal);
    ended_ = true;
    if (packet->message == ControlMessage::kStop) {
      worker_.Stop();
    } else {
      worker_.StopNow();
    }
    worker_.ArmControl();
    return false;
  }
  caller_.Reset();
  AwaitCaller();
  return true;
}

}  // namespace ringmaster
