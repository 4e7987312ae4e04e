// A server whose connections carry state of all kinds through a reload, and that goes wrong where
// it is told to. Built twice, as releases 1 and 2 (MOVING_RELEASE): the second one's context has a
// member more. MOVING_SETTINGS names a file of lines "key=value" that every process reads at its
// start:
//
//   workers, drain_timeout_ms, drain_spread_ms, ready_timeout_ms, stop_timeout_ms,
//   orphaned_workers=serve, orphan_timeout_ms
//   fault=start_dies | start_hangs | worker_dies | worker_hangs | load_dies |
//         load_hangs | load_pauses (for fault_ms)
//   fault_at=N    of load_*: at the N-th context that is loaded
//   loads=FILE    grows by a byte for each context that is loaded, to count them over all processes
//
//   GET /hello        "Hello, World!"
//   PUT /echo         the content
//   GET /later?ms=N   the same as /who, N milliseconds later
//   GET /who          "release=1 pid=4711"
//   /ws               a WebSocket echo whose context moves
//   /kept             answers with its context, which moves: "release=1 pid=4711 name=... count=7
//                     note=... given=1 taken=1"; the message "name X" sets the name
//   /stays            the same with a context that nobody can save
//   second listener   lines, answered like /kept

#include <fcntl.h>
#include <fmt/format.h>
#include <ringmaster/protocol.h>
#include <ringmaster/websocket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "engine/worker/worker.h"

namespace {

using std::chrono::milliseconds;

constexpr uint32_t kRelease = MOVING_RELEASE;

const std::map<std::string, std::string>& Settings() {
  static const auto settings = [] {
    std::map<std::string, std::string> values;
    const char* const path = std::getenv("MOVING_SETTINGS");
    std::ifstream file(path == nullptr ? "" : path);
    for (std::string line; std::getline(file, line);) {
      const size_t equals = line.find('=');
      if (equals != line.npos) values[line.substr(0, equals)] = line.substr(equals + 1);
    }
    return values;
  }();
  return settings;
}

std::string Setting(const std::string& key, std::string otherwise = "") {
  const auto found = Settings().find(key);
  return found == Settings().end() ? std::move(otherwise) : found->second;
}

long Number(const std::string& key, long otherwise) {
  return std::atol(Setting(key, std::to_string(otherwise)).c_str());
}

[[noreturn]] void Hang() {
  while (true) ::pause();
}

// How many contexts were loaded so far, this one included.
long CountLoad() {
  static const int file =
      ::open(Setting("loads").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  struct stat status = {};
  if (file < 0 || ::write(file, ".", 1) != 1 || ::fstat(file, &status) != 0) return 0;
  return status.st_size;
}

void FailAtLoad() {
  static const std::string fault = Setting("fault");
  static const bool counts = !Setting("loads").empty();
  if (!counts) return;
  const long count = CountLoad();
  if (!fault.starts_with("load_") || count != Number("fault_at", 1)) return;
  if (fault == "load_dies") ::_exit(9);
  if (fault == "load_hangs") Hang();
  std::this_thread::sleep_for(milliseconds(Number("fault_ms", 0)));
}

struct Kept {
  std::string name = "nobody";
  uint64_t count = 0;
  uint64_t given = 0;
  uint64_t taken = 0;
  std::string note = "new";  // of release 2

  static constexpr uint32_t kStateVersion = kRelease;
  void Save(ringmaster::StateWriter& out) const {
    out.Bytes(name);
    out.Unsigned(count);
    out.Unsigned(given);
    out.Unsigned(taken);
    if (kRelease >= 2) out.Bytes(note);
  }
  bool Load(ringmaster::StateReader& in, uint32_t version) {
    FailAtLoad();
    name = in.Bytes();
    count = in.Unsigned();
    given = in.Unsigned();
    taken = in.Unsigned();
    note = version >= 2 && kRelease >= 2 ? std::string(in.Bytes()) : "from 1";
    return true;
  }
};

struct Stays {
  std::string name = "nobody";
  uint64_t count = 0;
  uint64_t given = 0;
  uint64_t taken = 0;
  std::string note = "stays";
};

struct LineCodec {
  static constexpr std::string_view kName = "line";
  using Message = std::string_view;
  static ringmaster::FrameResult Frame(std::string_view input) {
    const size_t end = input.find('\n');
    return end == input.npos ? ringmaster::FrameResult::More()
                             : ringmaster::FrameResult::Message(end + 1);
  }
  static Message Decode(std::string_view frame) { return frame.substr(0, frame.size() - 1); }
  static void Encode(std::string_view message, std::string& out) { out.append(message) += '\n'; }
};

std::string Who() { return fmt::format("release={} pid={}", kRelease, ::getpid()); }

template <typename Context>
std::string Answer(Context& context, std::string_view message) {
  ++context.count;
  if (message.starts_with("name ")) {
    context.name = message.substr(5);
    if (kRelease >= 2) context.note = "from 2";
  }
  return fmt::format("{} name={} count={} note={} given={} taken={}", Who(), context.name,
                     context.count, context.note, context.given, context.taken);
}

void Define(ringmaster::Server& server, ringmaster::FramedProtocol<LineCodec, Kept>& lines) {
  server.options.name = "moving";
  server.options.workers = static_cast<uint32_t>(Number("workers", 2));
  server.options.drain_timeout = milliseconds(Number("drain_timeout_ms", 60'000));
  server.options.drain_spread = milliseconds(Number("drain_spread_ms", 10'000));
  server.options.ready_timeout = milliseconds(Number("ready_timeout_ms", 20'000));
  server.options.stop_timeout = milliseconds(Number("stop_timeout_ms", 10'000));
  // What is judged is that nobody is lost, also on a machine that is too slow for the load.
  server.options.queue_time_max = {};
  if (Setting("orphaned_workers") == "serve") {
    server.options.orphaned_workers = ringmaster::OrphanedWorkers::kServe;
  }
  server.options.orphan_timeout = milliseconds(Number("orphan_timeout_ms", 60'000));
  server.Get("/hello", [](auto&, auto& response) { response.Text("Hello, World!"); });
  server.Put("/echo", [](auto& request, auto& response) {
    response.Body("application/octet-stream", request.body());
  });
  server.Get("/who", [](auto&, auto& response) { response.Text(Who()); });
  server.Get("/later", [](auto& request, auto& response) {
    const milliseconds delay(std::atol(request.query("ms").value_or("0").c_str()));
    auto pending = std::make_shared<ringmaster::http::PendingResponse>(response.Defer());
    request.connection().worker().AddTimer(
        delay, {}, [pending] { pending->With([](auto& late) { late.Text(Who()); }); });
  });

  auto& echo = server.WebSocket<Kept>("/ws");
  echo.on_message = [](auto& peer, const ringmaster::Message& message) { peer.Send(message); };
  auto& kept = server.WebSocket<Kept>("/kept");
  kept.on_message = [](auto& peer, const ringmaster::Message& message) {
    peer.Send({Answer(peer.context(), message.bytes)});
  };
  kept.on_handoff = [](auto& peer) { ++peer.context().given; };
  kept.on_adopted = [](auto& peer) { ++peer.context().taken; };
  auto& stays = server.WebSocket<Stays>("/stays");
  stays.on_message = [](auto& peer, const ringmaster::Message& message) {
    peer.Send({Answer(peer.context(), message.bytes)});
  };
  lines.on_message = [](auto& peer, std::string_view line) {
    peer.Send(Answer(peer.context(), line));
  };
  lines.on_handoff = [](auto& peer) { ++peer.context().given; };
  lines.on_adopted = [](auto& peer) { ++peer.context().taken; };
  server.Listen("127.0.0.1:0");
  server.Listen("127.0.0.1:0", lines);
}

}  // namespace

int main(int argc, char** argv) {
  if (Setting("fault") == "start_dies") ::_exit(8);
  if (Setting("fault") == "start_hangs") Hang();
  ringmaster::http::ServiceOptions http;
  http.generation_header = "X-Generation";
  ringmaster::Server server(http);
  ringmaster::FramedProtocol<LineCodec, Kept> lines;
  Define(server, lines);
  // A worker, unlike the process that shows its definition, goes wrong when it is to serve.
  server.on_worker_start = [](ringmaster::Worker&) {
    if (Setting("fault") == "worker_dies") ::_exit(8);
    if (Setting("fault") == "worker_hangs") Hang();
    return absl::OkStatus();
  };
  ringmaster::ProgramInfo info;
  info.version = fmt::format("{}.0", kRelease);
  return ringmaster::Main(server, argc, argv, info);
}
