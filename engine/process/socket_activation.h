#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/connection/address.h"

namespace ringmaster {

// Listening sockets that were opened by who started the master, sd_listen_fds(3): a port below 1024
// without the right to open it, and a queue that keeps new connections while the service restarts.
//
//   absl::StatusOr<ActivatedSockets> activated = ActivatedSockets::TakeFromEnvironment();
//   absl::StatusOr<std::vector<UniqueFd>> own = activated->TakeFor(listener->address,
//   worker_count); if (own->empty()) ... open it as always for (const std::string& address :
//   activated->Unused()) ... warn: no listener has this address
class ActivatedSockets {
 public:
  // Reads LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES and removes them from the environment. Only
  // where LISTEN_PID is this process are the descriptors ours: then they are made close-on-exec and
  // owned here. Before Daemonize, which has another pid; while there is one thread only. Errors:
  // kInvalidArgument for values that no service manager sets, and for a descriptor that is not
  // open.
  static absl::StatusOr<ActivatedSockets> TakeFromEnvironment();

  size_t size() const { return sockets_.size(); }

  // The sockets bound to `configured`, in the order in which they were passed; empty when there is
  // none. Each is given once. Several (ReusePort=yes, one ListenStream= line per worker) are one
  // per worker; a single one is shared by all of them, as a unix socket is: the kernel lets only
  // sockets of the same user join a SO_REUSEPORT group, so the master cannot add to what root has
  // bound. They block (io_uring fails an accept on an O_NONBLOCK socket) and TCP ones have the
  // options that accepted sockets inherit.
  //
  // Errors: kFailedPrecondition, with the line of the unit to change: not a listening stream
  // socket; neither one socket nor one per worker; an IPv6 socket that also takes IPv4.
  absl::StatusOr<std::vector<UniqueFd>> TakeFor(const Address& configured, uint32_t worker_count);

  // "http.socket (0.0.0.0:80)" for each that nobody has taken.
  std::vector<std::string> Unused() const;

 private:
  struct Socket {
    UniqueFd fd;
    std::string name;   // LISTEN_FDNAMES; "unknown" where there is none, as sd_listen_fds(3) has it
    std::string bound;  // as Address::ToString() has it
  };

  std::vector<Socket> sockets_;
};

}  // namespace ringmaster
