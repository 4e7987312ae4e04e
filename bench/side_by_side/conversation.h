#ifndef BENCH_SIDE_BY_SIDE_CONVERSATION_H_
#define BENCH_SIDE_BY_SIDE_CONVERSATION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "bench/side_by_side/expected_answer.h"

namespace side_by_side {

// What a connection says and what it must hear. The bytes are the same on every connection and in
// every turn, so the kernel may read `request` at any time: it never changes.
struct Conversation {
  std::string request;  // `answers_per_turn` requests, sent at once
  ExpectedAnswer answer;
  size_t answers_per_turn = 1;
};

// All of these speak to 127.0.0.1:`port`, block for at most five seconds at a time, and throw
// std::runtime_error with a sentence if the server cannot be measured.

// A connected blocking socket with TCP_NODELAY. The source address moves to the next 127.0.0.x
// every 20,000 `index`es, because one address has fewer than 28,233 ports to leave from.
int Connect(uint16_t port, size_t index);

// Asks once, requires a 200 with Content-Length and takes that answer as the one to expect.
// `one_request_per_connection` asks with `Connection: close` and requires the end of stream.
Conversation LearnHttp(uint16_t port, std::string_view path, size_t pipeline_depth,
                       bool one_request_per_connection);

// A masked message of `payload_bytes` and the unmasked frame that echoes it.
Conversation WebSocketEcho(size_t payload_bytes, bool text);

// `payload_bytes` and the same back, no framing.
Conversation TcpEcho(size_t payload_bytes);

// Does the opening handshake on a connected socket and checks Sec-WebSocket-Accept. Returns the
// number of bytes the server answered.
size_t OpenWebSocket(int fd, uint16_t port, std::string_view path);

}  // namespace side_by_side

#endif  // BENCH_SIDE_BY_SIDE_CONVERSATION_H_
