#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <utility>

#include "engine/base/log.h"
#include "engine/base/read_whole.h"
#include "engine/base/write_all.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/process/admin_server.h"
#include "engine/process/master.h"
#include "engine/process/master_inheritance.h"
#include "engine/process/resource_limits.h"
#include "engine/stats/shared_status.h"

// Another program takes the master's place: the same process, its children, descriptors and pid
// stay (execve(2)). The new one first shows, in a process of its own, that it understands the state
// and the configuration that is in force; one that fails there leaves everything as it is. One that
// fails after all gives the place back.

namespace ringmaster {
namespace {

// Raise it with every change of what SaveState writes.
constexpr uint32_t kStateVersion = 3;

constexpr off_t kStateBytesMax = 1 << 30;

absl::StatusOr<StateReader> OpenState(std::string_view text) {
  StateReader in(text);
  StateReader::Part state = in.TakePart();
  if (!in.finished() || state.version != kStateVersion) {
    return absl::FailedPreconditionError(
        "the running master is of a release whose place this program cannot take: stop the server "
        "and start it again");
  }
  return state.state;
}

void SetCloseOnExec(const std::vector<int>& fds, bool on) {
  for (const int fd : fds) ::fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

// The command line of this process, as it was given.
std::vector<std::string> OwnCommandLine() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<std::string> words;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\0', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

// Returns only when it failed.
void Execute(int program, const MasterInheritance& inheritance,
             std::vector<std::string> variables = {}) {
  const std::string variable =
      fmt::format("{}={}", MasterInheritance::kVariable, inheritance.ToText());
  std::vector<std::string> words = OwnCommandLine();
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::vector<char*> environment;
  for (char** other = environ; *other != nullptr; ++other) environment.push_back(*other);
  environment.push_back(const_cast<char*>(variable.c_str()));
  for (std::string& other : variables) environment.push_back(other.data());
  environment.push_back(nullptr);
  std::fflush(nullptr);
  ::execveat(program, "", arguments.data(), environment.data(), AT_EMPTY_PATH);
}

}  // namespace

absl::Status CheckMasterState(int state_fd) {
  const absl::StatusOr<std::string> text = ReadWhole(state_fd, kStateBytesMax);
  if (!text.ok()) return text.status();
  return OpenState(*text).status();
}

void ReturnToPreviousProgram(const MasterInheritance& inheritance, std::string_view reason) {
  if (inheritance.returned) return;
  log::Get().error("the new program cannot take the master's place, the previous one goes on: {}",
                   reason);
  MasterInheritance back = inheritance;
  back.returned = true;
  SetCloseOnExec({back.state_fd, back.previous_fd}, false);
  if (back.configuration_fd >= 0) SetCloseOnExec({back.configuration_fd}, false);
  // What the state names, too, whether or not this program has understood it.
  for (int fd = STDERR_FILENO + 1; fd < 1 << 16; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) ::fcntl(fd, F_SETFD, 0);
  }
  Execute(back.previous_fd, back);
}

// Everything that this process has and a program in its place needs: values, and the numbers of
// `kept` descriptors.
std::string Master::SaveState(std::vector<int>& kept) const {
  std::string text;
  StateWriter out(text);
  out.Part(kStateVersion, [&](StateWriter& part) {
    const auto keep = [&](int fd) {
      part.Signed(fd);
      if (fd >= 0) kept.push_back(fd);
    };
    keep(pid_file_->fd());
    keep(control_->listener_fd());
    part.Bytes(door_.path());
    keep(door_.fd());
    keep(SharedStatus::Get()->fd());
    part.Unsigned(SharedBlock::Fingerprint());
    part.Unsigned(SharedStatus::Get()->slot_capacity());
    part.Signed(SharedStatus::Get()->header().started_at.load());
    part.Unsigned(SharedStatus::Get()->header().reload.upgrades.load());
    part.Unsigned(reload_->number());
    part.Bool(daemon_);
    std::map<uint32_t, std::shared_ptr<const Generation>> generations;
    generations[current_->number] = current_;
    for (const WorkerSlot& slot : fleet_->slots()) {
      generations[slot.generation().number] = slot.shared_generation();
    }
    part.Unsigned(current_->number);
    part.Unsigned(generations.size());
    for (const auto& [number, generation] : generations) generation->Save(part, kept);
    listening_->Save(part, kept);
    inquiry_.Save(part, kept);
    fleet_->Save(part, kept);
    part.Bool(admin_listening_ != nullptr);
    if (admin_listening_ != nullptr) admin_listening_->Save(part, kept);
    part.Bool(admin_.has_value());
    if (admin_) admin_->Save(part, kept);
    part.Bytes(reload_wanted_);
  });
  return text;
}

absl::Status Master::WriteState() {
  kept_.clear();
  state_.Reset(::memfd_create("ringmaster-master", MFD_CLOEXEC));
  if (!state_.valid() || !WriteAll(state_.get(), SaveState(kept_))) {
    return absl::ErrnoToStatus(errno, "cannot write the master's state");
  }
  return absl::OkStatus();
}

void Master::BeginUpgrade(std::string_view why) {
  log::Get().info("another program shall take the master's place: {}", why);
  absl::StatusOr<WorkerProgram> program =
      WorkerProgram::At(current_->program.path(), current_->program.arguments());
  absl::Status status = program.status();
  if (status.ok()) status = WriteState();
  if (status.ok()) {
    next_program_ = *std::move(program);
    status = upgrade_check_.Begin(next_program_, state_.get(), current_->configuration.get(),
                                  MonotonicNow(), options().ready_timeout);
  }
  if (!status.ok()) EndUpgrade(status);
}

// The new program has shown whether it can.
void Master::OnUpgradeChecked(absl::Status status) {
  if (!status.ok()) {
    EndUpgrade(status);
    return;
  }
  log::Get().info("the new program is sound");
  upgrade_ready_ = true;
  AnswerUpgrade("ok\n");
}

void Master::EndUpgrade(const absl::Status& reason) {
  upgrade_ready_ = false;
  log::Get().error("no upgrade: {}", std::string(reason.message()));
  AnswerUpgrade(
      fmt::format("error the upgrade was abandoned: {}\n", std::string(reason.message())));
}

void Master::AnswerUpgrade(const std::string& answer) {
  for (const uint64_t client : std::exchange(upgrade_clients_, {})) {
    control_->Answer(client, answer);
  }
}

// Between two turns of the loop, with nothing half done. Does not return when it succeeds.
void Master::ExecuteUpgrade() {
  upgrade_ready_ = false;
  absl::Status status = WriteState();
  const UniqueFd own(::open("/proc/self/exe", O_PATH | O_CLOEXEC));
  if (status.ok() && !own.valid())
    status = absl::ErrnoToStatus(errno, "cannot open /proc/self/exe");
  if (status.ok()) {
    MasterInheritance inheritance;
    inheritance.state_fd = state_.get();
    inheritance.configuration_fd = current_->configuration.get();
    inheritance.previous_fd = own.get();
    kept_.push_back(state_.get());
    kept_.push_back(own.get());
    SetCloseOnExec(kept_, false);
    Execute(next_program_.fd(), inheritance, manager_.Environment());
    status = absl::ErrnoToStatus(errno, "cannot execute the new program");
    SetCloseOnExec(kept_, true);
  }
  EndUpgrade(status);
}

absl::Status Master::Resume(const MasterInheritance& inheritance) {
  const absl::StatusOr<std::string> text = ReadWhole(inheritance.state_fd, kStateBytesMax);
  if (!text.ok()) return text.status();
  absl::StatusOr<StateReader> state = OpenState(*text);
  if (!state.ok()) return state.status();
  StateReader& in = *state;
  pid_file_ = PidFile::Resume(paths_.pid_file, UniqueFd(static_cast<int>(in.Signed())));
  control_ = ControlServer::Resume(paths_.control_socket, UniqueFd(static_cast<int>(in.Signed())));
  std::string door_path(in.Bytes());
  door_ = OrphanDoor::Resume(UniqueFd(static_cast<int>(in.Signed())));
  UniqueFd block(static_cast<int>(in.Signed()));
  const uint64_t fingerprint = in.Unsigned();
  const auto capacity = static_cast<uint32_t>(in.Unsigned());
  const TimePoint started_at = in.Signed();
  const uint64_t upgrades = in.Unsigned();
  const auto number = static_cast<uint32_t>(in.Unsigned());
  daemon_ = in.Bool();
  const auto serving = static_cast<uint32_t>(in.Unsigned());
  std::map<uint32_t, std::shared_ptr<const Generation>> generations;
  const bool same_counters = fingerprint == SharedBlock::Fingerprint();
  const uint64_t count = in.Unsigned();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    absl::StatusOr<std::shared_ptr<Generation>> generation = Generation::Resume(in);
    if (!generation.ok()) return generation.status();
    // Its workers go on counting where they always did, where this program does not look.
    if (!same_counters && !(*generation)->block.valid()) {
      (*generation)->block.Reset(::fcntl(block.get(), F_DUPFD_CLOEXEC, 0));
    }
    generations[(*generation)->number] = *generation;
  }
  if (!in.ok() || !generations.contains(serving)) {
    return absl::InvalidArgumentError("the master's state is cut short");
  }
  current_ = generations[serving];
  listening_ = ListeningSockets::Resume(in);
  inquiry_.Resume(in);
  absl::StatusOr<std::unique_ptr<SharedBlock>> shared =
      same_counters ? SharedBlock::Map(std::move(block))
                    : SharedBlock::Create(/*slot_count=*/0, /*with_admin=*/true, capacity);
  if (!shared.ok()) return shared.status();
  SharedStatus::Set(*std::move(shared));
  absl::StatusOr<uint64_t> descriptor_limit = RaiseDescriptorLimit();
  if (!descriptor_limit.ok()) return descriptor_limit.status();
  descriptor_limit_ = *descriptor_limit;
  MakeFleet();
  if (absl::Status status = fleet_->Resume(in, generations); !status.ok()) return status;
  reload_->set_number(number);
  if (in.Bool()) admin_listening_ = ListeningSockets::Resume(in);
  if (in.Bool()) {
    absl::StatusOr<std::unique_ptr<ServerDefinition>> admin =
        DefineAdminServer(*current_->definition, paths_);
    if (!admin.ok()) return admin.status();
    admin_server_ = *std::move(admin);
    admin_.emplace(in, current_, *SharedStatus::Get()->admin_slot(),
                   fmt::format("{}: admin", options().name), fleet_->next_prefix());
  }
  reload_wanted_ = in.Bytes();
  if (!in.finished()) return absl::InvalidArgumentError("the master's state is cut short");
  absl::StatusOr<SignalQueue> signals = SignalQueue::Create();
  if (!signals.ok()) return signals.status();
  signals_ = std::move(*signals);
  // Not before: if this fails for good, workers are behind that door.
  door_.set_path(std::move(door_path));
  all_ready_ = true;
  SharedHeader& header = SharedStatus::Get()->header();
  header.master_pid.store(::getpid());
  header.started_at.store(started_at);
  header.reload.upgrades.store(upgrades + (inheritance.returned ? 0 : 1));
  SetCloseOnExecEverywhere();
  DescribeServer();
  if (inheritance.returned) {
    log::Get().error("the new program could not take the master's place; this one goes on");
  } else {
    TellWhatServes();
    log::Get().info("{} {} has taken the master's place", options().name, info_.version);
  }
  return absl::OkStatus();
}

// What came through execve has no such flag.
void Master::SetCloseOnExecEverywhere() {
  std::vector<int> kept;
  static_cast<void>(SaveState(kept));
  SetCloseOnExec(kept, true);
}

}  // namespace ringmaster
