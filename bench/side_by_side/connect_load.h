#ifndef BENCH_SIDE_BY_SIDE_CONNECT_LOAD_H_
#define BENCH_SIDE_BY_SIDE_CONNECT_LOAD_H_

#include <netinet/in.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bench/side_by_side/client_ring.h"
#include "bench/side_by_side/conversation.h"
#include "bench/side_by_side/load.h"

namespace side_by_side {

// One request per connection: connect, ask with `Connection: close`, read to the end of stream,
// close, again. A fixed number of connections is under way at any time.
class ConnectLoad : public Load {
 public:
  ConnectLoad(Conversation conversation, uint16_t port, size_t connection_count);
  ~ConnectLoad() override;

  uint64_t RunSlice(const SliceBounds& bounds) override;

 private:
  struct Connection {
    int fd = -1;
    std::string buffer;
  };

  void Start(size_t index);
  void OnCompletion(const io_uring_cqe& cqe);
  void OnAnswer(size_t index, size_t received_bytes);

  const Conversation conversation_;
  sockaddr_in target_ = {};
  ClientRing ring_;
  std::vector<Connection> connections_;

  // Of the slice under way.
  bool accepts_new_connections_ = false;
  uint64_t answers_ = 0;
  uint64_t answers_max_ = 0;
  size_t connections_outstanding_ = 0;
  size_t alarm_completions_due_ = 0;
};

}  // namespace side_by_side

#endif  // BENCH_SIDE_BY_SIDE_CONNECT_LOAD_H_
