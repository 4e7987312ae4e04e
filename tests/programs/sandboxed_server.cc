// A server whose handlers ask the kernel for what a sandboxed worker may not do, and for what it
// must be able to do. Its settings come from the environment: SANDBOXED_USER, SANDBOXED_GROUP,
// SANDBOXED_MODE (off, on, required), SANDBOXED_ALLOW (names, by comma), SANDBOXED_OPEN (a file
// that on_worker_open opens).
//
//   GET /try?call=NAME  "NAME=0", or the errno
//   GET /identity       the user of a file that a handler makes, and of on_worker_open's
//   GET /abort          ends the worker

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/io_uring.h>
#include <ringmaster/server.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <thread>

namespace {

std::string FromEnvironment(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? "" : text;
}

long OpenAndClose(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -1 : ::close(fd);
}

long ForkAndWait() {
  const pid_t child = ::fork();
  if (child < 0) return -1;
  if (child == 0) ::_exit(7);
  int status = 0;
  if (::waitpid(child, &status, 0) != child) return -1;
  return WEXITSTATUS(status) == 7 ? 0 : -1;
}

long RunThread() {
  bool ran = false;
  std::thread([&] { ran = true; }).join();
  return ran ? 0 : -1;
}

// A registration on the worker's own ring, found among its descriptors.
long RegisterWithTheRing() {
  char memory[4096];
  iovec buffer = {memory, sizeof(memory)};
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    if (std::filesystem::read_symlink(entry.path(), error) != "anon_inode:[io_uring]") continue;
    return ::syscall(SYS_io_uring_register, std::stoi(entry.path().filename()),
                     IORING_REGISTER_BUFFERS, &buffer, 1);
  }
  errno = ENOENT;
  return -1;
}

long MakeRing() {
  io_uring_params parameters = {};
  const long fd = ::syscall(SYS_io_uring_setup, 4, &parameters);
  if (fd >= 0) ::close(static_cast<int>(fd));
  return fd;
}

long MapExecutable() {
  void* memory =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? -1 : 0;
}

const std::map<std::string, std::function<long()>, std::less<>>& Calls() {
  static const std::map<std::string, std::function<long()>, std::less<>> calls = {
      // None of them returns where it is carried out, or it does no harm.
      {"execve", [] { return ::execl("/nowhere/at/all", "x", nullptr); }},
      {"ptrace", [] { return ::ptrace(PTRACE_ATTACH, ::getppid(), nullptr, nullptr); }},
      {"mount", [] { return ::mount("none", "/nowhere/at/all", "tmpfs", 0, nullptr); }},
      {"unshare", [] { return ::unshare(CLONE_NEWUSER); }},
      {"setuid", [] { return ::setuid(0); }},
      {"kill", [] { return ::kill(::getppid(), 0); }},
      {"io_uring_setup", MakeRing},
      {"io_uring_register", RegisterWithTheRing},
      {"mmap_executable", MapExecutable},
      {"socket", [] { return ::close(::socket(AF_INET, SOCK_STREAM, 0)); }},
      {"open", [] { return OpenAndClose("/proc/self/status"); }},
      {"memfd_create", [] { return ::close(::memfd_create("x", MFD_CLOEXEC)); }},
      {"fork", ForkAndWait},
      {"thread", RunThread},
      {"dlopen", [] { return ::dlopen("libutil.so.1", RTLD_NOW) == nullptr ? -1L : 0L; }},
      {"raise", [] { return ::raise(SIGURG); }},
      {"secret", [] { return OpenAndClose("/etc/shadow"); }},
  };
  return calls;
}

std::string Try(std::string_view name) {
  const auto call = Calls().find(name);
  if (call == Calls().end()) return fmt::format("{}: no such call\n", name);
  errno = 0;
  const long result = call->second();
  return fmt::format("{}={}\n", name, result < 0 ? errno : 0);
}

}  // namespace

int main(int argc, char** argv) {
  ringmaster::Server server;
  ringmaster::ServerOptions& options = server.options;
  options.name = "sandboxed";
  options.workers = 2;
  options.user = FromEnvironment("SANDBOXED_USER");
  options.group = FromEnvironment("SANDBOXED_GROUP");
  const std::string mode = FromEnvironment("SANDBOXED_MODE");
  if (mode == "off") options.sandbox = ringmaster::SandboxMode::kOff;
  if (mode == "required") options.sandbox = ringmaster::SandboxMode::kRequired;
  std::stringstream allowed(FromEnvironment("SANDBOXED_ALLOW"));
  for (std::string name; std::getline(allowed, name, ',');) options.sandbox_allow.push_back(name);
  int opened = -1;
  server.on_worker_open = [&opened] {
    const std::string path = FromEnvironment("SANDBOXED_OPEN");
    if (path.empty()) return absl::OkStatus();
    opened = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (opened >= 0) return absl::OkStatus();
    return absl::ErrnoToStatus(errno, fmt::format("cannot open {}", path));
  };
  uid_t start_user = 0;
  server.on_worker_start = [&start_user](ringmaster::Worker&) {
    start_user = ::geteuid();
    return absl::OkStatus();
  };
  server.Get("/try", [](auto& request, auto& response) {
    response.Text(Try(request.query("call").value_or("")));
  });
  server.Get("/identity", [&](auto&, auto& response) {
    char byte = 0;
    const bool reads = ::pread(opened, &byte, 1, 0) == 1;
    response.Text(fmt::format("handler={} start={} reads={}\n", ::geteuid(), start_user, reads));
  });
  server.Get("/abort", [](auto&, auto&) { std::abort(); });
  server.Listen("127.0.0.1:0");
  return ringmaster::Main(server, argc, argv);
}
