// Loads a server on 127.0.0.1 and counts exactly the answers that are right.
//
//   load_client --mode http --port 8080 --connections 64 --seconds 1
//   load_client --mode websocket --port 8080 --path /ws --bytes 20 --connections 200 --count 100000
//   load_client --mode idle-websocket --port 8080 --path /ws --connections 10000 --interactive
//
// Prints one JSON line per slice. With --interactive the connections outlive the slices: it prints
// {"ready":true,...} when they stand, runs a slice for each line "SECONDS [COUNT]" on standard
// input, and ends with the input. `run` alternates servers that way without connecting anew.

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "bench/side_by_side/connect_load.h"
#include "bench/side_by_side/conversation.h"
#include "bench/side_by_side/keep_alive_load.h"
#include "bench/side_by_side/load.h"
#include "bench/side_by_side/open_load.h"

namespace side_by_side {
namespace {

constexpr std::string_view kUsage =
    "usage: load_client --mode http|close|open|websocket|tcp-echo|idle-websocket --port PORT\n"
    "  --path PATH       request target (default /hello, for WebSocket modes /ws)\n"
    "  --connections N   (default 64)\n"
    "  --rate R          open only: new clients a second, one request each\n"
    "  --within S        open only: an answer later than this is not good (default 1)\n"
    "  --pipeline P      requests per send, http only (default 1)\n"
    "  --bytes B         payload of websocket and tcp-echo (default 20)\n"
    "  --text            WebSocket text messages instead of binary ones\n"
    "  --seconds S       length of the slice (default 1)\n"
    "  --count K         stop the slice after K answers, if that is earlier\n"
    "  --interactive     slices on demand, see the head of load_client.cc\n";

struct Options {
  std::string mode;
  std::string path;
  uint16_t port = 0;
  size_t connections = 64;
  size_t pipeline = 1;
  size_t bytes = 20;
  double rate = 1000;
  double within_seconds = 1;
  bool text = false;
  bool interactive = false;
  SliceBounds bounds;
};

template <typename Number>
void ParseNumber(std::string_view flag, std::string_view text, Number min, Number max,
                 Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < min || number > max) {
    throw std::runtime_error(
        fmt::format("{} {}: a number from {} to {} is needed", flag, text, min, max));
  }
}

Options ParseOptions(const std::vector<std::string_view>& arguments) {
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view flag = arguments[i];
    if (flag == "--text") {
      options.text = true;
    } else if (flag == "--interactive") {
      options.interactive = true;
    } else if (i + 1 == arguments.size()) {
      throw std::runtime_error(fmt::format("{}: unknown, or its value is missing", flag));
    } else {
      const std::string_view value = arguments[++i];
      if (flag == "--mode") {
        options.mode = value;
      } else if (flag == "--path") {
        options.path = value;
      } else if (flag == "--port") {
        ParseNumber<uint16_t>(flag, value, 1, 65535, options.port);
      } else if (flag == "--connections") {
        ParseNumber<size_t>(flag, value, 1, 1000000, options.connections);
      } else if (flag == "--pipeline") {
        ParseNumber<size_t>(flag, value, 1, 1000, options.pipeline);
      } else if (flag == "--bytes") {
        ParseNumber<size_t>(flag, value, 1, 64 << 20, options.bytes);
      } else if (flag == "--rate") {
        ParseNumber<double>(flag, value, 1.0, 1e7, options.rate);
      } else if (flag == "--within") {
        ParseNumber<double>(flag, value, 0.001, 60.0, options.within_seconds);
      } else if (flag == "--seconds") {
        ParseNumber<double>(flag, value, 0.0, 3600.0, options.bounds.seconds);
      } else if (flag == "--count") {
        ParseNumber<uint64_t>(flag, value, 1, UINT64_MAX, options.bounds.answers_max);
      } else {
        throw std::runtime_error(fmt::format("{}: unknown", flag));
      }
    }
  }
  if (options.port == 0) throw std::runtime_error("--port is needed");
  const bool websocket = options.mode == "websocket" || options.mode == "idle-websocket";
  if (options.path.empty()) options.path = websocket ? "/ws" : "/hello";
  return options;
}

// Connections that say nothing; the caller looks at the server's memory meanwhile.
class IdleLoad : public Load {
 public:
  explicit IdleLoad(std::vector<int> sockets) : sockets_(std::move(sockets)) {}
  ~IdleLoad() override {
    for (const int fd : sockets_) close(fd);
  }
  uint64_t RunSlice(const SliceBounds& bounds) override {
    usleep(static_cast<useconds_t>(bounds.seconds * 1e6));
    return 0;
  }

 private:
  std::vector<int> sockets_;
};

struct Prepared {
  std::unique_ptr<Load> load;
  size_t answer_bytes = 0;
};

Prepared Prepare(const Options& options) {
  const bool idle = options.mode == "idle-websocket";
  Conversation conversation;
  if (options.mode == "http") {
    conversation = LearnHttp(options.port, options.path, options.pipeline, false);
  } else if (options.mode == "close" || options.mode == "open") {
    conversation = LearnHttp(options.port, options.path, 1, true);
  } else if (options.mode == "websocket") {
    conversation = WebSocketEcho(options.bytes, options.text);
  } else if (options.mode == "tcp-echo") {
    conversation = TcpEcho(options.bytes);
  } else if (!idle) {
    throw std::runtime_error("--mode is needed, one of those below");
  }
  const size_t answer_bytes = conversation.answer.size();
  if (options.mode == "close") {
    return {
        std::make_unique<ConnectLoad>(std::move(conversation), options.port, options.connections),
        answer_bytes};
  }
  if (options.mode == "open") {
    return {std::make_unique<OpenLoad>(std::move(conversation), options.port, options.rate,
                                       options.within_seconds),
            answer_bytes};
  }
  std::vector<int> sockets;
  for (size_t i = 0; i < options.connections; ++i) {
    sockets.push_back(Connect(options.port, i));
    if (idle || options.mode == "websocket") {
      OpenWebSocket(sockets.back(), options.port, options.path);
    }
  }
  if (idle) return {std::make_unique<IdleLoad>(std::move(sockets)), answer_bytes};
  return {std::make_unique<KeepAliveLoad>(std::move(conversation), std::move(sockets)),
          answer_bytes};
}

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void RunAndReport(const Options& options, const Prepared& prepared, const SliceBounds& bounds) {
  const double cpu_before = CpuSeconds();
  const auto start = std::chrono::steady_clock::now();
  const uint64_t answers = prepared.load->RunSlice(bounds);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const std::string details = prepared.load->DetailsJson();
  fmt::print(
      "{{\"mode\":\"{}\",\"connections\":{},\"answers\":{},\"seconds\":{:.6f},"
      "\"client_cpu_seconds\":{:.6f},\"answer_bytes\":{}{}{}}}\n",
      options.mode, options.connections, answers, elapsed.count(), CpuSeconds() - cpu_before,
      prepared.answer_bytes, details.empty() ? "" : ",", details);
  std::fflush(stdout);
}

void Main(const Options& options) {
  rlimit files = {};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  const Prepared prepared = Prepare(options);
  if (!options.interactive) {
    RunAndReport(options, prepared, options.bounds);
    return;
  }
  fmt::print("{{\"ready\":true,\"connections\":{},\"answer_bytes\":{}}}\n", options.connections,
             prepared.answer_bytes);
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    SliceBounds bounds;
    std::istringstream words(line);
    words >> bounds.seconds;
    if (!words) throw std::runtime_error("the input is lines of \"SECONDS [COUNT]\"");
    words >> bounds.answers_max;
    if (!words) bounds.answers_max = UINT64_MAX;
    RunAndReport(options, prepared, bounds);
  }
}

}  // namespace
}  // namespace side_by_side

int main(int argc, char** argv) {
  side_by_side::Options options;
  try {
    options = side_by_side::ParseOptions({argv + 1, argv + argc});
    side_by_side::Main(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "load_client: {}\n", error.what());
    if (options.port == 0 || options.mode.empty()) {
      std::fputs(side_by_side::kUsage.data(), stderr);
    }
    return 1;
  }
  return 0;
}
