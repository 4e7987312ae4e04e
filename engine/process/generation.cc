#include "engine/process/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/process/cpu_affinity.h"
#include "engine/process/resource_limits.h"

namespace ringmaster {
namespace {

// A limit counts for the same listeners, and the memory in which it counts is laid out alike.
bool ShareLimits(const ServerDefinition& a, const ServerDefinition& b) {
  const auto same_gate = [](const auto& x, const auto& y) {
    return x->address == y->address && x->accept_rate == y->accept_rate;
  };
  return a.options.accept_rate == b.options.accept_rate && a.options.address == b.options.address &&
         std::equal(a.listeners().begin(), a.listeners().end(), b.listeners().begin(),
                    b.listeners().end(), same_gate);
}

}  // namespace

uint32_t Generation::WorkerCountOf(const ServerDefinition& definition) {
  if (definition.options.workers > 0) return definition.options.workers;
  return DefaultWorkerCount(AllowedCpus().size(), CpuQuota());
}

uint32_t Generation::SlotCapacityFor(uint32_t worker_count) {
  return std::max<uint32_t>(128, 4 * worker_count);
}

absl::StatusOr<std::shared_ptr<Generation>> Generation::Make(
    uint32_t number, WorkerProgram program, UniqueFd configuration,
    std::shared_ptr<const ServerDefinition> definition, uint64_t descriptor_limit,
    uint32_t slot_capacity, const Generation* former) {
  const ServerOptions& options = definition->options;
  auto generation = std::make_shared<Generation>();
  generation->number = number;
  generation->program = std::move(program);
  generation->configuration = std::move(configuration);
  generation->definition = definition;
  generation->worker_count = WorkerCountOf(*definition);
  const absl::StatusOr<uint32_t> connections_max = WorkerConnectionsMax(
      options.worker_connections_max, descriptor_limit, definition->listeners().size());
  if (!connections_max.ok()) return connections_max.status();
  generation->connections_max = *connections_max;
  if (options.pin_workers) generation->cpus = AllowedCpus();
  if (!SharedLimits::NeededBy(*definition)) return generation;
  if (former != nullptr && former->limits != nullptr &&
      ShareLimits(*former->definition, *definition)) {
    generation->limits = former->limits;
    return generation;
  }
  absl::StatusOr<std::unique_ptr<SharedLimits>> limits =
      SharedLimits::Create(*definition, slot_capacity);
  if (!limits.ok()) return limits.status();
  // The limits outlive this generation where later ones share them, and need its definition.
  generation->limits = std::shared_ptr<SharedLimits>(
      limits->release(), [definition](SharedLimits* shared) { delete shared; });
  return generation;
}

}  // namespace ringmaster
