#pragma once

#include <poll.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"

namespace ringmaster {

// The master's end of the control socket (unix, stream, mode 0600): one request line, one answer,
// end of file.
//
//     status\n        -> the table, for people
//     status json\n   -> the same and every counter, for programs
//     status json buckets\n -> and the buckets of every histogram, for `status --watch`
//     stop\n, stop now\n  -> "ok SECONDS\n": the time within which the server will be gone
//     reload\n        -> "ok NUMBER\n": the generation that it shall bring; it has begun
//     reload log NUMBER FROM\n -> "running", "done" or "abandoned", and below it what has happened,
//                        a line each, from the line FROM on
//     upgrade\n       -> "ok\n": the new program takes the master's place in a moment
//     connections\n   -> all connections (connection_inquiry.h), once the workers have answered
//     kill ID\n       -> "killed ID\n", once its worker has answered
//     anything else   -> "error REASON\n"
class ControlServer {
 public:
  // The answer to a request, or nullopt: Answer(client, ...) follows. `client` is never used again
  // for another.
  using Handler =
      std::function<std::optional<std::string>(uint64_t client, std::string_view request)>;

  static constexpr size_t kClientsMax = 16;
  static constexpr size_t kRequestBytesMax = 256;

  // The caller holds the pid file's lock, so a socket file at `path` is a dead server's.
  static absl::StatusOr<ControlServer> Open(const std::string& path);
  // One that this process has bound already, from before another program took its place.
  static ControlServer Resume(std::string path, UniqueFd listener);
  int listener_fd() const { return listener_.get(); }
  // An answer is under way.
  bool answering() const;
  // Nothing to poll, nobody served.
  ControlServer() = default;
  ControlServer(ControlServer&&) = default;
  ControlServer& operator=(ControlServer&&) = default;
  ~ControlServer();

  // Appends what the loop shall wait for. Serve(ready) follows, with the same entries.
  void AppendPollEntries(std::vector<pollfd>& entries) const;
  void Serve(const pollfd* entries, const Handler& handler);
  // The answer that a handler did not give at once. A client that is gone meanwhile is no error.
  // Between two calls of Serve.
  void Answer(uint64_t client, std::string answer);

 private:
  struct Client {
    uint64_t id = 0;
    UniqueFd fd;
    std::string request;
    bool asked = false;  // the request is complete; it waits for its answer, or gets it
    std::string answer;  // non-empty: being written
    size_t sent = 0;     // of it
  };

  void Accept();
  // False when the client is finished.
  static bool ServeClient(Client& client, const Handler& handler);

  std::string path_;
  UniqueFd listener_;
  std::vector<Client> clients_;
  uint64_t next_id_ = 1;
};

}  // namespace ringmaster
