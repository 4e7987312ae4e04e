// A real server, ring and all, whose handler never comes back: what is asked of the master then
// must be answered without the workers. Its configuration is its pid file's path.

#include <unistd.h>

#include <string>

#include "engine/framed_protocol.h"
#include "engine/process/configuration_snapshot.h"
#include "engine/process/main.h"

namespace ringmaster {
namespace {

struct ByteProtocol {
  static constexpr std::string_view kName = "byte";
  using Message = std::string_view;
  static FrameResult Frame(std::string_view) { return FrameResult::Message(1); }
  static Message Decode(std::string_view frame) { return frame; }
  static void Encode(std::string_view message, std::string& out) { out += message; }
};

int Run(int argc, char** argv) {
  ServerDefinition server;
  server.options.name = "blocking";
  server.options.workers = 2;
  server.options.stop_timeout = std::chrono::milliseconds(1);
  ProgramInfo info;
  info.argument = "PID_FILE";
  // It stands last on every command line.
  server.options.pid_file = argc > 1 ? argv[argc - 1] : "";
  FramedProtocol<ByteProtocol> protocol;
  protocol.on_message = [](auto&, std::string_view) {
    while (true) ::pause();
  };
  if (!server.Listen("127.0.0.1:0", protocol).ok()) return 1;
  return Main(server, argc, argv, info);
}

}  // namespace
}  // namespace ringmaster

int main(int argc, char** argv) { return ringmaster::Run(argc, argv); }
