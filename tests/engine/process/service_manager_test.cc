// The receiving end is a real datagram socket, as the service manager's is.

#include "engine/process/service_manager.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

#include "tests/engine/process/environment_variable.h"

namespace ringmaster {
namespace {

class NotifySocket {
 public:
  explicit NotifySocket(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (path[0] == '@') address.sun_path[0] = '\0';
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), bytes), 0) << path;
  }

  // The datagram that has come; "" when there is none.
  std::string Next() {
    char text[4096];
    const ssize_t bytes = ::recv(fd_.get(), text, sizeof(text), MSG_DONTWAIT);
    return bytes < 0 ? "" : std::string(text, static_cast<size_t>(bytes));
  }

 private:
  UniqueFd fd_;
};

class ServiceManagerTest : public testing::Test {
 protected:
  ServiceManagerTest() {
    char name[] = "/tmp/ringmaster-test-XXXXXX";
    directory_ = ::mkdtemp(name);
    path_ = directory_ + "/notify";
  }
  ~ServiceManagerTest() override { std::filesystem::remove_all(directory_); }

  static ServiceManager Take() {
    absl::StatusOr<ServiceManager> manager = ServiceManager::TakeFromEnvironment();
    EXPECT_TRUE(manager.ok()) << manager.status();
    return manager.ok() ? *std::move(manager) : ServiceManager();
  }

  std::string directory_;
  std::string path_;
};

TEST_F(ServiceManagerTest, IsToldEachStateInTheWordsOfTheProtocol) {
  NotifySocket socket(path_);
  EnvironmentVariable variable("NOTIFY_SOCKET", path_);
  ServiceManager manager = Take();
  ASSERT_TRUE(manager.present());
  EXPECT_TRUE(manager.Ready("2 workers").ok());
  EXPECT_EQ(socket.Next(), "READY=1\nSTATUS=2 workers");
  EXPECT_TRUE(manager.Ready().ok());
  EXPECT_EQ(socket.Next(), "READY=1");
  EXPECT_TRUE(manager.Reloading(1'234'567'891, "generation 2").ok());
  EXPECT_EQ(socket.Next(), "RELOADING=1\nMONOTONIC_USEC=1234567\nSTATUS=generation 2");
  EXPECT_TRUE(manager.Status("serving").ok());
  EXPECT_EQ(socket.Next(), "STATUS=serving");
  EXPECT_TRUE(manager.Watchdog().ok());
  EXPECT_EQ(socket.Next(), "WATCHDOG=1");
  EXPECT_TRUE(manager.MainPid(4711).ok());
  EXPECT_EQ(socket.Next(), "MAINPID=4711");
  EXPECT_TRUE(manager.Stopping("20 connections are left").ok());
  EXPECT_EQ(socket.Next(), "STOPPING=1\nSTATUS=20 connections are left");
  EXPECT_EQ(socket.Next(), "");
}

TEST_F(ServiceManagerTest, IsReachedUnderAnAbstractName) {
  const std::string name = fmt::format("@ringmaster-test-{}", ::getpid());
  NotifySocket socket(name);
  EnvironmentVariable variable("NOTIFY_SOCKET", name);
  ServiceManager manager = Take();
  EXPECT_TRUE(manager.Ready().ok());
  EXPECT_EQ(socket.Next(), "READY=1");
}

// A reason that spans lines must not become an assignment of its own, MAINPID= for one.
TEST_F(ServiceManagerTest, IsGivenAStatusAsOneLine) {
  NotifySocket socket(path_);
  EnvironmentVariable variable("NOTIFY_SOCKET", path_);
  ServiceManager manager = Take();
  EXPECT_TRUE(manager.Status("abandoned:\nMAINPID=1").ok());
  EXPECT_EQ(socket.Next(), "STATUS=abandoned: MAINPID=1");
}

TEST_F(ServiceManagerTest, WorkersDoNotInheritIt) {
  NotifySocket socket(path_);
  EnvironmentVariable variable("NOTIFY_SOCKET", path_);
  EnvironmentVariable timeout("WATCHDOG_USEC", "3000000");
  EnvironmentVariable pid("WATCHDOG_PID", std::to_string(::getpid()));
  const ServiceManager manager = Take();
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
    EXPECT_EQ(::getenv(name), nullptr) << name;
  }
}

TEST_F(ServiceManagerTest, IsHandedOnToASuccessorInTheSameProcess) {
  NotifySocket socket(path_);
  std::vector<std::string> variables;
  {
    EnvironmentVariable variable("NOTIFY_SOCKET", path_);
    EnvironmentVariable timeout("WATCHDOG_USEC", "3000000");
    variables = Take().Environment();
  }
  ASSERT_EQ(variables.size(), 3u);
  for (std::string& variable : variables) ::putenv(variable.data());
  ServiceManager successor = Take();
  EXPECT_EQ(successor.watchdog_interval(), std::chrono::milliseconds(1500));
  EXPECT_TRUE(successor.Ready().ok());
  EXPECT_EQ(socket.Next(), "READY=1");
}

TEST_F(ServiceManagerTest, WatchesTwiceAsLongAsTheInterval) {
  EnvironmentVariable variable("NOTIFY_SOCKET", path_);
  EnvironmentVariable timeout("WATCHDOG_USEC", "30000000");
  EnvironmentVariable pid("WATCHDOG_PID", std::to_string(::getpid()));
  EXPECT_EQ(Take().watchdog_interval(), std::chrono::seconds(15));
}

TEST_F(ServiceManagerTest, DoesNotWatchTheChildOfTheProcessItNames) {
  EnvironmentVariable variable("NOTIFY_SOCKET", path_);
  EnvironmentVariable timeout("WATCHDOG_USEC", "30000000");
  EnvironmentVariable pid("WATCHDOG_PID", std::to_string(::getppid()));
  EXPECT_EQ(Take().watchdog_interval(), std::nullopt);
}

TEST_F(ServiceManagerTest, IsAbsentWithoutItsVariable) {
  ::unsetenv("NOTIFY_SOCKET");
  ServiceManager manager = Take();
  EXPECT_FALSE(manager.present());
  EXPECT_TRUE(manager.Ready("nobody hears it").ok());
  EXPECT_TRUE(manager.Environment().empty());
}

TEST_F(ServiceManagerTest, RefusesWhatNoServiceManagerSets) {
  for (const std::string& path :
       {std::string("notify"), std::string("@"), std::string(), "/" + std::string(200, 'x')}) {
    EnvironmentVariable variable("NOTIFY_SOCKET", path);
    EXPECT_EQ(ServiceManager::TakeFromEnvironment().status().code(),
              absl::StatusCode::kInvalidArgument)
        << path;
  }
  for (const char* timeout : {"", "0", "-1", "1s", "99999999999999999999"}) {
    EnvironmentVariable variable("NOTIFY_SOCKET", path_);
    EnvironmentVariable usec("WATCHDOG_USEC", timeout);
    const absl::Status status = ServiceManager::TakeFromEnvironment().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << timeout;
    EXPECT_NE(status.message().find("WATCHDOG_USEC"), std::string::npos);
  }
}

TEST_F(ServiceManagerTest, SaysThatNobodyListensAnyMore) {
  auto socket = std::make_unique<NotifySocket>(path_);
  EnvironmentVariable variable("NOTIFY_SOCKET", path_);
  ServiceManager manager = Take();
  EXPECT_TRUE(manager.Watchdog().ok());
  socket.reset();
  const absl::Status status = manager.Watchdog();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(status.message().find(path_), std::string::npos);
  // systemctl daemon-reexec: another socket stands under the same name.
  std::filesystem::remove(path_);
  NotifySocket again(path_);
  EXPECT_TRUE(manager.Watchdog().ok());
  EXPECT_EQ(again.Next(), "WATCHDOG=1");
}

// A service manager that reads nothing costs the master no time beyond a second, its signs of life
// none.
TEST_F(ServiceManagerTest, DoesNotHoldUpTheMasterWhenItReadsNothing) {
  NotifySocket socket(path_);
  EnvironmentVariable variable("NOTIFY_SOCKET", path_);
  ServiceManager manager = Take();
  absl::Status status;
  for (int i = 0; i < 100'000 && status.ok(); ++i) status = manager.Watchdog();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(manager.Stopping().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(socket.Next(), "WATCHDOG=1");
  EXPECT_TRUE(manager.Stopping().ok());
}

}  // namespace
}  // namespace ringmaster
