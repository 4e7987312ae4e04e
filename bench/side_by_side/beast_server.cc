// A peer of our own on Boost.Beast: one thread, callbacks, what its documentation recommends.
//
//   beast_server PORT [RESPONSE_BYTES]
//
// GET /hello answers 13 bytes of text; /ws echoes WebSocket messages. With RESPONSE_BYTES the head
// gets a Server field of the length that makes the response that long, so that both sides of a
// comparison move the same bytes.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::ip::tcp;
using beast::error_code;

constexpr size_t kMessageBytesMax = size_t{64} << 20;

using Response = http::response<http::string_body>;

// The Date of the current second; other servers format it once a second too.
const std::string& Date() {
  static std::time_t second = 0;
  static std::string text;
  const std::time_t now = std::time(nullptr);
  if (now != second) {
    second = now;
    std::tm utc;
    gmtime_r(&now, &utc);
    char buffer[64];
    text.assign(buffer, std::strftime(buffer, sizeof buffer, "%a, %d %b %Y %H:%M:%S GMT", &utc));
  }
  return text;
}

Response Answer(const http::request<http::string_body>& request, const std::string& server_name) {
  const bool found = request.target() == "/hello";
  Response response(found ? http::status::ok : http::status::not_found, request.version());
  response.set(http::field::date, Date());
  if (!server_name.empty()) response.set(http::field::server, server_name);
  response.set(http::field::content_type, "text/plain");
  response.keep_alive(request.keep_alive());
  response.body() = found ? "Hello, World!" : "Not found";
  response.prepare_payload();
  return response;
}

// The Server value that makes a response `response_bytes` long; empty if it is that long without.
std::string ServerNameFor(size_t response_bytes) {
  http::request<http::string_body> request(http::verb::get, "/hello", 11);
  std::ostringstream text;
  text << Answer(request, "");
  const size_t field_bytes = sizeof("Server: \r\n") - 1;
  const size_t without = text.str().size();
  if (response_bytes <= without + field_bytes) return "";
  return std::string(response_bytes - without - field_bytes, 'b');
}

class WebSocketEcho : public std::enable_shared_from_this<WebSocketEcho> {
 public:
  explicit WebSocketEcho(beast::tcp_stream stream) : stream_(std::move(stream)) {
    stream_.read_message_max(kMessageBytesMax);
    // Else it cuts messages into frames of 4 KiB, and the other servers do not.
    stream_.auto_fragment(false);
  }

  void Start(const http::request<http::string_body>& request) {
    stream_.async_accept(request, [self = shared_from_this()](error_code error) {
      if (!error) self->Read();
    });
  }

 private:
  void Read() {
    stream_.async_read(buffer_, [self = shared_from_this()](error_code error, size_t) {
      if (!error) self->Write();
    });
  }

  void Write() {
    stream_.binary(stream_.got_binary());
    stream_.async_write(buffer_.data(), [self = shared_from_this()](error_code error, size_t) {
      if (error) return;
      self->buffer_.consume(self->buffer_.size());
      self->Read();
    });
  }

  websocket::stream<beast::tcp_stream> stream_;
  beast::flat_buffer buffer_;
};

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(tcp::socket socket, const std::string& server_name)
      : stream_(std::move(socket)), server_name_(server_name) {
    stream_.socket().set_option(tcp::no_delay(true));
  }

  void Read() {
    request_ = {};
    http::async_read(stream_, buffer_, request_,
                     [self = shared_from_this()](error_code error, size_t) {
                       if (!error) self->OnRequest();
                     });
  }

 private:
  void OnRequest() {
    if (websocket::is_upgrade(request_)) {
      std::make_shared<WebSocketEcho>(std::move(stream_))->Start(request_);
      return;
    }
    response_.emplace(Answer(request_, server_name_));
    http::async_write(stream_, *response_, [self = shared_from_this()](error_code error, size_t) {
      if (error) return;
      if (self->response_->keep_alive()) {
        self->Read();
      } else {
        self->stream_.socket().shutdown(tcp::socket::shutdown_send, error);
      }
    });
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  http::request<http::string_body> request_;
  std::optional<Response> response_;
  const std::string& server_name_;
};

class Listener {
 public:
  Listener(asio::io_context& context, uint16_t port, std::string server_name)
      : acceptor_(context, tcp::endpoint(asio::ip::address_v4::loopback(), port)),
        server_name_(std::move(server_name)) {
    acceptor_.listen(4096);
  }

  void Accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (!error) std::make_shared<HttpConnection>(std::move(socket), server_name_)->Read();
      Accept();
    });
  }

 private:
  tcp::acceptor acceptor_;
  const std::string server_name_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fputs("usage: beast_server PORT [RESPONSE_BYTES]\n", stderr);
    return 2;
  }
  try {
    // 1: one thread, so that Asio leaves its locks out.
    asio::io_context context(1);
    const size_t response_bytes = argc == 3 ? std::strtoul(argv[2], nullptr, 10) : 0;
    Listener listener(context, static_cast<uint16_t>(std::atoi(argv[1])),
                      ServerNameFor(response_bytes));
    listener.Accept();
    context.run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "beast_server: %s\n", error.what());
    return 1;
  }
  return 0;
}
