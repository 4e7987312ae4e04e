#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "engine/base/check.h"
#include "engine/ring/kernel_ring.h"
#include "engine/server.h"
#include "engine/worker/worker.h"
#include "engine/worker/worker_environment.h"
#include "protocols/http/service/service.h"

namespace ringmaster::http {

// A client's socket. Reads wait for bytes, not for time; 10 s without any is a failed test.
class Client {
 public:
  explicit Client(int fd) : fd_(fd) {}
  Client(Client&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  ~Client() {
    if (fd_ >= 0) close(fd_);
  }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;  // the server has closed; what it said can still be read
      bytes.remove_prefix(static_cast<size_t>(count));
    }
  }
  void EndOutput() { shutdown(fd_, SHUT_WR); }

  // Until `text` has been seen, or the end; what was read so far, the earlier calls' leftovers
  // included.
  std::string ReadUntil(std::string_view text) {
    for (;;) {
      const size_t at = buffer_.find(text);
      if (at != std::string::npos) {
        std::string result = buffer_.substr(0, at + text.size());
        buffer_.erase(0, at + text.size());
        return result;
      }
      if (!ReadMore()) return std::exchange(buffer_, {});
    }
  }
  std::string ReadBytes(size_t bytes) {
    while (buffer_.size() < bytes && ReadMore()) {
    }
    std::string result = buffer_.substr(0, bytes);
    buffer_.erase(0, result.size());
    return result;
  }
  std::string ReadToEnd() {
    while (ReadMore()) {
    }
    return std::exchange(buffer_, {});
  }
  bool ended() const { return ended_; }

  // One response with a Content-Length, head and content.
  std::string ReadResponse(bool head_request = false) {
    std::string head = ReadUntil("\r\n\r\n");
    const size_t at = head.find("Content-Length: ");
    if (head_request || at == std::string::npos) return head;
    return head + ReadBytes(strtoull(head.c_str() + at + 16, nullptr, 10));
  }

 private:
  bool ReadMore() {
    pollfd wait{fd_, POLLIN, 0};
    if (poll(&wait, 1, 10'000) != 1) {
      buffer_ += "<nothing came for 10 s>";
      ended_ = true;
      return false;
    }
    char bytes[65536];
    const ssize_t count = recv(fd_, bytes, sizeof(bytes), 0);
    if (count <= 0) {
      ended_ = true;
      return false;
    }
    buffer_.append(bytes, static_cast<size_t>(count));
    return true;
  }

  int fd_;
  bool ended_ = false;
  std::string buffer_;
};

// A worker with one listener on a loopback port the kernel chose, on a thread of its own. Routes
// are added before Start.
class LiveServer {
 public:
  explicit LiveServer(ServiceOptions options = {}, StreamOptions stream = {}) : service(options) {
    listener.stream = stream;
  }
  ~LiveServer() { Stop(); }

  Service service;
  // What a test may change before Start. Without a protocol: the service.
  ListenerDefinition listener;
  ServerDefinition definition;

  void Start() {
    listening_fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address_);
    CHECK(bind(listening_fd_, reinterpret_cast<sockaddr*>(&address_), size) == 0);
    CHECK(listen(listening_fd_, 64) == 0);
    CHECK(getsockname(listening_fd_, reinterpret_cast<sockaddr*>(&address_), &size) == 0);
    if (listener.protocol == nullptr) listener.protocol = &service;
    definition.Listen(listener);
    thread_ = std::thread([this] {
      RingOptions ring_options;
      absl::StatusOr<std::unique_ptr<KernelRing>> ring = KernelRing::Create(ring_options);
      CHECK(ring.ok());
      WorkerEnvironment environment;
      environment.listening_sockets = {{0, listening_fd_}};
      environment.counters = counters.get();
      Worker worker(definition, environment, *std::move(ring));
      worker.Start();
      worker_.store(&worker);
      worker_.notify_all();
      while (worker.Turn()) {
      }
      // Others may still post to it.
      released_.wait(false);
    });
    worker_.wait(nullptr);
  }

  // Runs `task` on the worker's thread and waits for it.
  void Run(absl::AnyInvocable<void(Worker&)> task) {
    std::atomic<bool> done = false;
    Worker* const worker = worker_.load();
    worker->Post([&] {
      task(*worker);
      done.store(true);
      done.notify_all();
    });
    done.wait(false);
  }
  void BeginStop() {
    Worker* const worker = worker_.load();
    worker->Post([worker] { worker->Stop(); });
  }
  void Stop() {
    if (!thread_.joinable()) return;
    Worker* const worker = worker_.load();
    worker->Post([worker] { worker->StopNow(); });
    released_.store(true);
    released_.notify_all();
    thread_.join();
    close(listening_fd_);
  }

  Client Connect() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(fd, reinterpret_cast<sockaddr*>(&address_), sizeof(address_)) == 0);
    return Client(fd);
  }
  // Sends all of it on a new connection and reads until the server ends it.
  std::string Exchange(std::string_view bytes) {
    Client client = Connect();
    client.Send(bytes);
    return client.ReadToEnd();
  }

  std::unique_ptr<WorkerCounters> counters = std::make_unique<WorkerCounters>();

 private:
  sockaddr_in address_ = {};
  int listening_fd_ = -1;
  std::thread thread_;
  std::atomic<Worker*> worker_ = nullptr;
  std::atomic<bool> released_ = false;
};

}  // namespace ringmaster::http
