#include "engine/process/orphans.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <utility>

#include "engine/base/descriptor_passing.h"
#include "engine/process/bound_address.h"
#include "engine/process/control_message.h"
#include "engine/process/listening_sockets.h"
#include "engine/process/orphan_commands.h"
#include "engine/protocol.h"
#include "engine/stats/shared_status.h"
#include "tests/engine/process/server_fixture.h"

namespace ringmaster {
namespace {

constexpr Duration kPatience = std::chrono::seconds(20);
constexpr Duration kMoment = std::chrono::milliseconds(50);

TEST(OrphanHello, ReadsBackWhatItWrote) {
  OrphanHello hello;
  hello.index = 3;
  hello.generation = 9;
  hello.connection_prefix = 65535;
  hello.connections = 1'000'000;
  hello.served = {17, 4711};
  hello.listeners = {"127.0.0.1:80", "unix:/run/app.sock"};
  const std::string bytes = hello.Write();
  const std::optional<OrphanHello> read = OrphanHello::Read(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->index, 3u);
  EXPECT_EQ(read->generation, 9u);
  EXPECT_EQ(read->connection_prefix, 65535);
  EXPECT_EQ(read->connections, 1'000'000u);
  EXPECT_EQ(read->served, hello.served);
  EXPECT_EQ(read->listeners, hello.listeners);
  for (size_t i = 0; i < bytes.size(); ++i) EXPECT_FALSE(OrphanHello::Read(bytes.substr(0, i)));
  EXPECT_FALSE(OrphanHello::Read(bytes + "x"));
}

TEST(OrphanHello, RefusesAnotherRelease) {
  std::string bytes = OrphanHello().Write();
  bytes[0] = static_cast<char>(OrphanHello::kVersion + 1);
  EXPECT_FALSE(OrphanHello::Read(bytes));
}

// Doors in a directory of their own.
class OrphanDoors : public testing::Test {
 protected:
  OrphanDoors() {
    char name[] = "/tmp/ringmaster-test-XXXXXX";
    directory_ = ::mkdtemp(name);
    paths_.pid_file = directory_ + "/a.pid";
    paths_.control_socket = directory_ + "/a.sock";
    paths_.admin_socket = directory_ + "/a.admin.sock";
    paths_.orphan_door = directory_ + "/a.orphans";
  }
  ~OrphanDoors() override {
    for (const pid_t child : children_) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
    std::filesystem::remove_all(directory_);
  }

  OrphanDoor Open() {
    absl::StatusOr<OrphanDoor> door = OrphanDoor::Open(paths_);
    EXPECT_TRUE(door.ok()) << door.status();
    return std::move(door).value_or(OrphanDoor());
  }
  // A process that has the door and does `what`, then ends.
  pid_t Behind(const std::function<void()>& what) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      what();
      ::_exit(0);
    }
    children_.push_back(pid);
    return pid;
  }
  // What an orphan does: greets one caller, with `listener`, and gives back the letter that it
  // says.
  static char GreetOne(int door, int listener, const std::string& bytes) {
    ::fcntl(door, F_SETFL, 0);
    const int caller = ::accept4(door, nullptr, nullptr, SOCK_CLOEXEC);
    SendDescriptors(caller, bytes, {});
    if (listener >= 0) SendDescriptor(caller, listener);
    char answer = 0;
    return ::recv(caller, &answer, 1, 0) == 1 ? answer : 0;
  }
  static TimePoint Within(Duration duration) { return DeadlineAfter(MonotonicNow(), duration); }
  size_t FileCount() const {
    const auto files = std::filesystem::directory_iterator(directory_);
    return static_cast<size_t>(std::distance(begin(files), end(files)));
  }

  std::string directory_;
  RuntimePaths paths_;
  std::vector<pid_t> children_;
};

TEST_F(OrphanDoors, NobodyIsBehindADoorThatIsNotThere) {
  for (const std::string& path : OrphanDoor::Paths(paths_)) {
    const auto called = CallOrphan(path, Within(kPatience));
    ASSERT_TRUE(called.ok());
    EXPECT_FALSE(called->has_value());
  }
}

TEST_F(OrphanDoors, AFileThatADeadServerLeftIsReplaced) {
  Open().Leave();
  EXPECT_EQ(FileCount(), 1u);
  const auto called = CallOrphan(paths_.orphan_door, Within(kPatience));
  ASSERT_TRUE(called.ok());
  EXPECT_FALSE(called->has_value());
  {
    const OrphanDoor again = Open();
    EXPECT_EQ(again.path(), paths_.orphan_door);
    EXPECT_EQ(std::filesystem::status(again.path()).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  EXPECT_EQ(FileCount(), 0u);
}

TEST_F(OrphanDoors, ADoorThatIsInUseStays) {
  const OrphanDoor first = Open();
  const OrphanDoor second = Open();
  const OrphanDoor third = Open();
  EXPECT_NE(first.path(), second.path());
  EXPECT_NE(second.path(), third.path());
  EXPECT_TRUE(absl::IsUnavailable(OrphanDoor::Open(paths_).status()));
}

TEST_F(OrphanDoors, WhoIsBehindThemIntroducesItself) {
  OrphanDoor door = Open();
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  const std::string address = BoundAddress(listener.get());
  OrphanHello hello;
  hello.generation = 4;
  hello.listeners = {"0.0.0.0:0"};
  const pid_t orphan = Behind([&] {
    ::_exit(GreetOne(door.fd(), listener.get(), hello.Write()) ==
                    static_cast<char>(ControlMessage::kStop)
                ? 0
                : 1);
  });
  const std::string path = door.path();
  door.Leave();
  door = OrphanDoor();
  listener.Reset();
  auto called = CallOrphan(path, Within(kPatience));
  ASSERT_TRUE(called.ok()) << called.status();
  ASSERT_TRUE(called->has_value());
  EXPECT_EQ((*called)->pid, orphan);
  EXPECT_EQ((*called)->hello.generation, 4u);
  ASSERT_EQ((*called)->sockets.size(), 1u);
  EXPECT_EQ(BoundAddress((*called)->sockets[0].get()), address);
  EXPECT_TRUE(ControlPacket{ControlMessage::kStop}.Send((*called)->connection.get()));
  // The last one has gone.
  const auto next = CallOrphan(path, Within(kPatience));
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_FALSE(next->has_value());
  int status = -1;
  ::waitpid(orphan, &status, 0);
  children_.clear();
  EXPECT_EQ(status, 0);
}

TEST_F(OrphanDoors, OneThatIsBusyIsWaitedForWithinBounds) {
  const OrphanDoor door = Open();
  const auto called = CallOrphan(door.path(), Within(kMoment));
  EXPECT_TRUE(absl::IsDeadlineExceeded(called.status())) << called.status();
  // Nor does `status` wait for it.
  EXPECT_EQ(SurveyOrphans(paths_).workers, 0u);
}

TEST_F(OrphanDoors, OneOfAnotherReleaseIsNotAdopted) {
  const OrphanDoor door = Open();
  Behind([&] { GreetOne(door.fd(), -1, "nonsense"); });
  const auto called = CallOrphan(door.path(), Within(kPatience));
  EXPECT_TRUE(absl::IsFailedPrecondition(called.status())) << called.status();
}

TEST_F(OrphanDoors, StopTakesEverythingAway) {
  OrphanDoor door = Open();
  Behind([&] { GreetOne(door.fd(), -1, OrphanHello().Write()); });
  door.Leave();
  door = OrphanDoor();
  const absl::StatusOr<uint32_t> stopped = StopOrphans(paths_, kPatience, /*now=*/false);
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(*stopped, 1u);
  EXPECT_EQ(FileCount(), 0u);
  // And then there is nothing.
  EXPECT_EQ(*StopOrphans(paths_, kPatience, /*now=*/false), 0u);
}

TEST_F(OrphanDoors, StopKillsWhoDoesNotGo) {
  OrphanDoor door = Open();
  Behind([&] {
    GreetOne(door.fd(), -1, OrphanHello().Write());
    ::close(door.fd());
    while (true) ::pause();
  });
  door.Leave();
  door = OrphanDoor();
  EXPECT_EQ(*StopOrphans(paths_, Duration::zero(), /*now=*/true), 1u);
  EXPECT_EQ(FileCount(), 0u);
}

// The listening sockets of workers whose master is gone.
class FoundSockets : public OrphanDoors {
 protected:
  static UniqueFd Listening() {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(fd.get(), 8), 0);
    return fd;
  }
  static UniqueFd Again(const UniqueFd& fd) {
    return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  }
  absl::StatusOr<std::unique_ptr<ringmaster::ListeningSockets>> OpenWith(
      std::vector<FoundSocket> found, uint32_t worker_count) {
    return ringmaster::ListeningSockets::Open(server_, worker_count, /*activated=*/nullptr,
                                              std::move(found));
  }
  void Listen(const std::string& address) {
    ListenerDefinition listener;
    listener.address = *Address::Parse(address);
    server_.Listen(std::move(listener));
  }

  ServerDefinition server_;
};

TEST_F(FoundSockets, GoOnWithWhoWaitsInTheirQueue) {
  UniqueFd old = Listening();
  const std::string address = BoundAddress(old.get());
  const absl::StatusOr<Address> bound = Address::Parse(address);
  const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client.get(), bound->data(), bound->size()), 0);
  Listen(address);
  std::vector<FoundSocket> found;
  found.push_back({address, Again(old)});
  // Two workers had the same.
  found.push_back({address, std::move(old)});
  const auto sockets = OpenWith(std::move(found), 2);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  const auto first = (*sockets)->ForWorker(server_, 0, 2);
  const auto second = (*sockets)->ForWorker(server_, 1, 2);
  ASSERT_EQ(first.size(), 1u);
  ASSERT_EQ(second.size(), 1u);
  const UniqueFd accepted(::accept4(first[0].fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  EXPECT_TRUE(accepted.valid());
  // The second one is new and gets nobody before it serves.
  EXPECT_EQ(BoundAddress(second[0].fd), address);
  for (int i = 0; i < 20; ++i) {
    const UniqueFd another(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(another.get(), bound->data(), bound->size()), 0);
    EXPECT_TRUE(UniqueFd(::accept4(first[0].fd, nullptr, nullptr, SOCK_CLOEXEC)).valid());
  }
}

TEST_F(FoundSockets, AreAllServedByFewerWorkers) {
  const UniqueFd one = Listening();
  const std::string address = BoundAddress(one.get());
  Listen("127.0.0.1:0");
  std::vector<FoundSocket> found;
  found.push_back({"127.0.0.1:0", Again(one)});
  const auto sockets = OpenWith(std::move(found), 3);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  (*sockets)->Keep(server_, 3);
  EXPECT_EQ((*sockets)->Addresses(server_), std::vector<std::string>{address});
  ASSERT_TRUE((*sockets)->Add(server_, 2).ok());
  (*sockets)->Keep(server_, 2);
  EXPECT_EQ((*sockets)->ForWorker(server_, 0, 2).size(), 2u);
  EXPECT_EQ((*sockets)->ForWorker(server_, 1, 2).size(), 1u);
}

TEST_F(FoundSockets, ThatAreNotWhatTheyShouldBeAreLeftOut) {
  const UniqueFd old = Listening();
  const UniqueFd mute(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UniqueFd file(::open("/dev/null", O_RDWR | O_CLOEXEC));
  Listen("127.0.0.1:0");
  std::vector<FoundSocket> found;
  found.push_back({"127.0.0.2:0", Again(old)});
  found.push_back({"unix:/run/other.sock", Again(old)});
  found.push_back({"127.0.0.1:0", Again(mute)});
  found.push_back({"127.0.0.1:0", Again(file)});
  const auto sockets = OpenWith(std::move(found), 1);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_NE((*sockets)->Addresses(server_)[0], BoundAddress(old.get()));
  EXPECT_EQ((*sockets)->ForWorker(server_, 0, 1).size(), 1u);
}

TEST_F(FoundSockets, KeepTheirFilesWhereTheStartFails) {
  const std::string path = directory_ + "/app.sock";
  Listen("unix:" + path);
  const auto first = OpenWith({}, 1);
  ASSERT_TRUE(first.ok()) << first.status();
  const int fd = (*first)->ForWorker(server_, 0, 1)[0].fd;
  for (const bool leave : {true, false}) {
    std::vector<FoundSocket> found;
    found.push_back({"unix:" + path, UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0))});
    auto next = OpenWith(std::move(found), 2);
    ASSERT_TRUE(next.ok()) << next.status();
    if (leave) (*next)->LeaveFound();
    next->reset();
    EXPECT_EQ(std::filesystem::exists(path), leave);
  }
}

}  // namespace
}  // namespace ringmaster
