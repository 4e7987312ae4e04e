#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/unique_fd.h"

namespace ringmaster {

class Worker;

// Connections that were given away and that their giver can have again, should their taker die
// before it has done anything with them: their sockets stay open here, too, and their states are
// kept. Whether a dead taker has read or written a byte the kernel tells (socket_use.h); one that
// it had begun to serve died with it, as any of its own.
//
// While they are kept a taker's close(2) is none: the peer sees it when both have closed. A close
// that says something says it by shutdown(2), and is seen at once.
class HandoffReserve {
 public:
  // One that is given: its own socket, its state, and what it has received and sent so far.
  void Keep(UniqueFd fd, std::string_view state, uint64_t bytes_received, uint64_t bytes_sent);
  // Their taker lives, and has them.
  void Clear();
  bool empty() const { return kept_.empty(); }

  struct Result {
    size_t taken = 0;
    size_t lost = 0;  // with their taker
  };
  // Only when the taker's process has ended. What was not touched goes on here, and its application
  // is told (Session::OnAdopted).
  Result TakeBack(Worker& worker);

 private:
  struct Kept {
    UniqueFd fd;
    std::string state;
    uint64_t bytes_received;
    uint64_t bytes_sent;
  };
  std::vector<Kept> kept_;
};

}  // namespace ringmaster
