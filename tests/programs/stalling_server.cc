// A server with handlers that hold the loop and handlers that set deadlines. Its settings come
// from the environment: STALLING_HANDLER_TIMEOUT_MS, STALLING_KILL_TIMEOUT_MS, STALLING_WORKERS.
// STALLING_ORPHANS=serve: workers outlive their master.
//
//   GET /worker     "worker=1"
//   GET /spin?ms=N  computes for N milliseconds
//   GET /sleep?ms=N sleeps in the kernel for N milliseconds
//   GET /read?ms=N  sets this connection's read timeout
//   /echo           a WebSocket; the message "read N" sets its read timeout

#include <ringmaster/websocket.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/worker/worker.h"

namespace {

using std::chrono::milliseconds;

long FromEnvironment(const char* name, long otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::atol(text);
}

milliseconds Milliseconds(std::string_view text) {
  long count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return milliseconds(count);
}

milliseconds Asked(const ringmaster::http::Request& request) {
  return Milliseconds(request.query("ms").value_or("0"));
}

// Not inlined: tests look for the names of these in the log.
[[gnu::noinline]] uint64_t SpinInAHandler(milliseconds duration) {
  const auto end = std::chrono::steady_clock::now() + duration;
  uint64_t rounds = 0;
  while (std::chrono::steady_clock::now() < end) ++rounds;
  return rounds;
}

// Interrupted by the look at its stack, it goes on with the time that is left: what any code that
// sleeps has to do when a signal comes.
[[gnu::noinline]] int SleepInAHandler(milliseconds duration) {
  int interruptions = 0;
  timespec left = {duration.count() / 1000, duration.count() % 1000 * 1'000'000};
  while (::nanosleep(&left, &left) != 0) ++interruptions;
  return interruptions;
}

}  // namespace

int main(int argc, char** argv) {
  ringmaster::Server server;
  server.options.name = "stalling";
  server.options.workers = static_cast<uint32_t>(FromEnvironment("STALLING_WORKERS", 2));
  server.options.handler_timeout =
      milliseconds(FromEnvironment("STALLING_HANDLER_TIMEOUT_MS", 200));
  server.options.handler_kill_timeout =
      milliseconds(FromEnvironment("STALLING_KILL_TIMEOUT_MS", 0));
  if (std::getenv("STALLING_ORPHANS") != nullptr) {
    server.options.orphaned_workers = ringmaster::OrphanedWorkers::kServe;
    server.options.orphan_timeout = std::chrono::minutes(1);
  }
  server.Get("/worker", [](auto& request, auto& response) {
    const uint32_t index = request.connection().worker().index();
    response.Text("worker=" + std::to_string(index) + " pid=" + std::to_string(::getpid()) + "\n");
  });
  server.Get("/spin", [](auto& request, auto& response) {
    response.Text("rounds=" + std::to_string(SpinInAHandler(Asked(request))) + "\n");
  });
  server.Get("/sleep", [](auto& request, auto& response) {
    response.Text("interruptions=" + std::to_string(SleepInAHandler(Asked(request))) + "\n");
  });
  server.Get("/read", [](auto& request, auto& response) {
    request.connection().SetTimeout(&ringmaster::Timeouts::read, Asked(request));
    response.Text("set\n");
  });
  auto& echo = server.WebSocket<void>("/echo");
  echo.allowed_origins = {"*"};
  echo.on_message = [](auto& peer, ringmaster::Message message) {
    if (message.bytes.starts_with("read ")) {
      peer.SetTimeout(&ringmaster::Timeouts::read, Milliseconds(message.bytes.substr(5)));
    }
    peer.Send(message);
  };
  server.Listen("127.0.0.1:0");
  return ringmaster::Main(server, argc, argv);
}
