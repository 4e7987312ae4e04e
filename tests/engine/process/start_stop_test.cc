#include <signal.h>
#include <simdjson.h>
#include <sys/stat.h>

#include "tests/engine/process/server_fixture.h"

namespace ringmaster {
namespace {

using StartStop = ServerTest;

TEST_F(StartStop, SaysWhereItListensThenReadyAndServes) {
  Configure("listen=127.0.0.1:0\nworkers=2");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const uint16_t port = PortIn(server.out());
  EXPECT_GT(port, 0);
  EXPECT_TRUE(AskPort(port).starts_with("hello worker="));
  EXPECT_NE(server.out().find("standin 1.2.3, pid"), std::string::npos);
}

TEST_F(StartStop, StopReturnsWhenTheLastProcessIsGoneAndNothingIsLeft) {
  Configure("listen=127.0.0.1:0\nworkers=1");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const pid_t worker = NumberAfter(AskPort(PortIn(server.out())), "pid=");
  const Finished stop = Run({"stop"});
  EXPECT_EQ(stop.exit_status, 0) << stop.err;
  EXPECT_EQ(::kill(worker, 0), -1);
  const Finished start = server.AwaitExit();
  EXPECT_EQ(start.exit_status, 0);
  EXPECT_NE(start.out.find("standin stopped: up "), std::string::npos) << start.out;
  EXPECT_NE(start.out.find("1 connections accepted"), std::string::npos) << start.out;
  EXPECT_EQ(ReadFile(pid_file()), "");
  struct stat file = {};
  EXPECT_NE(::stat(PathOf("standin.sock").c_str(), &file), 0);
}

// A log file that reaches RLIMIT_FSIZE loses lines. SIGXFSZ would end the process that writes them.
TEST_F(StartStop, NeitherMasterNorWorkersDieOfAFileAtItsSizeLimit) {
  Configure("listen=127.0.0.1:0\nworkers=1");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const pid_t worker = NumberAfter(AskPort(PortIn(server.out())), "pid=");
  for (const pid_t pid : {server.pid(), worker}) {
    const std::string status = ReadFile("/proc/" + std::to_string(pid) + "/status");
    const uint64_t ignored = std::stoull(status.substr(status.find("SigIgn:") + 7), nullptr, 16);
    EXPECT_NE(ignored & uint64_t{1} << (SIGXFSZ - 1), 0u) << pid;
  }
}

TEST_F(StartStop, OneInterruptStopsGracefullyAndASecondAtOnce) {
  Configure("listen=127.0.0.1:0\nworkers=1\nignore_stop=yes\nstop_timeout_ms=600000");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  server.Signal(SIGINT);
  ASSERT_TRUE(server.AwaitOutput("stopping")) << server.err();
  server.Signal(SIGINT);
  EXPECT_EQ(server.AwaitExit().exit_status, 0);
}

TEST_F(StartStop, StopTimeoutEndsAWorkerThatDrainsForever) {
  Configure("listen=127.0.0.1:0\nworkers=2\nignore_stop=yes\nstop_timeout_ms=30");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  server.Signal(SIGTERM);
  EXPECT_EQ(server.AwaitExit().exit_status, 0);
  EXPECT_NE(server.err().find("stop_timeout is over"), std::string::npos) << server.err();
}

TEST_F(StartStop, AWorkerThatObeysNothingIsKilled) {
  Configure(
      "listen=127.0.0.1:0\nworkers=1\nignore_stop=yes\nignore_stop_now=yes\nstop_timeout_ms=1");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const pid_t worker = NumberAfter(AskPort(PortIn(server.out())), "pid=");
  server.Signal(SIGTERM);
  EXPECT_EQ(server.AwaitExit().exit_status, 0);
  EXPECT_EQ(::kill(worker, 0), -1);
}

TEST_F(StartStop, ASecondStartIsRefusedWithThePidOfTheFirst) {
  Configure("listen=127.0.0.1:0");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const Finished second = Run({"start"});
  EXPECT_EQ(second.exit_status, 1);
  EXPECT_NE(second.err.find("already running with pid " + std::to_string(server.pid())),
            std::string::npos)
      << second.err;
  EXPECT_EQ(Run({"status"}).exit_status, 0);
}

TEST_F(StartStop, StopAndStatusSayWhenNothingRuns) {
  Configure("listen=127.0.0.1:0");
  const Finished stop = Run({"stop"});
  EXPECT_EQ(stop.exit_status, 1);
  EXPECT_NE(stop.err.find("standin is not running"), std::string::npos);
  EXPECT_EQ(Run({"status"}).exit_status, 3);
}

TEST_F(StartStop, StaleFilesNeverBlockAStart) {
  // A pid file that names a live stranger, and a control socket's file with nobody behind it.
  Configure("listen=127.0.0.1:0");
  {
    ChildProcess killed(CommandLine({"start"}));
    ASSERT_TRUE(killed.AwaitOutput("\nready\n")) << killed.err();
    killed.Signal(SIGKILL);
    killed.AwaitExit();
  }
  WriteFile(pid_file(), std::to_string(::getpid()) + "\n");
  EXPECT_EQ(Run({"status"}).exit_status, 3);
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  EXPECT_EQ(ReadFile(pid_file()), std::to_string(server.pid()) + "\n");
  EXPECT_EQ(Run({"stop"}).exit_status, 0);
}

TEST_F(StartStop, WorkersLeaveWhenTheirMasterIsKilled) {
  Configure("listen=127.0.0.1:0\nworkers=1");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const pid_t worker = NumberAfter(AskPort(PortIn(server.out())), "pid=");
  ASSERT_GT(worker, 0);
  server.Signal(SIGKILL);
  EXPECT_TRUE(AwaitProcessEnd(worker));
}

TEST_F(StartStop, AWorkerThatFailsAtTheStartStopsEverything) {
  Configure("listen=127.0.0.1:0\nworkers=3\nfailing_worker=1");
  const Finished start = Run({"start"});
  EXPECT_EQ(start.exit_status, 1);
  EXPECT_NE(start.err.find("the stand-in was told to fail"), std::string::npos) << start.err;
  EXPECT_NE(start.err.find("exited with status 3 before all workers were ready"), std::string::npos)
      << start.err;
  EXPECT_EQ(start.out.find("ready"), std::string::npos) << start.out;
  EXPECT_EQ(Run({"status"}).exit_status, 3);
}

TEST_F(StartStop, AStopDuringTheStartEndsIt) {
  Configure("listen=127.0.0.1:0\nworkers=1\nnever_ready=yes");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("not going to be ready")) << server.err();
  server.Signal(SIGTERM);
  const Finished start = server.AwaitExit();
  EXPECT_EQ(start.exit_status, 1);
  EXPECT_NE(start.err.find("stopped before it was ready"), std::string::npos) << start.err;
}

TEST_F(StartStop, ADaemonIsReadyWhenTheCommandReturns) {
  Configure("listen=127.0.0.1:0\nworkers=1");
  const Finished start = Run({"start", "-d"});
  ASSERT_EQ(start.exit_status, 0) << start.err;
  EXPECT_TRUE(start.out.ends_with("ready\n")) << start.out;
  EXPECT_TRUE(AskPort(PortIn(start.out)).starts_with("hello"));
  EXPECT_EQ(Run({"status"}).exit_status, 0);
  const Finished stop = Run({"stop"});
  EXPECT_EQ(stop.exit_status, 0) << stop.err;
  EXPECT_EQ(AskPort(PortIn(start.out)), "");
}

TEST_F(StartStop, ADaemonThatCannotStartSaysWhyToTheCaller) {
  Configure("listen=127.0.0.1:0\nworkers=1\nfailing_worker=0");
  const Finished start = Run({"start", "-d"});
  EXPECT_EQ(start.exit_status, 1);
  EXPECT_NE(start.err.find("the stand-in was told to fail"), std::string::npos) << start.err;
  EXPECT_NE(start.err.find("error: worker 0"), std::string::npos) << start.err;
  EXPECT_EQ(Run({"status"}).exit_status, 3);
}

TEST_F(StartStop, ADaemonWritesItsLogFile) {
  Configure("listen=127.0.0.1:0\nworkers=1\nlog_level=info\nlog_file=" + PathOf("server.log"));
  ASSERT_EQ(Run({"start", "-d"}).exit_status, 0);
  EXPECT_EQ(Run({"stop"}).exit_status, 0);
  const std::string log = ReadFile(PathOf("server.log"));
  EXPECT_NE(log.find("[master] standin 1.2.3 ready: 1 workers"), std::string::npos) << log;
  EXPECT_NE(log.find("[master] stopped: up "), std::string::npos) << log;
}

TEST_F(StartStop, StatusAnswersWithFiguresOfEveryWorker) {
  Configure("listen=127.0.0.1:0\nworkers=2");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const uint16_t port = PortIn(server.out());
  for (int i = 0; i < 3; ++i) ASSERT_NE(AskPort(port), "");
  const Finished status = Run({"status", "--json"});
  ASSERT_EQ(status.exit_status, 0) << status.err;
  simdjson::dom::parser parser;
  simdjson::dom::element json;
  ASSERT_EQ(parser.parse(status.out).get(json), simdjson::SUCCESS) << status.out;
  EXPECT_EQ(int64_t(json["pid"]), server.pid());
  EXPECT_EQ(std::string_view(json["name"]), "standin");
  EXPECT_EQ(std::string_view(json["listeners"].at(0)["address"]),
            "127.0.0.1:" + std::to_string(port));
  EXPECT_EQ(json["workers"].get_array().size(), 2u);
  EXPECT_EQ(std::string_view(json["workers"].at(1)["state"]), "ready");
  EXPECT_GT(int64_t(json["workers"].at(0)["memory_bytes"]), 0);
  EXPECT_EQ(int64_t(json["totals"]["counters"]["connections_accepted"]), 3);
  EXPECT_EQ(int64_t(json["totals"]["counters"]["closed_read_timeout"]), 0);
  const Finished table = Run({"status"});
  EXPECT_NE(table.out.find("worker 1"), std::string::npos) << table.out;
}

TEST_F(StartStop, WrongUsageHasItsOwnExitStatus) {
  const ChildProcess unused({STAND_IN_SERVER, "--help"});
  const Finished wrong = ChildProcess({STAND_IN_SERVER, "strat"}).AwaitExit();
  EXPECT_EQ(wrong.exit_status, 2);
  EXPECT_NE(wrong.err.find("did you mean \"start\"?"), std::string::npos) << wrong.err;
  const Finished help = ChildProcess({STAND_IN_SERVER}).AwaitExit();
  EXPECT_EQ(help.exit_status, 0);
  EXPECT_NE(help.out.find("usage: "), std::string::npos);
}

TEST_F(StartStop, CheckStartsNothing) {
  Configure("listen=127.0.0.1:0");
  EXPECT_EQ(Run({"check"}).exit_status, 0);
  Configure("log_level=loud\nlisten=127.0.0.1:0");
  const Finished check = Run({"check"});
  EXPECT_EQ(check.exit_status, 1);
  EXPECT_NE(check.err.find("log level \"loud\""), std::string::npos) << check.err;
}

}  // namespace
}  // namespace ringmaster
