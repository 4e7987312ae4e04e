#pragma once

#include <poll.h>

#include <functional>
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
//     stop\n          -> "ok SECONDS\n": the time within which the server will be gone
//     anything else   -> "error REASON\n"
class ControlServer {
 public:
  using Handler = std::function<std::string(std::string_view request)>;

  static constexpr size_t kClientsMax = 16;
  static constexpr size_t kRequestBytesMax = 256;

  // The caller holds the pid file's lock, so a socket file at `path` is a dead server's.
  static absl::StatusOr<ControlServer> Open(const std::string& path);
  // Nothing to poll, nobody served.
  ControlServer() = default;
  ControlServer(ControlServer&&) = default;
  ControlServer& operator=(ControlServer&&) = default;
  ~ControlServer();

  // Appends what the loop shall wait for. Serve(ready) follows, with the same entries.
  void AppendPollEntries(std::vector<pollfd>& entries) const;
  void Serve(const pollfd* entries, const Handler& handler);

 private:
  struct Client {
    UniqueFd fd;
    std::string request;
    std::string answer;  // non-empty: the request is answered, this much is still to be written
  };

  void Accept();
  // False when the client is finished.
  static bool ServeClient(Client& client, const Handler& handler);

  std::string path_;
  UniqueFd listener_;
  std::vector<Client> clients_;
};

}  // namespace ringmaster
