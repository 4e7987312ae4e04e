#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/limits/shared_limits.h"
#include "engine/process/spawn.h"
#include "engine/server.h"

namespace ringmaster {

class StateReader;
class StateWriter;

// What all workers of one generation have in common: the program they run, the configuration they
// were checked with, the limits they share. Kept for as long as one of them may be started again.
struct Generation {
  // Counts up with every attempt to reload, from 1.
  uint32_t number = 1;
  WorkerProgram program;
  std::string version;     // of the program, as it says
  UniqueFd configuration;  // a sealed memfd; invalid: the program reads none
  std::shared_ptr<const ServerDefinition> definition;  // as the master sees it
  uint32_t worker_count = 0;
  uint32_t connections_max = 0;  // of one worker
  std::vector<int> cpus;         // that workers are pinned to, in turn; empty: they are not
  // The counters of its workers: the master's own, or, where another release of the program has
  // taken the master's place, those of the one before.
  UniqueFd block;
  // nullptr: no limit needs it. Shared with the generation before where nothing of it has changed,
  // so that what old workers still hold counts.
  std::shared_ptr<SharedLimits> limits;

  // `slot_capacity`: of the shared block. `former` may be nullptr. Errors say what does not fit
  // this machine.
  static absl::StatusOr<std::shared_ptr<Generation>> Make(
      uint32_t number, WorkerProgram program, UniqueFd configuration,
      std::shared_ptr<const ServerDefinition> definition, uint64_t descriptor_limit,
      uint32_t slot_capacity, const Generation* former);
  // For the program that takes this one's place: `kept` are descriptors that it needs. Errors of
  // Resume: what another release wrote.
  void Save(StateWriter& out, std::vector<int>& kept) const;
  static absl::StatusOr<std::shared_ptr<Generation>> Resume(StateReader& in);
  int CpuOf(uint32_t place) const { return cpus.empty() ? -1 : cpus[place % cpus.size()]; }
  // How many workers a definition asks for on this machine.
  static uint32_t WorkerCountOf(const ServerDefinition& definition);
  // So many processes may work and drain side by side, where `worker_count` shall serve.
  static uint32_t SlotCapacityFor(uint32_t worker_count);
};

}  // namespace ringmaster
