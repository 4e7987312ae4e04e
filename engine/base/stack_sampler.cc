#include "engine/base/stack_sampler.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <limits.h>
#include <signal.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "absl/debugging/symbolize.h"
#include "engine/base/check.h"

namespace ringmaster {
namespace {

constexpr int kSignal = SIGURG;

// Frames from the interrupted function outwards; those in front are the handler's own.
struct Frames {
  uintptr_t* begin;
  size_t count;
  bool past_the_handler;
};

_Unwind_Reason_Code AddFrame(_Unwind_Context* context, void* argument) {
  auto& frames = *static_cast<Frames*>(argument);
  int before_instruction = 0;
  uintptr_t address = _Unwind_GetIPInfo(context, &before_instruction);
  // The only frame that stands on an instruction and not behind a call is the interrupted one.
  if (before_instruction != 0) frames.past_the_handler = true;
  if (!frames.past_the_handler) return _URC_NO_REASON;
  if (address == 0 || frames.count == StackSampler::kFramesMax) return _URC_END_OF_STACK;
  // A return address may already belong to the next function or line; the call is in front of it.
  if (before_instruction == 0) --address;
  frames.begin[frames.count++] = address;
  return _URC_NO_REASON;
}

std::string_view FileName(const char* path) {
  const std::string_view name = path == nullptr ? "" : path;
  return name.substr(name.rfind('/') + 1);
}

// This program's file and where it was loaded. dladdr(3) names it by argv[0], and that of a worker
// is a title for `ps`.
struct Program {
  std::string name;
  void* base = nullptr;

  Program() {
    char path[PATH_MAX];
    const ssize_t bytes = ::readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[std::max<ssize_t>(bytes, 0)] = '\0';
    name = FileName(path);
    Dl_info module = {};
    if (::dladdr(reinterpret_cast<void*>(::getauxval(AT_ENTRY)), &module) != 0) {
      base = module.dli_fbase;
    }
  }
};
const Program& ThisProgram() {
  static const Program program;
  return program;
}

}  // namespace

StackSampler::StackSampler(pthread_t target, absl::AnyInvocable<void()> on_target)
    : target_(target), on_target_(std::move(on_target)) {
  // Once, and it stays: what it would be set back to ignores the signal as well.
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_sigaction = &StackSampler::OnSignal;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    return ::sigaction(kSignal, &action, nullptr) == 0;
  }();
  CHECK(installed);
  // Looks at the executable now: after an update its path names another file.
  ThisProgram();
  char name[64];
  absl::Symbolize(reinterpret_cast<const void*>(&AddFrame), name, sizeof(name));
}

void StackSampler::OnSignal(int, siginfo_t* info, void*) {
  // Others may send SIGURG too; only what this process queued carries our pointer.
  if (info->si_code != SI_QUEUE || info->si_pid != ::getpid()) return;
  const int error = errno;
  static_cast<StackSampler*>(info->si_value.sival_ptr)->Walk();
  errno = error;
}

void StackSampler::Walk() {
  const uint32_t wanted = wanted_.load(std::memory_order_acquire);
  if (taken_.load(std::memory_order_relaxed) == wanted) return;
  Frames frames = {frames_.data(), 0, false};
  _Unwind_Backtrace(&AddFrame, &frames);
  frame_count_ = frames.count;
  if (on_target_) on_target_();
  taken_.store(wanted, std::memory_order_release);
}

bool StackSampler::Take(Duration patience) {
  const uint32_t wanted = wanted_.load(std::memory_order_relaxed) + 1;
  wanted_.store(wanted, std::memory_order_release);
  sigval value = {};
  value.sival_ptr = this;
  if (::pthread_sigqueue(target_, kSignal, value) != 0) return false;
  constexpr Duration kPause = std::chrono::milliseconds(1);
  for (Duration waited{}; waited <= patience; waited += kPause) {
    if (taken_.load(std::memory_order_acquire) == wanted) return true;
    const timespec pause = {0, kPause.count()};
    ::nanosleep(&pause, nullptr);
  }
  return taken_.load(std::memory_order_acquire) == wanted;
}

std::string StackSampler::Describe(size_t frame) const {
  CHECK(frame < frame_count_);
  void* const address = reinterpret_cast<void*>(frames_[frame]);
  char name[1024];
  const bool known = absl::Symbolize(address, name, sizeof(name));
  Dl_info module = {};
  std::string place = fmt::format("{:#x}", frames_[frame]);
  if (::dladdr(address, &module) != 0 && module.dli_fname != nullptr) {
    const Program& program = ThisProgram();
    const std::string_view file = module.dli_fbase == program.base ? std::string_view(program.name)
                                                                   : FileName(module.dli_fname);
    place = fmt::format("{}+{:#x}", file,
                        frames_[frame] - reinterpret_cast<uintptr_t>(module.dli_fbase));
  }
  return known ? fmt::format("{} ({})", name, place) : place;
}

}  // namespace ringmaster
