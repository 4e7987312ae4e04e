// A protocol of one's own in three functions: lines, echoed with a running number per connection.
//
//   ./line_server start     then: nc 127.0.0.1 7000

#include <ringmaster/protocol.h>

#include <charconv>

struct LineProtocol {
  static constexpr std::string_view kName = "line";
  using Message = std::string_view;

  static ringmaster::FrameResult Frame(std::string_view input) {
    const size_t end = input.find('\n');
    return end == input.npos ? ringmaster::FrameResult::More()
                             : ringmaster::FrameResult::Message(end + 1);
  }
  static Message Decode(std::string_view frame) {
    frame.remove_suffix(1);
    if (frame.ends_with('\r')) frame.remove_suffix(1);
    return frame;
  }
  static void Encode(std::string_view message, std::string& out) { out.append(message) += '\n'; }
};

struct Counter {
  int lines = 0;
};

int main(int argc, char** argv) {
  ringmaster::ServerDefinition server;
  server.options.name = "line_server";

  ringmaster::FramedProtocol<LineProtocol, Counter> lines;
  lines.message_bytes_max = 4096;
  lines.on_message = [](auto& peer, std::string_view line) {
    peer.Send(std::to_string(++peer.context().lines) + " " + std::string(line));
  };
  server.RecordError(server.Listen("127.0.0.1:7000", lines));
  return ringmaster::Main(server, argc, argv);
}
