#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/server.h"
#include "engine/worker/worker_environment.h"

namespace ringmaster {

class ActivatedSockets;
class StateReader;
class StateWriter;

// One that a worker has whose master is gone: of the listener with this key (ListenerKeys).
struct FoundSocket {
  std::string key;
  UniqueFd fd;
};

// Every listening socket of the server, owned by the master for as long as it runs, so that a
// worker may die with connections in its queue and its successor still accepts them.
//
//     TCP   one SO_REUSEPORT socket per worker: the kernel spreads connections, no lock, no herd
//     unix  one socket, shared by all workers
//
// Generations share them: a reload adds what the new definition needs (Add), and once it serves,
// lets go of what it does not listen on any more (Keep). A TCP socket is closed only with its
// listener, since closing one resets who waits in its queue (net.ipv4.tcp_migrate_req is 0): with
// fewer workers than sockets the kernel is told to leave the others alone, and workers serve those
// beside their own.
//
// The sockets block: io_uring fails an accept on an O_NONBLOCK socket with EAGAIN instead of
// waiting.
class ListeningSockets {
 public:
  // Opens all or none. Errors say which listener, and the remedy. What stands in `activated` is
  // taken from there; what was `found` goes on, and who waits in its queue is accepted.
  static absl::StatusOr<std::unique_ptr<ListeningSockets>> Open(
      const ServerDefinition& server, uint32_t worker_count, ActivatedSockets* activated = nullptr,
      std::vector<FoundSocket> found = {});
  // Removes the files of unix sockets that are still ours.
  ~ListeningSockets();
  ListeningSockets(const ListeningSockets&) = delete;
  ListeningSockets& operator=(const ListeningSockets&) = delete;

  // Opens what is not open yet. Additional sockets of a listener get no connection before Keep. On
  // an error no listener is new; Keep(the definition that serves) undoes it.
  absl::Status Add(const ServerDefinition& server, uint32_t worker_count);
  // From now on `server` with `worker_count` workers serves.
  void Keep(const ServerDefinition& server, uint32_t worker_count);

  // Files of sockets that were found stay: who had them before still listens there.
  void LeaveFound();

  // What one of `worker_count` workers serves: by listener, in the order of
  // ServerDefinition::listeners().
  std::vector<ListeningSocket> ForWorker(const ServerDefinition& server, uint32_t worker,
                                         uint32_t worker_count) const;
  // For the program that takes this one's place: `kept` are descriptors that it needs.
  void Save(StateWriter& out, std::vector<int>& kept) const;
  static std::unique_ptr<ListeningSockets> Resume(StateReader& in);

  // Where each listener really listens: port 0 has become a port.
  std::vector<std::string> Addresses(const ServerDefinition& server) const;

 private:
  // The sockets of one address.
  struct Group {
    std::string key;
    Address address;  // as bound
    std::vector<UniqueFd> sockets;
    uint32_t served_count = 0;  // the first so many get connections
    bool shared = false;        // one socket for all workers
    bool given = false;         // by a service manager: nothing can be added to it
    // The order in which they began to listen is not known: all get connections.
    bool found = false;
    dev_t device = 0;  // of a unix socket's file
    ino_t inode = 0;
  };

  ListeningSockets() = default;
  Group* Find(const std::string& key);
  const Group& At(const std::string& key) const;
  bool SharesPort(const ListenerDefinition& listener) const;
  absl::Status TakeActivated(const ServerDefinition& server, uint32_t worker_count,
                             ActivatedSockets& activated);
  void TakeFound(std::vector<FoundSocket> found);
  absl::Status CheckAddresses(const ServerDefinition& server);
  absl::Status Grow(Group& group, const ListenerDefinition& listener, uint32_t worker_count);
  static absl::Status OpenTcp(Group& group, const ListenerDefinition& listener,
                              uint32_t worker_count);
  static absl::Status OpenUnix(Group& group, const ListenerDefinition& listener);
  static void RememberFile(Group& group);
  void Remove(size_t index);

  std::vector<Group> groups_;
};

}  // namespace ringmaster
