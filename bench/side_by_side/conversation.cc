#include "bench/side_by_side/conversation.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>

namespace side_by_side {
namespace {

constexpr size_t kHeadBytesMax = 64 * 1024;

// RFC 6455 §1.3's own example, so that the accept value is known without SHA-1.
constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

void SendAll(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t sent = send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (sent < 0) throw std::runtime_error(fmt::format("send: {}", std::strerror(errno)));
    data.remove_prefix(static_cast<size_t>(sent));
  }
}

// Appends what one recv brings; false at the end of stream.
bool RecvMore(int fd, std::string& data) {
  char buffer[16 * 1024];
  const ssize_t received = recv(fd, buffer, sizeof buffer, 0);
  if (received < 0) throw std::runtime_error(fmt::format("recv: {}", std::strerror(errno)));
  data.append(buffer, static_cast<size_t>(received));
  return received > 0;
}

// Reads up to and with the empty line; returns the head's length. `data` may hold more.
size_t ReadHead(int fd, std::string& data) {
  for (;;) {
    const size_t end = data.find("\r\n\r\n");
    if (end != std::string::npos) return end + 4;
    if (data.size() > kHeadBytesMax || !RecvMore(fd, data)) {
      throw std::runtime_error(
          fmt::format("the server sent no response head: \"{}\"", data.substr(0, 200)));
    }
  }
}

// The value of field `name`, or an empty view.
std::string_view Field(std::string_view head, std::string_view name) {
  size_t line = head.find("\r\n") + 2;
  while (line < head.size()) {
    const size_t end = head.find("\r\n", line);
    std::string_view text = head.substr(line, end - line);
    if (text.size() > name.size() && text[name.size()] == ':' &&
        strncasecmp(text.data(), name.data(), name.size()) == 0) {
      text.remove_prefix(name.size() + 1);
      while (text.starts_with(' ')) text.remove_prefix(1);
      while (text.ends_with(' ')) text.remove_suffix(1);
      return text;
    }
    line = end + 2;
  }
  return {};
}

// Printable, so that it may be text. The period is prime: an echo that repeats, loses or unmasks
// bytes at a wrong position differs.
char PayloadOctet(size_t position) { return static_cast<char>('!' + position % 89); }

class ScopedFd {
 public:
  explicit ScopedFd(int fd) : fd_(fd) {}
  ~ScopedFd() { close(fd_); }
  ScopedFd(const ScopedFd&) = delete;
  ScopedFd& operator=(const ScopedFd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

int Connect(uint16_t port, size_t index) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw std::runtime_error(fmt::format("socket: {}", std::strerror(errno)));
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // Without this option bind() picks the port and must find one free for every destination.
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  const timeval timeout = {.tv_sec = 5, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);

  sockaddr_in source = {};
  source.sin_family = AF_INET;
  source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + static_cast<uint32_t>(index / 20000));
  sockaddr_in target = {};
  target.sin_family = AF_INET;
  target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  target.sin_port = htons(port);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0 ||
      connect(fd, reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) {
    const int error = errno;
    close(fd);
    throw std::runtime_error(
        fmt::format("connection {} to 127.0.0.1:{}: {}", index, port, std::strerror(error)));
  }
  return fd;
}

Conversation LearnHttp(uint16_t port, std::string_view path, size_t pipeline_depth,
                       bool one_request_per_connection) {
  const std::string request =
      fmt::format("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}\r\n", path, port,
                  one_request_per_connection ? "Connection: close\r\n" : "");
  const ScopedFd fd(Connect(port, 0));
  SendAll(fd.get(), request);
  std::string response;
  const size_t head_bytes = ReadHead(fd.get(), response);
  const std::string head = response.substr(0, head_bytes);
  const size_t status_line_bytes = head.find("\r\n");
  if (!head.starts_with("HTTP/1.1 200")) {
    throw std::runtime_error(
        fmt::format("GET {} was answered \"{}\"", path, head.substr(0, status_line_bytes)));
  }
  const std::string_view length = Field(head, "Content-Length");
  size_t body_bytes = 0;
  const auto parsed = std::from_chars(length.data(), length.data() + length.size(), body_bytes);
  if (length.empty() || parsed.ec != std::errc() || parsed.ptr != length.data() + length.size()) {
    throw std::runtime_error(fmt::format("GET {}: no Content-Length to count by", path));
  }
  while (response.size() < head_bytes + body_bytes) {
    if (!RecvMore(fd.get(), response)) throw std::runtime_error("the response body is cut short");
  }
  if (response.size() != head_bytes + body_bytes ||
      (one_request_per_connection && RecvMore(fd.get(), response))) {
    throw std::runtime_error("the server sent more than one response to one request");
  }

  Conversation conversation;
  for (size_t i = 0; i < pipeline_depth; ++i) conversation.request += request;
  conversation.answer = ExpectedAnswer(std::move(response), status_line_bytes, body_bytes);
  conversation.answers_per_turn = pipeline_depth;
  return conversation;
}

Conversation WebSocketEcho(size_t payload_bytes, bool text) {
  constexpr unsigned char kMaskingKey[4] = {0x37, 0xfa, 0x21, 0x3d};
  std::string length;
  unsigned char short_length = 0;
  if (payload_bytes < 126) {
    short_length = static_cast<unsigned char>(payload_bytes);
  } else {
    const int octets = payload_bytes <= 0xffff ? 2 : 8;
    short_length = octets == 2 ? 126 : 127;
    for (int i = octets - 1; i >= 0; --i) {
      length += static_cast<char>((static_cast<uint64_t>(payload_bytes) >> (8 * i)) & 0xff);
    }
  }
  const char first = static_cast<char>(text ? 0x81 : 0x82);
  std::string request = {first, static_cast<char>(0x80 | short_length)};
  request += length;
  request.append(reinterpret_cast<const char*>(kMaskingKey), sizeof kMaskingKey);
  std::string echo = {first, static_cast<char>(short_length)};
  echo += length;
  for (size_t i = 0; i < payload_bytes; ++i) {
    const char octet = PayloadOctet(i);
    echo += octet;
    request += static_cast<char>(octet ^ static_cast<char>(kMaskingKey[i % 4]));
  }
  Conversation conversation;
  conversation.request = std::move(request);
  conversation.answer = ExpectedAnswer::Exact(std::move(echo));
  return conversation;
}

Conversation TcpEcho(size_t payload_bytes) {
  Conversation conversation;
  for (size_t i = 0; i < payload_bytes; ++i) {
    conversation.request += PayloadOctet(i);
  }
  conversation.answer = ExpectedAnswer::Exact(conversation.request);
  return conversation;
}

size_t OpenWebSocket(int fd, uint16_t port, std::string_view path) {
  SendAll(fd, fmt::format("GET {0} HTTP/1.1\r\nHost: 127.0.0.1:{1}\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Key: {2}\r\n"
                          "Sec-WebSocket-Version: 13\r\nOrigin: http://127.0.0.1:{1}\r\n\r\n",
                          path, port, kKey));
  std::string response;
  const size_t head_bytes = ReadHead(fd, response);
  if (!response.starts_with("HTTP/1.1 101") ||
      Field(std::string_view(response).substr(0, head_bytes), "Sec-WebSocket-Accept") != kAccept ||
      response.size() != head_bytes) {
    throw std::runtime_error(fmt::format("the opening handshake for {} was answered \"{}\"", path,
                                         response.substr(0, 200)));
  }
  return head_bytes;
}

}  // namespace side_by_side
