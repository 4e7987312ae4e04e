#include "engine/process/fleet.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/stats/shared_status.h"

namespace ringmaster {

// One that was used at this place before, if there is one: its figures go on.
absl::StatusOr<uint32_t> Fleet::FreeIndex(uint32_t place) {
  std::optional<uint32_t> any;
  for (uint32_t index = 0; index < block_.slot_count(); ++index) {
    SharedSlot& slot = block_.slot(index);
    if (!slot.retired.load()) continue;
    if (slot.place.load() == place) return index;
    if (!any) any = index;
  }
  if (block_.AddSlot()) {
    const uint32_t index = block_.slot_count() - 1;
    const absl::Status added = inquiry_.AddWorker(index);
    if (!added.ok()) return added;
    return index;
  }
  if (any) return *any;
  return absl::ResourceExhaustedError(fmt::format(
      "there is room for {} workers, and old ones still drain: wait for them, or stop and start "
      "the server for so many more workers",
      block_.slot_capacity()));
}

absl::StatusOr<WorkerSlot*> Fleet::Start(std::shared_ptr<const Generation> generation,
                                         uint32_t place, const ListeningSockets& listening,
                                         bool standby) {
  const absl::StatusOr<uint32_t> index = FreeIndex(place);
  if (!index.ok()) return index.status();
  const ServerDefinition& definition = *generation->definition;
  WorkerInheritance role;
  role.index = *index;
  role.generation = generation->number;
  role.standby = standby;
  role.shared_fd = generation->block.valid() ? generation->block.get() : block_.fd();
  role.limits_fd = generation->limits == nullptr ? -1 : generation->limits->fd();
  role.report_fd = inquiry_.report_fd(*index);
  role.door_fd = door_fd_;
  role.configuration_fd = generation->configuration.get();
  role.cpu = generation->CpuOf(place);
  role.connections_max = generation->connections_max;
  role.listening_sockets = listening.ForWorker(definition, place, generation->worker_count);
  WorkerSlot& slot = slots_.emplace_back(
      std::move(role), std::move(generation), place, block_.slot(*index),
      fmt::format("{}: worker {}", definition.options.name, *index), next_prefix_);
  if (const absl::Status status = slot.Start(MonotonicNow()); !status.ok()) {
    Forget(slot);
    return status;
  }
  return &slot;
}

absl::StatusOr<WorkerSlot*> Fleet::Adopt(std::shared_ptr<const Generation> generation,
                                         uint32_t place, WorkerSlot::Adopted adopted,
                                         UniqueFd report) {
  const absl::StatusOr<uint32_t> index = FreeIndex(place);
  if (!index.ok()) return index.status();
  inquiry_.SetReport(*index, std::move(report));
  WorkerInheritance role;
  role.index = *index;
  role.shared_fd = block_.fd();
  const std::string& name = generation->definition->options.name;
  return &slots_.emplace_back(std::move(adopted), std::move(role), std::move(generation), place,
                              block_.slot(*index), fmt::format("{}: worker {}", name, *index),
                              next_prefix_);
}

void Fleet::Save(StateWriter& out, std::vector<int>& kept) const {
  out.Unsigned(next_prefix_);
  out.Unsigned(slots_.size());
  for (const WorkerSlot& slot : slots_) {
    out.Unsigned(slot.index());
    out.Unsigned(slot.generation().number);
    slot.Save(out, kept);
  }
}

absl::Status Fleet::Resume(
    StateReader& in, const std::map<uint32_t, std::shared_ptr<const Generation>>& generations) {
  next_prefix_ = static_cast<uint16_t>(in.UnsignedUpTo(UINT16_MAX));
  const uint64_t count = in.Unsigned();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    const auto index = static_cast<uint32_t>(in.Unsigned());
    const auto generation = generations.find(static_cast<uint32_t>(in.Unsigned()));
    // A block of this program's own has no slots yet.
    while (block_.slot_count() <= index) {
      if (!block_.AddSlot()) break;
      block_.slot(block_.slot_count() - 1).retired.store(true);
    }
    if (generation == generations.end() || index >= block_.slot_count()) {
      return absl::InvalidArgumentError("a worker is of no generation, or has no slot");
    }
    const std::string& name = generation->second->definition->options.name;
    slots_.emplace_back(in, generation->second, block_.slot(index),
                        fmt::format("{}: worker {}", name, index), next_prefix_);
  }
  if (!in.ok()) return absl::InvalidArgumentError("the state of the workers is cut short");
  return absl::OkStatus();
}

WorkerSlot* Fleet::InService(uint32_t place) {
  for (WorkerSlot& slot : slots_) {
    if (slot.in_service() && slot.place() == place) return &slot;
  }
  return nullptr;
}

WorkerSlot* Fleet::FindByPid(pid_t pid) {
  for (WorkerSlot& slot : slots_) {
    if (slot.pid() == pid) return &slot;
  }
  return nullptr;
}

WorkerSlot* Fleet::FindByIndex(uint32_t index) {
  for (WorkerSlot& slot : slots_) {
    if (slot.index() == index) return &slot;
  }
  return nullptr;
}

void Fleet::Forget(WorkerSlot& slot) {
  slot.Retire();
  slots_.remove_if([&slot](const WorkerSlot& other) { return &other == &slot; });
}

void Fleet::ForgetAdopted() {
  slots_.remove_if([](WorkerSlot& slot) {
    if (slot.adopted()) slot.Retire();
    return slot.adopted();
  });
}

bool Fleet::AnyRunning() const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const WorkerSlot& slot) { return slot.running(); });
}

}  // namespace ringmaster
