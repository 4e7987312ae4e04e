// A server whose handler works for as long as its path says: GET /busy/200 computes for 200 us. For
// measuring what happens when more is asked than can be done.
//
//   busy_server start        # listens on the address in BUSY_SERVER_ADDRESS, default
//   127.0.0.1:8090

#include <ringmaster/server.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

constexpr int kMicrosecondsMax = 1'000'000;

void Work(std::chrono::microseconds duration) {
  const auto end = std::chrono::steady_clock::now() + duration;
  while (std::chrono::steady_clock::now() < end) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  ringmaster::Server server;
  server.options.name = "busy-server";
  server.options.workers = 1;
  server.Get("/hello", [](auto&, auto& response) { response.Text("Hello, World!"); });
  server.Get("/busy/:microseconds", [](auto& request, auto& response) {
    const std::string_view text = request.param("microseconds");
    int microseconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), microseconds);
    if (error != std::errc() || end != text.data() + text.size() || microseconds < 0 ||
        microseconds > kMicrosecondsMax) {
      response.Error(400, "microseconds from 0 to 1000000\n");
      return;
    }
    Work(std::chrono::microseconds(microseconds));
    response.Text("done\n");
  });
  const char* const address = std::getenv("BUSY_SERVER_ADDRESS");
  server.Listen(address == nullptr ? "127.0.0.1:8090" : address);
  return ringmaster::Main(server, argc, argv);
}
