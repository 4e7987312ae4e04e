#include "tests/engine/process/server_fixture.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "engine/process/control_client.h"
#include "engine/process/pid_file.h"
#include "engine/stats/shared_status.h"

namespace ringmaster {
namespace {

// Reached only by a test that fails, or on a machine that is far too busy.
constexpr Duration kDeadline = std::chrono::seconds(20);

int MillisecondsUntil(TimePoint deadline) {
  const TimePoint left = deadline - MonotonicNow();
  return left <= 0 ? 0 : static_cast<int>(left / 1'000'000 + 1);
}

int Count(const std::string& text, const std::string& word) {
  int count = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

std::string ReadToEnd(int fd) {
  timeval patience = {20, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  std::string text;
  char piece[256];
  ssize_t bytes = 0;
  while ((bytes = ::recv(fd, piece, sizeof(piece), 0)) > 0) {
    text.append(piece, static_cast<size_t>(bytes));
  }
  return text;
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& arguments) {
  int out[2];
  int err[2];
  if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) std::abort();
  std::vector<char*> pointers;
  for (const std::string& argument : arguments)
    pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    ::execv(pointers[0], pointers.data());
    ::_exit(126);
  }
  ::close(out[1]);
  ::close(err[1]);
  out_fd_.Reset(out[0]);
  err_fd_.Reset(err[0]);
}

ChildProcess::~ChildProcess() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void ChildProcess::Signal(int number) const { ::kill(pid_, number); }

bool ChildProcess::ReadSome(int64_t deadline) {
  pollfd entries[2] = {{out_fd_.get(), POLLIN, 0}, {err_fd_.get(), POLLIN, 0}};
  if (!out_fd_.valid() && !err_fd_.valid()) return false;
  if (::poll(entries, 2, MillisecondsUntil(deadline)) <= 0) return false;
  const auto read = [](UniqueFd& fd, std::string& text) {
    char piece[4096];
    const ssize_t bytes = ::read(fd.get(), piece, sizeof(piece));
    if (bytes <= 0) {
      fd.Reset();
    } else {
      text.append(piece, static_cast<size_t>(bytes));
    }
  };
  if (entries[0].revents != 0) read(out_fd_, out_);
  if (entries[1].revents != 0) read(err_fd_, err_);
  return true;
}

bool ChildProcess::AwaitOutput(const std::string& text, int times) {
  const TimePoint deadline = DeadlineAfter(MonotonicNow(), kDeadline);
  while (Count(out_, text) + Count(err_, text) < times) {
    if (!ReadSome(deadline)) return false;
  }
  return true;
}

Finished ChildProcess::AwaitExit() {
  Finished finished;
  const TimePoint deadline = DeadlineAfter(MonotonicNow(), kDeadline);
  if (WaitForExit(pid_, kDeadline).ok()) {
    int wait_status = 0;
    ::waitpid(pid_, &wait_status, 0);
    pid_ = -1;
    if (WIFEXITED(wait_status)) finished.exit_status = WEXITSTATUS(wait_status);
    while (ReadSome(deadline)) {
    }
  }
  finished.out = out_;
  finished.err = err_;
  return finished;
}

ServerTest::ServerTest() {
  char name[] = "/tmp/ringmaster-test-XXXXXX";
  directory_ = ::mkdtemp(name);
}

ServerTest::~ServerTest() {
  // A test that failed may leave a daemon; its workers follow it.
  const absl::StatusOr<std::optional<pid_t>> daemon = FindPidFileHolder(pid_file());
  if (daemon.ok() && daemon->has_value() && **daemon > 0) ::kill(**daemon, SIGKILL);
  std::filesystem::remove_all(directory_);
}

void ServerTest::Configure(const std::string& settings) {
  WriteFile(PathOf("server.conf"), fmt::format("pid_file={}\n{}\n", pid_file(), settings));
}

std::vector<std::string> ServerTest::CommandLine(const std::vector<std::string>& words) const {
  std::vector<std::string> arguments = {STAND_IN_SERVER};
  arguments.insert(arguments.end(), words.begin(), words.end());
  arguments.push_back(PathOf("server.conf"));
  return arguments;
}

Finished ServerTest::Run(const std::vector<std::string>& words) const {
  return ChildProcess(CommandLine(words)).AwaitExit();
}

uint16_t ServerTest::PortIn(const std::string& banner) {
  return static_cast<uint16_t>(NumberAfter(banner, "listening on   127.0.0.1:"));
}

std::string ServerTest::AskPort(uint16_t port) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return "";
  return ReadToEnd(fd.get());
}

std::string ServerTest::AskUnix(const std::string& path) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return "";
  return ReadToEnd(fd.get());
}

bool AwaitProcessEnd(pid_t pid) { return WaitForExit(pid, kDeadline).ok(); }

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::trunc) << text;
}

int NumberAfter(const std::string& text, const std::string& key) {
  const size_t at = text.find(key);
  return at == std::string::npos ? -1 : std::atoi(text.c_str() + at + key.size());
}

}  // namespace ringmaster
