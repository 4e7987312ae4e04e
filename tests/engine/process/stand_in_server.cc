// A server whose workers are a stand-in: they accept with poll(2) and accept(2), say who they are
// and close. It lets the tests of the master run without a ring. Its configuration is "key=value"
// lines.

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/process/configuration_snapshot.h"
#include "engine/process/control_message.h"
#include "engine/process/main.h"
#include "engine/protocol.h"
#include "engine/worker/worker_environment.h"

namespace ringmaster {
namespace {

std::multimap<std::string, std::string>& Settings() {
  static std::multimap<std::string, std::string> settings;
  return settings;
}

std::string Setting(const std::string& key, const std::string& otherwise = "") {
  const auto found = Settings().find(key);
  return found == Settings().end() ? otherwise : found->second;
}

void ParseSettings(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    Settings().emplace(line.substr(0, equals), line.substr(equals + 1));
  }
}

// The stand-in's workers never ask it: it only has to be there.
class AdminProtocol : public Protocol {
 public:
  std::string_view name() const override { return "stand-in"; }
  std::unique_ptr<Session> NewSession(Connection&) override { return nullptr; }
};

absl::Status Define(ServerDefinition& server) {
  server.options.name = Setting("name", "standin");
  server.options.pid_file = Setting("pid_file");
  server.options.workers = static_cast<uint32_t>(std::stoul(Setting("workers", "2")));
  server.options.stop_timeout =
      std::chrono::milliseconds(std::stol(Setting("stop_timeout_ms", "10000")));
  server.options.handler_kill_timeout =
      std::chrono::milliseconds(std::stol(Setting("handler_kill_timeout_ms", "0")));
  server.options.ready_timeout =
      std::chrono::milliseconds(std::stol(Setting("ready_timeout_ms", "60000")));
  server.options.log_level = Setting("log_level", "debug");
  server.options.log_file = Setting("log_file");
  if (!Setting("admin").empty()) {
    static AdminProtocol admin;
    server.admin_protocol = &admin;
    server.options.admin.address = Setting("admin");
    server.options.admin.token = Setting("admin_token");
  }
  const auto [begin, end] = Settings().equal_range("listen");
  for (auto listen = begin; listen != end; ++listen) {
    absl::StatusOr<Address> address = Address::Parse(listen->second);
    if (!address.ok()) return address.status();
    ListenerDefinition listener;
    listener.address = *address;
    listener.unix_mode = 0640;
    listener.unix_owner = Setting("unix_owner");
    server.Listen(std::move(listener));
  }
  return absl::OkStatus();
}

int Nice() { return ::getpriority(PRIO_PROCESS, 0); }
const int nice_at_start = Nice();

std::string NameOf(const WorkerEnvironment& environment) {
  return environment.admin ? "admin" : std::to_string(environment.index);
}

void Greet(int listening_fd, const WorkerEnvironment& environment) {
  const int fd = ::accept4(listening_fd, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return;
  environment.counters->connections_accepted.Add();
  environment.counters->connections_open.Set(7);  // what a dead worker would leave behind
  const std::string text = fmt::format("{} worker={} pid={} started at nice={} serves at nice={}\n",
                                       Setting("greeting", "hello"), NameOf(environment),
                                       ::getpid(), nice_at_start, Nice());
  environment.counters->bytes_sent.Add(text.size());
  (void)!::write(fd, text.data(), text.size());
  ::close(fd);
}

// False when the worker shall leave.
bool Obey(const WorkerEnvironment& environment, bool& serves) {
  const int control_fd = environment.control_fd;
  char bytes[ControlPacket::kBytesMax];
  const ssize_t count = ::recv(control_fd, bytes, sizeof(bytes), 0);
  if (count <= 0) return false;
  const ControlPacket packet = *ControlPacket::Read(bytes, static_cast<size_t>(count));
  switch (packet.message) {
    case ControlMessage::kStop:
      return Setting(environment.admin ? "admin_ignores_stop" : "ignore_stop") == "yes";
    case ControlMessage::kStopNow:
      return Setting("ignore_stop_now") == "yes";
    case ControlMessage::kServe:
    case ControlMessage::kResume:
    case ControlMessage::kTakeBack:
      serves = true;
      return true;
    case ControlMessage::kAdopt:
      if (Setting("dies_adopting") == "yes") ::_exit(7);
      return true;
    case ControlMessage::kHandOver:
      serves = false;
      // It has no connections to give.
      if (Setting("keeps_connections") != "yes") {
        ControlPacket{ControlMessage::kHandedOver, 0}.Send(control_fd);
      }
      return true;
    case ControlMessage::kRetire:
      return false;
    case ControlMessage::kKill:
      // It has one connection, and is busy when asked for another.
      if (packet.argument == 1) ControlPacket{ControlMessage::kKilled, 1}.Send(control_fd);
      if (packet.argument == 2) ControlPacket{ControlMessage::kNoConnection, 2}.Send(control_fd);
      return true;
    default:
      return true;  // kList is not answered: it is busy
  }
}

}  // namespace

int RunWorker(ServerDefinition& server, const WorkerEnvironment& environment) {
  if (Setting("failing_place") == std::to_string(environment.index % 2) &&
      environment.generation > 1) {
    std::fputs("the stand-in was told to fail in a reload\n", stderr);
    return 3;
  }
  if (Setting("failing_worker") == NameOf(environment)) {
    std::fputs("the stand-in was told to fail\n", stderr);
    return 3;
  }
  std::vector<pollfd> entries = {{environment.control_fd, POLLIN, 0}};
  for (const auto& [listener, fd] : environment.listening_sockets) {
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    entries.push_back({fd, POLLIN, 0});
  }
  // The sign of life of a watchdog that never speaks again.
  if (Setting("silent") == "yes" && environment.pulse != nullptr) {
    environment.pulse->watchdog_at.store(
        std::chrono::steady_clock::now().time_since_epoch().count());
  }
  if (Setting("never_ready") != "yes") {
    const char ready = static_cast<char>(ControlMessage::kReady);
    ::send(environment.control_fd, &ready, 1, MSG_NOSIGNAL);
  } else {
    std::fputs("not going to be ready\n", stderr);
  }
  if (Setting("stuck") == "yes") ControlPacket{ControlMessage::kStuck}.Send(environment.control_fd);
  bool serves = !environment.standby;
  while (true) {
    ::poll(entries.data(), serves ? entries.size() : 1, -1);
    if (entries[0].revents != 0 && !Obey(environment, serves)) return 0;
    if (!serves) continue;
    for (size_t i = 1; i < entries.size(); ++i) {
      if (entries[i].revents != 0) Greet(entries[i].fd, environment);
    }
  }
}

}  // namespace ringmaster

int main(int argc, char** argv) {
  ringmaster::ServerDefinition server;
  server.options.name = "standin";
  ringmaster::ProgramInfo info;
  info.version = "1.2.3";
  info.argument = "CONFIGURATION";
  // The configuration stands last on every command line that has one.
  const std::string last = argc > 1 ? argv[argc - 1] : "";
  if (last.ends_with(".conf")) {
    const absl::StatusOr<std::string> text = ringmaster::LoadConfigurationText(last);
    if (!text.ok()) {
      fmt::print(stderr, "error: {}\n", std::string(text.status().message()));
      return 1;
    }
    ringmaster::ParseSettings(*text);
    info.configuration = last;
    if (const absl::Status status = ringmaster::Define(server); !status.ok()) {
      fmt::print(stderr, "error: {}\n", std::string(status.message()));
      return 1;
    }
  }
  return ringmaster::Main(server, argc, argv, info);
}
