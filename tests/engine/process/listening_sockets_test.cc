#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>

#include "tests/engine/process/server_fixture.h"

namespace ringmaster {
namespace {

using ListeningSockets = ServerTest;

struct Occupied {
  UniqueFd fd;
  uint16_t port = 0;
};

Occupied OccupyPort(bool reuse_port) {
  Occupied occupied;
  occupied.fd.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = reuse_port ? 1 : 0;
  ::setsockopt(occupied.fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(::bind(occupied.fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::listen(occupied.fd.get(), 1), 0);
  ::getsockname(occupied.fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  occupied.port = ntohs(address.sin_port);
  return occupied;
}

// A unix socket bound at `path`, listening only if asked.
UniqueFd BindUnix(const std::string& path, bool listening) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  if (listening) {
    EXPECT_EQ(::listen(fd.get(), 1), 0);
  }
  return fd;
}

TEST_F(ListeningSockets, APortInUseIsRefusedWithTheRemedy) {
  const Occupied occupied = OccupyPort(/*reuse_port=*/false);
  Configure(fmt::format("listen=127.0.0.1:{}", occupied.port));
  const Finished start = Run({"start"});
  EXPECT_EQ(start.exit_status, 1);
  EXPECT_NE(start.err.find("the address is in use; `ss -ltnp`"), std::string::npos) << start.err;
}

TEST_F(ListeningSockets, AReusePortGroupOfAnotherServerIsNotJoined) {
  // SO_REUSEPORT alone would let two servers of one user share a port, each with half the
  // connections.
  const Occupied occupied = OccupyPort(/*reuse_port=*/true);
  Configure(fmt::format("listen=127.0.0.1:{}", occupied.port));
  const Finished start = Run({"start"});
  EXPECT_EQ(start.exit_status, 1);
  EXPECT_NE(start.err.find("in use"), std::string::npos) << start.err;
}

TEST_F(ListeningSockets, NothingIsLeftWhenTheLastOfSeveralFails) {
  const Occupied occupied = OccupyPort(/*reuse_port=*/false);
  Configure(fmt::format("listen=unix:{}\nlisten=127.0.0.1:{}", PathOf("app.sock"), occupied.port));
  EXPECT_EQ(Run({"start"}).exit_status, 1);
  EXPECT_FALSE(std::filesystem::exists(PathOf("app.sock")));
  EXPECT_FALSE(std::filesystem::exists(pid_file()));
}

TEST_F(ListeningSockets, AnAddressThatThisMachineHasNotIsExplained) {
  Configure("listen=192.0.2.1:0");
  const Finished start = Run({"start"});
  EXPECT_EQ(start.exit_status, 1);
  EXPECT_NE(start.err.find("no such address"), std::string::npos) << start.err;
}

TEST_F(ListeningSockets, TwoListenersWithOneAddressAreRefused) {
  Configure(fmt::format("listen=unix:{0}\nlisten=unix:{0}", PathOf("app.sock")));
  const Finished start = Run({"start"});
  EXPECT_EQ(start.exit_status, 1);
  EXPECT_NE(start.err.find("two listeners"), std::string::npos) << start.err;
}

TEST_F(ListeningSockets, AUnixSocketHasItsModeAndIsRemovedAtTheEnd) {
  Configure(fmt::format("listen=unix:{}\nworkers=2", PathOf("app.sock")));
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  struct stat file = {};
  ASSERT_EQ(::stat(PathOf("app.sock").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 07777, 0640u);
  EXPECT_TRUE(AskUnix(PathOf("app.sock")).starts_with("hello"));
  server.Signal(SIGTERM);
  EXPECT_EQ(server.AwaitExit().exit_status, 0);
  EXPECT_FALSE(std::filesystem::exists(PathOf("app.sock")));
}

TEST_F(ListeningSockets, AStaleUnixSocketIsReplaced) {
  BindUnix(PathOf("app.sock"), /*listening=*/false);
  Configure("listen=unix:" + PathOf("app.sock"));
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  EXPECT_TRUE(AskUnix(PathOf("app.sock")).starts_with("hello"));
}

TEST_F(ListeningSockets, AUnixSocketInUseIsNotTaken) {
  const UniqueFd theirs = BindUnix(PathOf("app.sock"), /*listening=*/true);
  Configure("listen=unix:" + PathOf("app.sock"));
  const Finished start = Run({"start"});
  EXPECT_EQ(start.exit_status, 1);
  EXPECT_NE(start.err.find("another server listens there"), std::string::npos) << start.err;
  EXPECT_TRUE(std::filesystem::exists(PathOf("app.sock")));
}

TEST_F(ListeningSockets, AFileThatIsNoSocketIsNotRemoved) {
  WriteFile(PathOf("app.sock"), "precious");
  Configure("listen=unix:" + PathOf("app.sock"));
  const Finished start = Run({"start"});
  EXPECT_EQ(start.exit_status, 1);
  EXPECT_NE(start.err.find("is not a socket"), std::string::npos) << start.err;
  EXPECT_EQ(ReadFile(PathOf("app.sock")), "precious");
}

TEST_F(ListeningSockets, AnUnknownOwnerIsExplainedAndLeavesNoFile) {
  Configure("unix_owner=nobody-of-that-name\nlisten=unix:" + PathOf("app.sock"));
  const Finished start = Run({"start"});
  EXPECT_EQ(start.exit_status, 1);
  EXPECT_NE(start.err.find("there is no user \"nobody-of-that-name\""), std::string::npos)
      << start.err;
  EXPECT_FALSE(std::filesystem::exists(PathOf("app.sock")));
}

TEST_F(ListeningSockets, ASocketFileThatSomebodyReplacedIsNotRemovedAtTheEnd) {
  Configure("listen=unix:" + PathOf("app.sock"));
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  std::filesystem::remove(PathOf("app.sock"));
  WriteFile(PathOf("app.sock"), "theirs");
  server.Signal(SIGTERM);
  EXPECT_EQ(server.AwaitExit().exit_status, 0);
  EXPECT_EQ(ReadFile(PathOf("app.sock")), "theirs");
}

}  // namespace
}  // namespace ringmaster
