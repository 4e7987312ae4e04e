#include <signal.h>

#include <thread>

#include "tests/engine/process/server_fixture.h"

namespace ringmaster {
namespace {

using ConnectionsCommand = ServerTest;

// The stand-in's workers never answer this question.
TEST_F(ConnectionsCommand, NamesTheWorkersThatAreBusy) {
  Configure("listen=127.0.0.1:0\nworkers=2");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const Finished listing = Run({"connections"});
  EXPECT_EQ(listing.exit_status, 0) << listing.err;
  EXPECT_NE(listing.out.find("worker 0 is busy: no answer"), std::string::npos) << listing.out;
  EXPECT_NE(listing.out.find("worker 1 is busy: no answer"), std::string::npos) << listing.out;
}

TEST_F(ConnectionsCommand, AnswersSeveralAtTheSameTimeAndStatusMeanwhile) {
  Configure("listen=127.0.0.1:0\nworkers=2");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  Finished listings[3];
  std::thread clients[3];
  for (int i = 0; i < 3; ++i) {
    clients[i] = std::thread([this, &listings, i] {
      listings[i] = Run({"connections", "--json"});
    });
  }
  EXPECT_EQ(Run({"status"}).exit_status, 0);
  for (std::thread& client : clients) client.join();
  for (const Finished& listing : listings) {
    EXPECT_EQ(listing.exit_status, 0) << listing.err;
    EXPECT_NE(listing.out.find(R"("index":1,"state":"busy")"), std::string::npos) << listing.out;
  }
}

TEST_F(ConnectionsCommand, KillSaysWhatBecameOfEachId) {
  Configure("listen=127.0.0.1:0\nworkers=1");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const Finished killed = Run({"kill", "1"});
  EXPECT_EQ(killed.exit_status, 0) << killed.err;
  EXPECT_EQ(killed.out, "killed 1\n");
  const Finished both = Run({"kill", "1", "2"});
  EXPECT_EQ(both.exit_status, 1);
  EXPECT_EQ(both.out, "killed 1\n");
  EXPECT_EQ(both.err, "error: there is no connection 2\n");
  const Finished busy = Run({"kill", "3"});
  EXPECT_EQ(busy.exit_status, 1);
  EXPECT_NE(busy.err.find("worker 0 is busy: no answer"), std::string::npos) << busy.err;
  EXPECT_EQ(Run({"kill"}).exit_status, 2);
}

TEST_F(ConnectionsCommand, RefusesOptionsThatAreNone) {
  Configure("listen=127.0.0.1:0\nworkers=1");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const Finished wrong = Run({"connections", "--sort", "size"});
  EXPECT_EQ(wrong.exit_status, 2);
  EXPECT_NE(wrong.err.find("--sort takes one of id, worker"), std::string::npos) << wrong.err;
}

TEST_F(ConnectionsCommand, SaysThatTheServerDoesNotRun) {
  Configure("listen=127.0.0.1:0");
  EXPECT_EQ(Run({"connections"}).exit_status, 3);
  EXPECT_EQ(Run({"kill", "1"}).exit_status, 1);
}

}  // namespace
}  // namespace ringmaster
