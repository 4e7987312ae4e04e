#include <signal.h>

#include "tests/engine/process/server_fixture.h"

namespace ringmaster {
namespace {

using WorkerStuck = ServerTest;

TEST_F(WorkerStuck, IsReplacedWhenItsWatchdogAsksForIt) {
  Configure("listen=127.0.0.1:0\nworkers=1\nstuck=yes");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("is held by a handler: it is killed and replaced"))
      << server.err();
  // It had served nothing yet, so its successor waits, and the next one longer.
  ASSERT_TRUE(server.AwaitOutput("starts again in 0.1 s")) << server.err();
  ASSERT_TRUE(server.AwaitOutput("starts again in 0.2 s")) << server.err();
  const Finished status = Run({"status", "--json"});
  EXPECT_GE(NumberAfter(status.out, "\"stuck_replaced\":"), 2) << status.out;
}

TEST_F(WorkerStuck, IsReplacedWhenNothingOfItMoves) {
  Configure("listen=127.0.0.1:0\nworkers=1\nsilent=yes\nhandler_kill_timeout_ms=1000");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const pid_t first = NumberAfter(AskPort(PortIn(server.out())), "pid=");
  ASSERT_TRUE(server.AwaitOutput("gives no sign of life")) << server.err();
  ASSERT_TRUE(server.AwaitOutput("was killed by signal 9")) << server.err();
  EXPECT_NE(NumberAfter(AskPort(PortIn(server.out())), "pid="), first);
}

TEST_F(WorkerStuck, ASilentOneIsLeftAloneWhenThatIsOff) {
  Configure("listen=127.0.0.1:0\nworkers=2\nsilent=yes\nhandler_kill_timeout_ms=0");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const Finished status = Run({"status", "--json"});
  EXPECT_NE(status.out.find("\"stuck_replaced\":0"), std::string::npos) << status.out;
  server.Signal(SIGTERM);
  EXPECT_EQ(server.AwaitExit().exit_status, 0);
}

TEST_F(WorkerStuck, StopsWithTheServerLikeAnyOther) {
  Configure("listen=127.0.0.1:0\nworkers=1\nstuck=yes");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("it is killed and replaced")) << server.err();
  server.Signal(SIGTERM);
  server.AwaitExit();
  EXPECT_EQ(server.pid(), -1) << "it did not end";
}

}  // namespace
}  // namespace ringmaster
