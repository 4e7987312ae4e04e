#include <signal.h>
#include <sys/stat.h>

#include <cstdlib>

#include "engine/process/admin_server.h"
#include "tests/engine/process/server_fixture.h"

namespace ringmaster {
namespace {

constexpr char kToken[] = "0123456789abcdef";

// The stand-in greets with its index: the admin process has the one behind the workers'.
class AdminProcess : public ServerTest {
 protected:
  std::string admin_socket() const { return PathOf("standin.admin.sock"); }
  std::string AskAdmin() const { return AskUnix(admin_socket()); }
};

// A variable in the environment of the programs that a test starts.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~ScopedVariable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

std::string EnvironmentOf(pid_t pid) {
  return ReadFile("/proc/" + std::to_string(pid) + "/environ");
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(AdminProcess, AnswersOnASocketBesideTheControlSocketForItsUserAlone) {
  Configure("listen=127.0.0.1:0\nworkers=2\nadmin=auto");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  EXPECT_TRUE(Contains(server.out(), "admin          unix:" + admin_socket())) << server.out();
  EXPECT_TRUE(AskAdmin().starts_with("hello worker=admin "));
  struct stat file = {};
  ASSERT_EQ(::stat(admin_socket().c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 07777, 0600u);
  EXPECT_EQ(Run({"stop"}).exit_status, 0);
  EXPECT_NE(::stat(admin_socket().c_str(), &file), 0);
}

TEST_F(AdminProcess, ShowsWhatItIsInTheListOfProcesses) {
  Configure("listen=127.0.0.1:0\nworkers=1\nadmin=auto");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const std::string proc = "/proc/" + std::to_string(NumberAfter(AskAdmin(), "pid="));
  EXPECT_TRUE(ReadFile(proc + "/cmdline").starts_with("standin: admin"));
  EXPECT_EQ(ReadFile(proc + "/comm"), "standin/admin\n");
}

TEST_F(AdminProcess, OffMeansNoProcessAndNoSocket) {
  Configure("listen=127.0.0.1:0\nworkers=1\nadmin=off");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  EXPECT_FALSE(Contains(server.out(), "admin")) << server.out();
  struct stat file = {};
  EXPECT_NE(::stat(admin_socket().c_str(), &file), 0);
  const std::string pid = std::to_string(server.pid());
  const std::string children = ReadFile("/proc/" + pid + "/task/" + pid + "/children");
  EXPECT_EQ(children, std::to_string(NumberAfter(AskPort(PortIn(server.out())), "pid=")) + " ");
}

TEST_F(AdminProcess, IsReplacedWhenItDiesAndNoConnectionToItIsLost) {
  Configure("listen=127.0.0.1:0\nworkers=1\nadmin=auto");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const pid_t first = NumberAfter(AskAdmin(), "pid=");
  ASSERT_GT(first, 0);
  ::kill(first, SIGKILL);
  ASSERT_TRUE(server.AwaitOutput("was killed by signal 9")) << server.err();
  const std::string answer = AskAdmin();
  EXPECT_TRUE(answer.starts_with("hello worker=admin ")) << answer;
  EXPECT_NE(NumberAfter(answer, "pid="), first);
  EXPECT_TRUE(Contains(server.err(), "admin starts again in")) << server.err();
}

TEST_F(AdminProcess, IsNotCountedInTheTotals) {
  Configure("listen=127.0.0.1:0\nworkers=1\nadmin=auto");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(AskAdmin().empty());
  EXPECT_FALSE(AskPort(PortIn(server.out())).empty());
  server.Signal(SIGTERM);
  const Finished start = server.AwaitExit();
  EXPECT_TRUE(Contains(start.out, " 1 connections accepted")) << start.out;
}

TEST_F(AdminProcess, AnswersUntilTheLastWorkerIsGone) {
  Configure("listen=127.0.0.1:0\nworkers=2\nadmin=auto\nignore_stop=yes\nstop_timeout_ms=600000");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  server.Signal(SIGTERM);
  ASSERT_TRUE(server.AwaitOutput("stopping")) << server.err();
  const std::string answer = AskAdmin();
  EXPECT_TRUE(answer.starts_with("hello worker=admin ")) << answer;
  server.Signal(SIGINT);
  const Finished start = server.AwaitExit();
  EXPECT_EQ(start.exit_status, 0) << start.err;
  EXPECT_EQ(::kill(NumberAfter(answer, "pid="), 0), -1);
}

TEST_F(AdminProcess, IsKilledWhenItDoesNotLeave) {
  Configure("listen=127.0.0.1:0\nworkers=1\nadmin=auto\nadmin_ignores_stop=yes");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const Finished stop = Run({"stop"});
  EXPECT_EQ(stop.exit_status, 0) << stop.err;
  EXPECT_TRUE(Contains(server.AwaitExit().err, "admin hangs and is killed"));
}

TEST_F(AdminProcess, TheStartFailsWithIt) {
  Configure("listen=127.0.0.1:0\nworkers=1\nadmin=auto\nfailing_worker=admin");
  const Finished start = Run({"start"});
  EXPECT_EQ(start.exit_status, 1);
  EXPECT_TRUE(Contains(start.err, "error: admin (pid ")) << start.err;
}

TEST_F(AdminProcess, ReplacesTheSocketOfAServerThatWasKilled) {
  Configure("listen=127.0.0.1:0\nworkers=1\nadmin=auto");
  {
    ChildProcess server(CommandLine({"start"}));
    ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
    const pid_t worker = NumberAfter(AskPort(PortIn(server.out())), "pid=");
    const pid_t admin = NumberAfter(AskAdmin(), "pid=");
    server.Signal(SIGKILL);
    server.AwaitExit();
    ASSERT_TRUE(AwaitProcessEnd(worker));
    ASSERT_TRUE(AwaitProcessEnd(admin));
  }
  struct stat file = {};
  ASSERT_EQ(::stat(admin_socket().c_str(), &file), 0);
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  EXPECT_FALSE(AskAdmin().empty());
}

// ---- the token
// ------------------------------------------------------------------------------------

struct TokenCase {
  std::string settings;
  std::string refusal;  // empty: the configuration is good
};

TEST_F(AdminProcess, DemandsATokenWhereNoFileModeGuardsIt) {
  const std::string token = kToken;
  const TokenCase cases[] = {
      {"admin=127.0.0.1:0", "is open to others: it needs a token of at least 16 characters"},
      {"admin=[::1]:0", "RINGMASTER_ADMIN_TOKEN in the environment"},
      {"admin=unix:@ringmaster-test", "is open to others"},
      {"admin=127.0.0.1:0\nadmin_token=" + token.substr(1), "has 15 characters"},
      {"admin=auto\nadmin_token=short", "has 5 characters"},
      {"admin=127.0.0.1:0\nadmin_token=0123456789 abcdef", "cannot be sent"},
      {"admin=127.0.0.1:0\nadmin_token=0123456789\xc3\xa4"
       "bcdef",
       "cannot be sent"},
      {"admin=nowhere", "admin.address: "},
      {"admin=127.0.0.1:0\nadmin_token=" + token, ""},
      {"admin=auto", ""},
      {"admin=off\nadmin_token=short", ""},
  };
  for (const TokenCase& item : cases) {
    Configure("listen=127.0.0.1:0\nworkers=1\n" + item.settings);
    const Finished check = Run({"check"});
    EXPECT_EQ(check.exit_status, item.refusal.empty() ? 0 : 1) << item.settings;
    EXPECT_TRUE(Contains(check.err, item.refusal)) << check.err;
    if (item.refusal.empty()) continue;
    const Finished start = Run({"start"});
    EXPECT_EQ(start.exit_status, 1) << item.settings;
    EXPECT_EQ(start.err, check.err);
  }
}

TEST_F(AdminProcess, TheTokenOfTheEnvironmentWins) {
  const ScopedVariable variable(kAdminTokenVariable, "tiny");
  Configure("listen=127.0.0.1:0\nworkers=1\nadmin=127.0.0.1:0\nadmin_token=" + std::string(kToken));
  EXPECT_TRUE(Contains(Run({"check"}).err, "has 4 characters"));
}

TEST_F(AdminProcess, TheTokenDoesNotReachTheWorkers) {
  const ScopedVariable variable(kAdminTokenVariable, kToken);
  Configure("listen=127.0.0.1:0\nworkers=1\nadmin=auto");
  ChildProcess server(CommandLine({"start"}));
  ASSERT_TRUE(server.AwaitOutput("\nready\n")) << server.err();
  const pid_t worker = NumberAfter(AskPort(PortIn(server.out())), "pid=");
  const pid_t admin = NumberAfter(AskAdmin(), "pid=");
  const std::string of_worker = EnvironmentOf(worker);
  EXPECT_TRUE(Contains(of_worker, "RINGMASTER_WORKER="));
  EXPECT_FALSE(Contains(of_worker, kAdminTokenVariable));
  EXPECT_TRUE(Contains(EnvironmentOf(admin), kAdminTokenVariable));
}

}  // namespace
}  // namespace ringmaster
