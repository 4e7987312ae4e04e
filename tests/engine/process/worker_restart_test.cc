#include <signal.h>

#include "engine/process/worker_restart_backoff.h"
#include "tests/engine/process/server_fixture.h"

namespace ringmaster {
namespace {

using WorkerRestart = ServerTest;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(WorkerRestartBackoff, DoublesUpToItsMaximum) {
  WorkerRestartBackoff backoff;
  EXPECT_EQ(backoff.AfterDeath(0, kNanosecondsPerSecond), milliseconds(100));
  EXPECT_EQ(backoff.AfterDeath(0, kNanosecondsPerSecond), milliseconds(200));
  EXPECT_EQ(backoff.AfterDeath(0, kNanosecondsPerSecond), milliseconds(400));
  for (int i = 0; i < 20; ++i) backoff.AfterDeath(0, kNanosecondsPerSecond);
  EXPECT_EQ(backoff.AfterDeath(0, kNanosecondsPerSecond), seconds(30));
}

TEST(WorkerRestartBackoff, BeginsAnewAfterAWorkerThatLivedLongEnough) {
  WorkerRestartBackoff backoff;
  for (int i = 0; i < 5; ++i) backoff.AfterDeath(0, kNanosecondsPerSecond);
  EXPECT_EQ(backoff.AfterDeath(0, 10 * kNanosecondsPerSecond - 1), milliseconds(3200));
  EXPECT_EQ(backoff.AfterDeath(0, 10 * kNanosecondsPerSecond), milliseconds(100));
}

TEST_F(WorkerRestart, AKilledWorkerIsReplacedAndCounted) {
  Configure("listen=127.0.0.1:0\nworkers=1");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const uint16_t port = PortIn(server.out());
  const pid_t first = NumberAfter(AskPort(port), "pid=");
  ASSERT_GT(first, 0);
  ::kill(first, SIGKILL);
  ASSERT_TRUE(server.AwaitOutput("was killed by signal 9")) << server.err();
  // The master holds the listening socket: this connection waits in its queue for the next worker.
  const pid_t second = NumberAfter(AskPort(port), "pid=");
  EXPECT_GT(second, 0);
  EXPECT_NE(first, second);
  const Finished status = Run({"status", "--json"});
  EXPECT_NE(status.out.find("\"restarts\":1,\"last_exit_status\":0,\"last_exit_signal\":9"),
            std::string::npos)
      << status.out;
  EXPECT_NE(status.out.find("\"connections_accepted\":2"), std::string::npos) << status.out;
}

TEST_F(WorkerRestart, OpenConnectionsOfADeadWorkerAreNotCountedAnyLonger) {
  Configure("listen=127.0.0.1:0\nworkers=1");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  ::kill(NumberAfter(AskPort(PortIn(server.out())), "pid="), SIGKILL);
  ASSERT_TRUE(server.AwaitOutput(") is ready", 2)) << server.err();
  const Finished status = Run({"status", "--json"});
  EXPECT_NE(status.out.find("\"connections_open\":0"), std::string::npos) << status.out;
}

TEST_F(WorkerRestart, ARestartedWorkerRunsTheConfigurationOfTheStart) {
  Configure("listen=127.0.0.1:0\nworkers=1\ngreeting=first");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const std::string before = AskPort(PortIn(server.out()));
  EXPECT_TRUE(before.starts_with("first")) << before;
  Configure("listen=127.0.0.1:0\nworkers=1\ngreeting=second");
  ::kill(NumberAfter(before, "pid="), SIGKILL);
  ASSERT_TRUE(server.AwaitOutput(") is ready", 2)) << server.err();
  const std::string after = AskPort(PortIn(server.out()));
  EXPECT_TRUE(after.starts_with("first")) << after;
}

TEST_F(WorkerRestart, AStopDuringTheBackOffStartsNobody) {
  Configure("listen=127.0.0.1:0\nworkers=1");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  ::kill(NumberAfter(AskPort(PortIn(server.out())), "pid="), SIGKILL);
  ASSERT_TRUE(server.AwaitOutput("starts again in")) << server.err();
  server.Signal(SIGTERM);
  const Finished start = server.AwaitExit();
  EXPECT_EQ(start.exit_status, 0) << start.err;
}

TEST_F(WorkerRestart, SignalsOfTheTerminalDoNotEndAWorker) {
  Configure("listen=127.0.0.1:0\nworkers=1");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const uint16_t port = PortIn(server.out());
  const pid_t worker = NumberAfter(AskPort(port), "pid=");
  for (const int number : {SIGINT, SIGQUIT, SIGTERM, SIGHUP}) ::kill(worker, number);
  EXPECT_EQ(NumberAfter(AskPort(port), "pid="), worker);
}

}  // namespace
}  // namespace ringmaster
