#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/server.h"

namespace ringmaster {

// Every listening socket of the server, owned by the master for as long as it runs, so that a
// worker may die with connections in its queue and its successor still accepts them.
//
//     TCP   one SO_REUSEPORT socket per worker: the kernel spreads connections, no lock, no herd
//     unix  one socket, shared by all workers
//
// The sockets block: io_uring fails an accept on an O_NONBLOCK socket with EAGAIN instead of
// waiting.
class ListeningSockets {
 public:
  // Opens all or none. Errors say which listener, and the remedy.
  static absl::StatusOr<std::unique_ptr<ListeningSockets>> Open(const ServerDefinition& server,
                                                                uint32_t worker_count);
  // Removes the files of unix sockets that are still ours.
  ~ListeningSockets();
  ListeningSockets(const ListeningSockets&) = delete;
  ListeningSockets& operator=(const ListeningSockets&) = delete;

  // One descriptor per listener, in the order of ServerDefinition::listeners().
  std::vector<int> ForWorker(uint32_t worker) const;
  // Where each listener really listens: port 0 has become a port.
  const std::vector<std::string>& addresses() const { return addresses_; }

 private:
  struct UnixFile {
    std::string path;
    dev_t device;
    ino_t inode;
  };

  ListeningSockets() = default;
  absl::Status OpenTcp(const ListenerDefinition& listener, uint32_t worker_count);
  absl::Status OpenUnix(const ListenerDefinition& listener);

  std::vector<std::vector<UniqueFd>> sockets_;  // [listener][worker]; a unix socket has one
  std::vector<std::string> addresses_;
  std::vector<UnixFile> unix_files_;
};

}  // namespace ringmaster
