#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <optional>
#include <set>
#include <string>

#include "engine/process/start_priority.h"
#include "tests/engine/process/server_fixture.h"

namespace ringmaster {
namespace {

// A server whose configuration is written anew while it runs.
class Reload : public ServerTest {
 protected:
  void Start(const std::string& settings) {
    Configure(settings);
    server_.emplace(CommandLine({"start"}));
    ASSERT_TRUE(server_->AwaitOutput("\nready\n")) << server_->err();
    port_ = PortIn(server_->out());
  }
  // What one of the workers says, and no worker may say anything else.
  std::string Greetings() {
    std::set<std::string> words;
    for (int i = 0; i < 8; ++i) {
      const std::string text = AskPort(port_);
      words.insert(text.substr(0, text.find(' ')));
    }
    std::string all;
    for (const std::string& word : words) all += all.empty() ? word : ' ' + word;
    return all;
  }
  // How many processes the master has.
  size_t ChildCount() const {
    const std::string children = ReadFile("/proc/" + std::to_string(server_->pid()) + "/task/" +
                                          std::to_string(server_->pid()) + "/children");
    return static_cast<size_t>(std::count(children.begin(), children.end(), ' '));
  }
  size_t DescriptorCount() const {
    const auto fds =
        std::filesystem::directory_iterator("/proc/" + std::to_string(server_->pid()) + "/fd");
    return static_cast<size_t>(std::distance(begin(fds), end(fds)));
  }
  // Until old workers have left.
  void AwaitChildCount(size_t count) {
    for (int i = 0; i < 500 && ChildCount() != count; ++i) ::usleep(10'000);
    EXPECT_EQ(ChildCount(), count);
  }

  std::optional<ChildProcess> server_;
  uint16_t port_ = 0;
};

constexpr char kBase[] = "listen=127.0.0.1:0\nworkers=2\n";

TEST_F(Reload, NewWorkersServeTheNewConfiguration) {
  Start(std::string(kBase) + "greeting=old");
  EXPECT_EQ(Greetings(), "old");
  Configure(std::string(kBase) + "greeting=new");
  const Finished reload = Run({"reload", "--wait"});
  EXPECT_EQ(reload.exit_status, 0) << reload.err;
  EXPECT_NE(reload.out.find("generation 2 serves with 2 workers"), std::string::npos) << reload.out;
  EXPECT_EQ(Greetings(), "new");
  EXPECT_NE(Run({"status", "--json"}).out.find("\"generation\":2,"), std::string::npos);
  AwaitChildCount(2);
}

TEST_F(Reload, ASignalReloadsToo) {
  Start(std::string(kBase) + "greeting=old");
  int lines = 0;
  for (const int number : {SIGUSR1, SIGHUP}) {
    Configure(std::string(kBase) + "greeting=new" + std::to_string(number));
    server_->Signal(number);
    ASSERT_TRUE(server_->AwaitOutput("serves with 2 workers", ++lines)) << server_->err();
    EXPECT_EQ(Greetings(), "new" + std::to_string(number));
  }
}

TEST_F(Reload, WhatStartsMakesWayForWhatServes) {
  const std::optional<int> nice = NiceToReturnTo();
  if (!nice) GTEST_SKIP() << "who may not return to a nice value does not leave it";
  Start(kBase);
  const auto expect_start_at = [&](int start) {
    const std::string text = AskPort(port_);
    EXPECT_EQ(NumberAfter(text, "started at nice="), start) << text;
    EXPECT_EQ(NumberAfter(text, "serves at nice="), *nice) << text;
  };
  expect_start_at(*nice);
  ASSERT_EQ(Run({"reload", "--wait"}).exit_status, 0);
  expect_start_at(*nice + kStartNice);
  // One that died is missed: its successor starts as the first did.
  const std::string victim = AskPort(port_);
  const int worker = NumberAfter(victim, "worker=");
  const pid_t pid = NumberAfter(victim, "pid=");
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  std::string successor;
  for (int i = 0; i < 1000; ++i) {
    successor = AskPort(port_);
    if (NumberAfter(successor, "worker=") == worker && NumberAfter(successor, "pid=") != pid) break;
  }
  EXPECT_NE(NumberAfter(successor, "pid="), pid);
  EXPECT_EQ(NumberAfter(successor, "worker="), worker);
  EXPECT_EQ(NumberAfter(successor, "started at nice="), *nice) << successor;
}

TEST_F(Reload, WithoutWaitingItSaysWhereToLook) {
  Start(kBase);
  const Finished reload = Run({"reload"});
  EXPECT_EQ(reload.exit_status, 0) << reload.err;
  EXPECT_NE(reload.out.find("generation 2 has begun"), std::string::npos) << reload.out;
  EXPECT_TRUE(server_->AwaitOutput("generation 2 serves"));
}

TEST_F(Reload, AWrongConfigurationChangesNothing) {
  Start(std::string(kBase) + "greeting=old");
  Configure("listen=127.0.0.1:0\nworkers=5000");
  const Finished reload = Run({"reload", "--wait"});
  EXPECT_EQ(reload.exit_status, 1);
  EXPECT_NE(reload.err.find("abandoned: "), std::string::npos) << reload.err;
  EXPECT_NE(reload.err.find("5000 workers are asked for"), std::string::npos) << reload.err;
  EXPECT_EQ(Greetings(), "old");
  const std::string status = Run({"status", "--json"}).out;
  EXPECT_NE(status.find("\"last_result\":\"abandoned\""), std::string::npos) << status;
  EXPECT_NE(status.find("\"generation\":1,"), std::string::npos) << status;
  EXPECT_NE(Run({"status"}).out.find("5000 workers are asked for"), std::string::npos);
}

TEST_F(Reload, AWorkerThatFailsLeavesTheOldOnesInPlace) {
  Start(std::string(kBase) + "greeting=old");
  for (const char* const place : {"0", "1"}) {
    Configure(std::string(kBase) + "greeting=new\nfailing_place=" + place);
    const Finished reload = Run({"reload", "--wait"});
    EXPECT_EQ(reload.exit_status, 1);
    EXPECT_NE(reload.err.find("exited with status 3"), std::string::npos) << reload.err;
    EXPECT_EQ(Greetings(), "old");
    AwaitChildCount(2);
  }
}

TEST_F(Reload, AWorkerThatIsNeverReadyIsGivenUp) {
  Start(std::string(kBase) + "greeting=old");
  Configure(std::string(kBase) + "never_ready=yes\nready_timeout_ms=300");
  const Finished reload = Run({"reload", "--wait"});
  EXPECT_EQ(reload.exit_status, 1);
  EXPECT_NE(reload.err.find("was not ready after 0.3 s (ready_timeout)"), std::string::npos)
      << reload.err;
  EXPECT_EQ(Greetings(), "old");
  AwaitChildCount(2);
}

TEST_F(Reload, AWorkerThatDiesTakingOverGivesThePlaceBack) {
  Start(std::string(kBase) + "greeting=old\nkeeps_connections=yes");
  Configure(std::string(kBase) + "greeting=new\ndies_adopting=yes");
  const Finished reload = Run({"reload", "--wait"});
  EXPECT_EQ(reload.exit_status, 1);
  EXPECT_NE(reload.err.find("exited with status 7"), std::string::npos) << reload.err;
  EXPECT_EQ(Greetings(), "old");
  AwaitChildCount(2);
}

TEST_F(Reload, AHandOverThatTakesTooLongIsUndone) {
  Start(std::string(kBase) + "greeting=old\nkeeps_connections=yes\nready_timeout_ms=1500");
  Configure(std::string(kBase) + "greeting=new");
  const Finished reload = Run({"reload", "--wait"});
  EXPECT_EQ(reload.exit_status, 1);
  EXPECT_NE(reload.err.find("did not take over"), std::string::npos) << reload.err;
  EXPECT_EQ(Greetings(), "old");
  AwaitChildCount(2);
}

TEST_F(Reload, WorkersAreAddedAndTakenAway) {
  Start("listen=127.0.0.1:0\nworkers=1");
  for (const int count : {3, 1, 4, 2, 4}) {
    Configure("listen=127.0.0.1:0\ngreeting=g" + std::to_string(count) +
              "\nworkers=" + std::to_string(count));
    const Finished reload = Run({"reload", "--wait"});
    ASSERT_EQ(reload.exit_status, 0) << reload.err;
    for (int i = 0; i < 4; ++i) EXPECT_EQ(Greetings(), "g" + std::to_string(count));
    AwaitChildCount(static_cast<size_t>(count));
    EXPECT_NE(Run({"status", "--json"}).out.find("\"worker_count\":" + std::to_string(count)),
              std::string::npos);
  }
}

TEST_F(Reload, AListenerMayComeAndGo) {
  Start("listen=127.0.0.1:0\nworkers=2");
  Configure("listen=127.0.0.1:0\nworkers=2\nlisten=unix:" + PathOf("app.sock"));
  ASSERT_EQ(Run({"reload", "--wait"}).exit_status, 0);
  EXPECT_TRUE(AskUnix(PathOf("app.sock")).starts_with("hello"));
  Configure("listen=127.0.0.1:0\nworkers=2");
  ASSERT_EQ(Run({"reload", "--wait"}).exit_status, 0);
  EXPECT_FALSE(std::filesystem::exists(PathOf("app.sock")));
  EXPECT_EQ(Greetings(), "hello");
}

TEST_F(Reload, AnAddressInUseIsFoundBeforeAnythingChanges) {
  Start(kBase);
  WriteFile(PathOf("app.sock"), "no socket");
  Configure(std::string(kBase) + "listen=unix:" + PathOf("app.sock"));
  const Finished reload = Run({"reload", "--wait"});
  EXPECT_EQ(reload.exit_status, 1);
  EXPECT_NE(reload.err.find("is not a socket"), std::string::npos) << reload.err;
  EXPECT_EQ(Greetings(), "hello");
}

TEST_F(Reload, TwentyOfThemLeaveNothingBehind) {
  Start(kBase);
  ASSERT_EQ(Run({"reload", "--wait"}).exit_status, 0);
  AwaitChildCount(2);
  const size_t descriptors = DescriptorCount();
  for (int i = 0; i < 20; ++i) ASSERT_EQ(Run({"reload", "--wait"}).exit_status, 0);
  AwaitChildCount(2);
  EXPECT_EQ(DescriptorCount(), descriptors);
}

TEST_F(Reload, OneThatIsUnderWayIsNotDisturbed) {
  Start(std::string(kBase) + "ready_timeout_ms=20000");
  Configure(std::string(kBase) + "never_ready=yes\nready_timeout_ms=20000");
  ASSERT_EQ(Run({"reload"}).exit_status, 0);
  ASSERT_TRUE(server_->AwaitOutput("not going to be ready"));
  const Finished second = Run({"reload"});
  EXPECT_EQ(second.exit_status, 1);
  EXPECT_NE(second.err.find("a reload to generation 2 is under way"), std::string::npos)
      << second.err;
  // A stop wins.
  EXPECT_EQ(Run({"stop"}).exit_status, 0);
  EXPECT_EQ(server_->AwaitExit().exit_status, 0);
}

TEST_F(Reload, SignalsDuringAReloadMakeOneMore) {
  Start(kBase);
  Configure(kBase);
  for (int i = 0; i < 5; ++i) server_->Signal(SIGUSR1);
  ASSERT_TRUE(server_->AwaitOutput("generation 2 serves")) << server_->err();
}

TEST_F(Reload, TheNameCannotChange) {
  Start(kBase);
  Configure(std::string(kBase) + "name=other");
  const Finished reload = Run({"reload", "--wait"});
  EXPECT_EQ(reload.exit_status, 1);
  EXPECT_NE(reload.err.find("name, pid_file and control_socket cannot change"), std::string::npos)
      << reload.err;
}

TEST_F(Reload, RestartStopsAndStarts) {
  Start(kBase);
  ChildProcess second(CommandLine({"restart"}));
  EXPECT_EQ(server_->AwaitExit().exit_status, 0);
  ASSERT_TRUE(second.AwaitOutput("\nready\n")) << second.err();
  EXPECT_EQ(Run({"stop", "--now"}).exit_status, 0);
  EXPECT_EQ(second.AwaitExit().exit_status, 0);
}

}  // namespace
}  // namespace ringmaster
