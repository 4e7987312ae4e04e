#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/descriptor_passing.h"
#include "engine/base/log.h"
#include "engine/base/unique_fd.h"
#include "engine/process/control_message.h"
#include "engine/ring/kernel_ring.h"
#include "engine/server.h"
#include "engine/worker/worker.h"
#include "protocols/http/service/request.h"
#include "protocols/http/service/response.h"
#include "protocols/http/service/service.h"
#include "protocols/websocket/service/websocket.h"

// What the hand-off of idle connections costs: the CPU time of each worker per connection, how long
// all of them take, and how long one stands still. Two workers on threads of their own, the clients
// in a process of their own.
//
//   handoff_bench [--connections=5000] [--rounds=5]
//
// handoff_bench raises its limit of descriptors to the hard one.

namespace ringmaster {
namespace {

uint64_t NanosecondsOf(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

struct Moved {
  uint64_t told_at = 0;

  static constexpr uint32_t kStateVersion = 1;
  void Save(StateWriter& out) const { out.Unsigned(told_at); }
  bool Load(StateReader& in, uint32_t) {
    told_at = in.Unsigned();
    return true;
  }
};

// One worker on its own thread.
class Side {
 public:
  Side(uint32_t index, int listening_fd) {
    play_.on_handoff = [](auto& peer) { peer.context().told_at = NanosecondsOf(CLOCK_MONOTONIC); };
    play_.on_adopted = [this](auto& peer) {
      stood_still_.push_back(NanosecondsOf(CLOCK_MONOTONIC) - peer.context().told_at);
    };
    CHECK(service_.Upgrade("/play", &play_).ok());
    CHECK(service_
              .Any("/hello", [](http::Request&, http::Response& response) { response.Text("hi"); })
              .ok());
    definition_.options.queue_time_max = Duration::zero();
    CHECK(definition_.Listen("127.0.0.1:1", service_).ok());
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
    control_.Reset(fds[0]);
    worker_control_.Reset(fds[1]);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
    inbox_.Reset(fds[0]);
    worker_inbox_.Reset(fds[1]);
    thread_ = std::thread([=, this] { Run(index, listening_fd); });
  }
  ~Side() {
    ControlPacket{ControlMessage::kStopNow}.Send(control_.get());
    thread_.join();
  }

  void Give(ControlMessage message, int channel) {
    CHECK(SendDescriptor(inbox_.get(), channel));
    CHECK(ControlPacket{message}.Send(control_.get()));
  }
  void AwaitHandedOver() {
    char bytes[ControlPacket::kBytesMax];
    CHECK(recv(control_.get(), bytes, sizeof(bytes), 0) == sizeof(bytes));
  }
  // Of its thread, as of now.
  uint64_t CpuNanoseconds() const { return NanosecondsOf(cpu_clock_); }
  uint64_t adopted() const { return counters_.connections_adopted.Get(); }
  std::vector<uint64_t>& stood_still() { return stood_still_; }

 private:
  void Run(uint32_t index, int listening_fd) {
    WorkerEnvironment environment;
    environment.index = index;
    environment.connection_prefix = static_cast<uint16_t>(index + 1);
    environment.standby = index > 0;
    environment.control_fd = worker_control_.get();
    environment.inbox_fd = worker_inbox_.get();
    environment.listening_sockets = {{0, listening_fd}};
    environment.counters = &counters_;
    auto ring = KernelRing::Create({});
    CHECK(ring.ok());
    Worker worker(definition_, environment, *std::move(ring));
    CHECK(pthread_getcpuclockid(pthread_self(), &cpu_clock_) == 0);
    worker.Start();
    while (worker.Turn()) {
    }
  }

  websocket::Route<Moved> play_;
  http::Service service_;
  ServerDefinition definition_;
  WorkerCounters counters_;
  std::vector<uint64_t> stood_still_;
  UniqueFd control_, worker_control_, inbox_, worker_inbox_;
  clockid_t cpu_clock_ = 0;
  std::thread thread_;
};

constexpr std::string_view kUpgrade =
    "GET /play HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
constexpr std::string_view kRequest = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";

int Listen(uint16_t& port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  CHECK(listen(fd, 4096) == 0);
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return fd;
}

// A process whose connections have said `request`, heard the answer, and say nothing more.
pid_t Clients(uint16_t port, uint32_t count, std::string_view request, int ready) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (uint32_t i = 0; i < count; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) _exit(1);
    char answer[512];
    if (send(fd, request.data(), request.size(), 0) < 0 ||
        recv(fd, answer, sizeof(answer), 0) < 0) {
      _exit(1);
    }
  }
  if (write(ready, "r", 1) != 1) _exit(1);
  while (true) pause();
}

void Measure(std::string_view name, std::string_view request, uint32_t count) {
  uint16_t port = 0;
  const UniqueFd listening(Listen(port));
  // Before any thread.
  int ready[2];
  CHECK(pipe2(ready, O_CLOEXEC) == 0);
  const pid_t clients = Clients(port, count, request, ready[1]);
  close(ready[1]);
  {
    Side from(0, listening.get());
    Side to(1, listening.get());
    char byte;
    if (read(ready[0], &byte, 1) != 1) {
      std::fprintf(stderr, "the clients cannot connect\n");
      std::exit(1);
    }
    close(ready[0]);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
    const UniqueFd a(fds[0]);
    const UniqueFd b(fds[1]);
    const uint64_t from_before = from.CpuNanoseconds();
    const uint64_t to_before = to.CpuNanoseconds();
    const uint64_t begin = NanosecondsOf(CLOCK_MONOTONIC);
    to.Give(ControlMessage::kAdopt, a.get());
    from.Give(ControlMessage::kHandOver, b.get());
    from.AwaitHandedOver();
    while (to.adopted() < count) std::this_thread::yield();
    const uint64_t total = NanosecondsOf(CLOCK_MONOTONIC) - begin;
    const double giver = static_cast<double>(from.CpuNanoseconds() - from_before) / count;
    const double taker = static_cast<double>(to.CpuNanoseconds() - to_before) / count;
    std::printf("%-10.*s %6u connections  giver %5.2f us  taker %5.2f us  all %6.1f ms",
                static_cast<int>(name.size()), name.data(), count, giver / 1000, taker / 1000,
                static_cast<double>(total) / 1e6);
    std::vector<uint64_t>& still = to.stood_still();
    if (!still.empty()) {
      std::sort(still.begin(), still.end());
      std::printf("  still: median %.2f ms, longest %.2f ms",
                  static_cast<double>(still[still.size() / 2]) / 1e6,
                  static_cast<double>(still.back()) / 1e6);
    }
    std::printf("\n");
    std::fflush(stdout);
    kill(clients, SIGKILL);
    waitpid(clients, nullptr, 0);
  }
}

bool ParseFlag(std::string_view argument, std::string_view name, uint32_t& value) {
  if (!argument.starts_with(name)) return false;
  argument.remove_prefix(name.size());
  const auto [end, error] =
      std::from_chars(argument.data(), argument.data() + argument.size(), value);
  return error == std::errc() && end == argument.data() + argument.size() && value > 0;
}

}  // namespace
}  // namespace ringmaster

int main(int argc, char** argv) {
  using namespace ringmaster;
  uint32_t connections = 5000;
  uint32_t rounds = 5;
  for (int i = 1; i < argc; ++i) {
    if (ParseFlag(argv[i], "--connections=", connections)) continue;
    if (ParseFlag(argv[i], "--rounds=", rounds)) continue;
    std::fprintf(stderr, "usage: %s [--connections=5000] [--rounds=5]\n", argv[0]);
    return 2;
  }
  if (!log::Setup("warn", "text", "", "handoff").ok()) return 1;
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (connections + 1000 > limit.rlim_cur) {
    std::fprintf(stderr, "%u connections need more than the hard limit of %lu descriptors\n",
                 connections, static_cast<unsigned long>(limit.rlim_cur));
    return 1;
  }
  for (uint32_t round = 0; round < rounds; ++round) {
    Measure("websocket", kUpgrade, connections);
    Measure("http", kRequest, connections);
  }
}
