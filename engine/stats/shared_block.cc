#include "engine/stats/shared_block.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "engine/base/check.h"
#include "engine/stats/figures.h"

namespace ringmaster {
namespace {

constexpr size_t kSlotsOffset = (sizeof(SharedHeader) + 63) / 64 * 64;

size_t BytesFor(uint32_t slot_count) { return kSlotsOffset + slot_count * sizeof(SharedSlot); }

absl::StatusOr<void*> MapShared(int fd, size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "cannot map the shared counters");
  return memory;
}

template <size_t kBytes>
void CopyText(char (&to)[kBytes], std::string_view from) {
  const size_t bytes = std::min(from.size(), kBytes - 1);
  if (bytes > 0) std::memcpy(to, from.data(), bytes);
  to[bytes] = '\0';
}

}  // namespace

std::string_view SlotStateName(SlotState state) {
  switch (state) {
    case SlotState::kEmpty:
      return "empty";
    case SlotState::kStarting:
      return "starting";
    case SlotState::kStandby:
      return "standby";
    case SlotState::kReady:
      return "ready";
    case SlotState::kDraining:
      return "draining";
    case SlotState::kStopping:
      return "stopping";
    case SlotState::kRestarting:
      return "restarting";
    case SlotState::kStopped:
      return "stopped";
  }
  return "unknown";
}

absl::StatusOr<std::unique_ptr<SharedBlock>> SharedBlock::Create(uint32_t slot_count,
                                                                 bool with_admin,
                                                                 uint32_t slot_capacity) {
  const uint32_t admin_count = with_admin ? 1 : 0;
  slot_capacity = std::max(slot_capacity, slot_count);
  const size_t bytes = BytesFor(slot_capacity + admin_count);
  UniqueFd fd(::memfd_create("ringmaster-counters", MFD_CLOEXEC));
  if (!fd.valid() || ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make the shared memory for counters");
  }
  absl::StatusOr<void*> memory = MapShared(fd.get(), bytes);
  if (!memory.ok()) return memory.status();
  SharedHeader* header = new (*memory) SharedHeader();
  header->bytes = bytes;
  header->slot_capacity = slot_capacity;
  header->worker_count.store(slot_count);
  header->admin_count = admin_count;
  std::unique_ptr<SharedBlock> block(new SharedBlock(std::move(fd), *memory, bytes));
  for (uint32_t i = 0; i < slot_count; ++i) block->AddSlot();
  if (with_admin) new (&block->slots_[slot_capacity]) SharedSlot();
  return block;
}

absl::StatusOr<std::unique_ptr<SharedBlock>> SharedBlock::Map(UniqueFd fd) {
  struct stat file = {};
  if (::fstat(fd.get(), &file) != 0) {
    return absl::ErrnoToStatus(errno, "the inherited shared memory is not there");
  }
  const size_t bytes = static_cast<size_t>(file.st_size);
  if (bytes < BytesFor(1)) {
    return absl::FailedPreconditionError("the inherited shared memory is too short");
  }
  absl::StatusOr<void*> memory = MapShared(fd.get(), bytes);
  if (!memory.ok()) return memory.status();
  std::unique_ptr<SharedBlock> block(new SharedBlock(std::move(fd), *memory, bytes));
  const SharedHeader& header = block->header();
  if (header.magic != SharedHeader::kMagic || header.layout != SharedHeader::kLayout ||
      header.slot_bytes != sizeof(SharedSlot) || header.bytes != bytes ||
      header.slot_count.load() > header.slot_capacity ||
      BytesFor(header.slot_capacity + header.admin_count) != bytes) {
    return absl::FailedPreconditionError(
        "master and worker are of different releases: stop the server and start it again");
  }
  return block;
}

SharedBlock::SharedBlock(UniqueFd fd, void* memory, size_t bytes)
    : fd_(std::move(fd)),
      header_(static_cast<SharedHeader*>(memory)),
      slots_(reinterpret_cast<SharedSlot*>(static_cast<char*>(memory) + kSlotsOffset)),
      bytes_(bytes) {}

SharedBlock::~SharedBlock() { ::munmap(header_, bytes_); }

uint64_t SharedBlock::Fingerprint() {
  std::string text = fmt::format("{} {}", SharedHeader::kLayout, sizeof(SharedSlot));
  const auto counters = std::make_unique<WorkerCounters>();
  ForEachFigure(*counters,
                [&text](const Figure& figure) { text += ' ' + std::string(figure.name); });
  return XXH3_64bits(text.data(), text.size());
}

bool SharedBlock::AddSlot() {
  const uint32_t index = slot_count();
  if (index >= slot_capacity()) return false;
  new (&slots_[index]) SharedSlot();
  header_->slot_count.store(index + 1);
  return true;
}

SharedSlot& SharedBlock::slot(uint32_t index) {
  CHECK(index < slot_count());
  return slots_[index];
}

const SharedSlot& SharedBlock::slot(uint32_t index) const {
  CHECK(index < slot_count());
  return slots_[index];
}

Duration SharedBlock::StuckFor(uint32_t index, TimePoint now) const {
  const SharedSlot& worker = slot(index);
  const TimePoint began = worker.pulse.turn_began_at.load(std::memory_order_relaxed);
  const int64_t timeout = header_->handler_timeout.load();
  if (timeout == 0 || began == 0 || worker.state.load() != SlotState::kReady) {
    return Duration::zero();
  }
  return now - began > timeout ? Duration(now - began) : Duration::zero();
}

SharedSlot* SharedBlock::admin_slot() {
  return header_->admin_count == 0 ? nullptr : &slots_[slot_capacity()];
}

const SharedSlot* SharedBlock::admin_slot() const {
  return header_->admin_count == 0 ? nullptr : &slots_[slot_capacity()];
}

void SharedBlock::DescribeReload(std::string_view state) { CopyText(header_->reload.state, state); }

void SharedBlock::DescribeReload(std::string_view state, std::string_view result,
                                 std::string_view reason) {
  CopyText(header_->reload.result, result);
  CopyText(header_->reload.reason, reason);
  DescribeReload(state);
}

void SharedBlock::Describe(std::string_view name, std::string_view version,
                           const std::vector<std::string>& listeners,
                           std::string_view admin_listener) {
  CopyText(header_->admin_listener, admin_listener);
  CopyText(header_->name, name);
  CopyText(header_->version, version);
  const size_t count = std::min(listeners.size(), SharedHeader::kListenersMax);
  for (size_t i = 0; i < count; ++i) CopyText(header_->listeners[i], listeners[i]);
  header_->listener_count = static_cast<uint32_t>(count);
}

}  // namespace ringmaster
