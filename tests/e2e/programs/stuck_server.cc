// A server whose workers can be made stuck: a request for /block waits in its handler, and with it
// the whole worker, until somebody opens the FIFO named by STUCK_FIFO for writing. It says on
// stderr which process waits.

#include <fcntl.h>
#include <fmt/format.h>
#include <ringmaster/server.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

int main(int argc, char** argv) {
  const char* path = std::getenv("STUCK_FIFO");
  const std::string fifo = path == nullptr ? "" : path;
  ringmaster::Server server;
  server.options.name = "stuck";
  server.options.workers = 2;
  server.options.stop_timeout = std::chrono::seconds(1);
  server.Get("/hello", [](auto&, auto& response) { response.Text("Hello\n"); });
  server.Get("/block", [fifo](auto&, auto& response) {
    std::fputs(fmt::format("stuck: {}\n", ::getpid()).c_str(), stderr);
    const int fd = ::open(fifo.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) ::close(fd);
    response.Text("released\n");
  });
  server.Listen("127.0.0.1:0");
  return ringmaster::Main(server, argc, argv);
}
