#include "engine/process/control_server.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace ringmaster {

absl::StatusOr<ControlServer> ControlServer::Open(const std::string& path) {
  ControlServer server;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(fmt::format("the path {} is too long for a socket", path));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  struct stat file = {};
  if (::lstat(path.c_str(), &file) == 0 && S_ISSOCK(file.st_mode)) ::unlink(path.c_str());
  server.listener_.Reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!server.listener_.valid()) return absl::ErrnoToStatus(errno, "cannot make a unix socket");
  const mode_t old_mask = ::umask(0177);
  const int bound =
      ::bind(server.listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address));
  const int error = errno;
  ::umask(old_mask);
  if (bound != 0) {
    return absl::ErrnoToStatus(error, fmt::format("cannot bind the control socket {}", path));
  }
  server.path_ = path;
  if (::listen(server.listener_.get(), kClientsMax) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot listen on {}", path));
  }
  return server;
}

ControlServer ControlServer::Resume(std::string path, UniqueFd listener) {
  ControlServer server;
  server.path_ = std::move(path);
  server.listener_ = std::move(listener);
  return server;
}

bool ControlServer::answering() const {
  return std::any_of(clients_.begin(), clients_.end(),
                     [](const Client& client) { return !client.answer.empty(); });
}

// The lock is still held, so the file is still ours.
ControlServer::~ControlServer() {
  if (listener_.valid() && !path_.empty()) ::unlink(path_.c_str());
}

void ControlServer::AppendPollEntries(std::vector<pollfd>& entries) const {
  // A negative descriptor is skipped by poll(2).
  entries.push_back({listener_.get(), POLLIN, 0});
  for (const Client& client : clients_) {
    // Of one that waits, only its end is of interest.
    const short wanted = !client.answer.empty() ? POLLOUT : client.asked ? POLLRDHUP : POLLIN;
    entries.push_back({client.fd.get(), wanted, 0});
  }
}

void ControlServer::Serve(const pollfd* entries, const Handler& handler) {
  std::vector<Client> remaining;
  for (size_t i = 0; i < clients_.size(); ++i) {
    if (entries[i + 1].revents == 0 || ServeClient(clients_[i], handler)) {
      remaining.push_back(std::move(clients_[i]));
    }
  }
  clients_ = std::move(remaining);
  if (entries[0].revents != 0) Accept();
}

void ControlServer::Accept() {
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.valid()) return;
  // A forgotten client must not lock out the one who wants to stop the server.
  if (clients_.size() >= kClientsMax) clients_.erase(clients_.begin());
  Client& client = clients_.emplace_back();
  client.id = next_id_++;
  client.fd = std::move(fd);
}

void ControlServer::Answer(uint64_t client, std::string answer) {
  for (Client& candidate : clients_) {
    if (candidate.id == client) candidate.answer = std::move(answer);
  }
}

bool ControlServer::ServeClient(Client& client, const Handler& handler) {
  // It hung up before its answer was there.
  if (client.asked && client.answer.empty()) return false;
  if (!client.asked) {
    char piece[kRequestBytesMax];
    const ssize_t bytes = ::recv(client.fd.get(), piece, sizeof(piece), 0);
    if (bytes < 0) return errno == EAGAIN || errno == EINTR;
    if (bytes == 0) return false;
    client.request.append(piece, static_cast<size_t>(bytes));
    const size_t end = client.request.find('\n');
    if (end == std::string::npos) return client.request.size() < kRequestBytesMax;
    client.asked = true;
    std::optional<std::string> answer =
        handler(client.id, std::string_view(client.request).substr(0, end));
    if (!answer) return true;
    client.answer = *std::move(answer);
  }
  const ssize_t bytes = ::send(client.fd.get(), client.answer.data() + client.sent,
                               client.answer.size() - client.sent, MSG_NOSIGNAL);
  if (bytes < 0) return errno == EAGAIN || errno == EINTR;
  client.sent += static_cast<size_t>(bytes);
  return client.sent < client.answer.size();
}

}  // namespace ringmaster
