#include "engine/process/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/process/cpu_affinity.h"
#include "engine/process/definition_plan.h"
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

void Generation::Save(StateWriter& out, std::vector<int>& kept) const {
  const int fds[] = {program.fd(), configuration.get(), block.get(),
                     limits == nullptr ? -1 : limits->fd()};
  out.Unsigned(number);
  out.Bytes(program.path());
  out.Unsigned(program.arguments().size());
  for (const std::string& argument : program.arguments()) out.Bytes(argument);
  out.Bytes(version);
  for (const int fd : fds) {
    out.Signed(fd);
    if (fd >= 0) kept.push_back(fd);
  }
  out.Bytes(WritePlan(*definition));
  out.Unsigned(worker_count);
  out.Unsigned(connections_max);
  out.Unsigned(cpus.size());
  for (const int cpu : cpus) out.Signed(cpu);
}

absl::StatusOr<std::shared_ptr<Generation>> Generation::Resume(StateReader& in) {
  auto generation = std::make_shared<Generation>();
  generation->number = static_cast<uint32_t>(in.Unsigned());
  std::string path(in.Bytes());
  std::vector<std::string> arguments(in.UnsignedUpTo(4096));
  for (std::string& argument : arguments) argument = in.Bytes();
  generation->version = in.Bytes();
  UniqueFd executable(static_cast<int>(in.Signed()));
  generation->configuration.Reset(static_cast<int>(in.Signed()));
  generation->block.Reset(static_cast<int>(in.Signed()));
  UniqueFd limits(static_cast<int>(in.Signed()));
  absl::StatusOr<std::unique_ptr<ServerDefinition>> definition = ReadPlan(in.Bytes());
  generation->worker_count = static_cast<uint32_t>(in.Unsigned());
  generation->connections_max = static_cast<uint32_t>(in.Unsigned());
  generation->cpus.resize(in.UnsignedUpTo(1 << 16));
  for (int& cpu : generation->cpus) cpu = static_cast<int>(in.Signed());
  if (!definition.ok()) return definition.status();
  if (!in.ok()) return absl::InvalidArgumentError("the state of a generation is cut short");
  generation->program =
      WorkerProgram::Resume(std::move(executable), std::move(path), std::move(arguments));
  const std::shared_ptr<const ServerDefinition> own = *std::move(definition);
  generation->definition = own;
  if (!limits.valid()) return generation;
  absl::StatusOr<std::unique_ptr<SharedLimits>> mapped = SharedLimits::Map(std::move(limits), *own);
  if (!mapped.ok()) return mapped.status();
  generation->limits = std::shared_ptr<SharedLimits>(
      mapped->release(), [own](SharedLimits* shared) { delete shared; });
  return generation;
}

}  // namespace ringmaster
