// Descriptors begin at 3, so each case runs in a child of its own, where those numbers are free to
// be taken. A child says what went wrong by its exit status and its standard error.

#include "engine/process/socket_activation.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <functional>
#include <string>

namespace ringmaster {
namespace {

#define EXPECT_IN_CHILD(statement)                      \
  EXPECT_EXIT(                                          \
      {                                                 \
        statement;                                      \
        ::_exit(::testing::Test::HasFailure() ? 1 : 0); \
      },                                                \
      testing::ExitedWithCode(0), "")

int BoundSocket(const Address& address, bool reuse_port = false, bool only_ipv6 = true,
                int type = SOCK_STREAM | SOCK_NONBLOCK) {
  const int fd = ::socket(address.family(), type, 0);
  const int on = 1;
  if (reuse_port) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  const int ipv6_only = only_ipv6 ? 1 : 0;
  if (address.family() == AF_INET6) {
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &ipv6_only, sizeof(ipv6_only));
  }
  EXPECT_EQ(::bind(fd, address.data(), address.size()), 0) << address.ToString();
  return fd;
}

int Listening(const Address& address, bool reuse_port = false, bool only_ipv6 = true) {
  const int fd = BoundSocket(address, reuse_port, only_ipv6);
  EXPECT_EQ(::listen(fd, 16), 0);
  return fd;
}

Address ParsedAddress(std::string_view text) { return *Address::Parse(text); }

// `address` with the port that the kernel gave to `fd`.
Address WithPortOf(int fd, Address address) {
  sockaddr_storage bound = {};
  socklen_t size = sizeof(bound);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size), 0);
  address.set_port(PeerAddress::Of(bound).port);
  return address;
}

// Puts the sockets where a service manager puts them, and says so in the environment.
void PassSockets(const std::vector<int>& sockets, const std::string& names = "") {
  std::vector<int> away;
  for (const int fd : sockets) away.push_back(::fcntl(fd, F_DUPFD, 100));
  for (size_t i = 0; i < away.size(); ++i) {
    EXPECT_EQ(::dup2(away[i], 3 + static_cast<int>(i)), 3 + static_cast<int>(i));
  }
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDS", std::to_string(sockets.size()).c_str(), 1);
  if (!names.empty()) ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
}

ActivatedSockets TakeActivated() {
  absl::StatusOr<ActivatedSockets> activated = ActivatedSockets::TakeFromEnvironment();
  EXPECT_TRUE(activated.ok()) << activated.status();
  return activated.ok() ? *std::move(activated) : ActivatedSockets();
}

std::vector<int> Descriptors(const absl::StatusOr<std::vector<UniqueFd>>& sockets) {
  EXPECT_TRUE(sockets.ok()) << sockets.status();
  std::vector<int> descriptors;
  if (sockets.ok()) {
    for (const UniqueFd& fd : *sockets) descriptors.push_back(fd.get());
  }
  return descriptors;
}

void FindsEachListenersSocket() {
  const int first = Listening(ParsedAddress("127.0.0.1:0"));
  const int second = Listening(ParsedAddress("[::1]:0"));
  const std::string path = fmt::format("/tmp/ringmaster-test-{}.sock", ::getpid());
  const int third = Listening(ParsedAddress("unix:" + path));
  const std::string abstract = fmt::format("unix:@ringmaster-test-{}", ::getpid());
  const int fourth = Listening(ParsedAddress(abstract));
  const Address ipv4 = WithPortOf(first, ParsedAddress("127.0.0.1:0"));
  const Address ipv6 = WithPortOf(second, ParsedAddress("[::1]:0"));
  PassSockets({first, second, third, fourth}, "web:web6::game");
  ActivatedSockets activated = TakeActivated();
  EXPECT_EQ(activated.size(), 4u);
  EXPECT_EQ(Descriptors(activated.TakeFor(ipv6, 2)), std::vector<int>{4});
  EXPECT_EQ(Descriptors(activated.TakeFor(ParsedAddress("unix:" + path), 2)), std::vector<int>{5});
  EXPECT_EQ(Descriptors(activated.TakeFor(ParsedAddress(abstract), 2)), std::vector<int>{6});
  EXPECT_TRUE(Descriptors(activated.TakeFor(ParsedAddress("127.0.0.1:1"), 2)).empty());
  EXPECT_EQ(activated.Unused(), std::vector<std::string>{fmt::format("web ({})", ipv4.ToString())});
  EXPECT_EQ(Descriptors(activated.TakeFor(ipv4, 2)), std::vector<int>{3});
  EXPECT_TRUE(Descriptors(activated.TakeFor(ipv4, 2)).empty()) << "given twice";
  EXPECT_TRUE(activated.Unused().empty());
  ::unlink(path.c_str());
}

TEST(SocketActivation, FindsTheSocketOfEachListenerByItsAddress) {
  EXPECT_IN_CHILD(FindsEachListenersSocket());
}

void PreparesThem() {
  const int fd = Listening(ParsedAddress("127.0.0.1:0"));
  const Address address = WithPortOf(fd, ParsedAddress("127.0.0.1:0"));
  PassSockets({fd});
  ActivatedSockets activated = TakeActivated();
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
    EXPECT_EQ(::getenv(name), nullptr) << name;
  }
  EXPECT_EQ(::fcntl(3, F_GETFD), FD_CLOEXEC);
  const absl::StatusOr<std::vector<UniqueFd>> taken = activated.TakeFor(address, 1);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(::fcntl(3, F_GETFL) & O_NONBLOCK, 0);
  int no_delay = 0;
  socklen_t size = sizeof(no_delay);
  EXPECT_EQ(::getsockopt(3, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
  EXPECT_EQ(no_delay, 1);
}

TEST(SocketActivation, MakesThemCloseOnExecAndBlocking) { EXPECT_IN_CHILD(PreparesThem()); }

void TakesOneForEachWorker() {
  const int first = Listening(ParsedAddress("127.0.0.1:0"), /*reuse_port=*/true);
  const Address address = WithPortOf(first, ParsedAddress("127.0.0.1:0"));
  const int second = Listening(address, /*reuse_port=*/true);
  PassSockets({first, second});
  ActivatedSockets activated = TakeActivated();
  EXPECT_EQ(Descriptors(activated.TakeFor(address, 2)), (std::vector<int>{3, 4}));
}

TEST(SocketActivation, GivesAGroupOfSocketsOneToEachWorker) {
  EXPECT_IN_CHILD(TakesOneForEachWorker());
}

void ExpectRefused(const Address& address, const std::vector<int>& sockets, uint32_t workers,
                   std::string_view reason) {
  PassSockets(sockets, "web.socket");
  ActivatedSockets activated = TakeActivated();
  const absl::Status status = activated.TakeFor(address, workers).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_NE(std::string(status.message()).find(reason), std::string::npos) << status;
}

void RefusesAGroupThatDoesNotFit() {
  const int first = Listening(ParsedAddress("127.0.0.1:0"), /*reuse_port=*/true);
  const Address address = WithPortOf(first, ParsedAddress("127.0.0.1:0"));
  ExpectRefused(address, {first, Listening(address, /*reuse_port=*/true)}, 4, "2 sockets");
}

void RefusesIpv6WithIpv4() {
  const int fd = Listening(ParsedAddress("[::]:0"), false, /*only_ipv6=*/false);
  ExpectRefused(WithPortOf(fd, ParsedAddress("[::]:0")), {fd}, 1, "BindIPv6Only=ipv6-only");
}

void RefusesADatagramSocket() {
  const int fd = BoundSocket(ParsedAddress("127.0.0.1:0"), false, true, SOCK_DGRAM);
  ExpectRefused(WithPortOf(fd, ParsedAddress("127.0.0.1:0")), {fd}, 1, "ListenStream=");
}

TEST(SocketActivation, RefusesWhatAWorkerCouldNotServe) {
  EXPECT_IN_CHILD(RefusesAGroupThatDoesNotFit());
  EXPECT_IN_CHILD(RefusesIpv6WithIpv4());
  EXPECT_IN_CHILD(RefusesADatagramSocket());
}

void IgnoresAnothers() {
  const int fd = Listening(ParsedAddress("127.0.0.1:0"));
  PassSockets({fd});
  ::setenv("LISTEN_PID", std::to_string(::getppid()).c_str(), 1);
  EXPECT_EQ(TakeActivated().size(), 0u);
  EXPECT_EQ(::getenv("LISTEN_FDS"), nullptr);
  // It is not ours to close or to mark.
  EXPECT_EQ(::fcntl(3, F_GETFD), 0);
}

TEST(SocketActivation, LeavesThoseOfAnotherProcessAlone) { EXPECT_IN_CHILD(IgnoresAnothers()); }

void RefusesNonsense() {
  for (const char* count : {"", "-1", "three", "4294967296"}) {
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", count, 1);
    EXPECT_EQ(ActivatedSockets::TakeFromEnvironment().status().code(),
              absl::StatusCode::kInvalidArgument)
        << count;
  }
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDS", "60000", 1);
  const absl::Status status = ActivatedSockets::TakeFromEnvironment().status();
  EXPECT_NE(status.message().find("is not open"), std::string::npos) << status;
}

TEST(SocketActivation, RefusesWhatNoServiceManagerSets) { EXPECT_IN_CHILD(RefusesNonsense()); }

}  // namespace
}  // namespace ringmaster
