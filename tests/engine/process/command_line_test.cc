#include "engine/process/command_line.h"

#include <gtest/gtest.h>

namespace ringmaster {
namespace {

std::string ErrorOf(const std::vector<std::string>& arguments, bool takes_argument = true) {
  const absl::StatusOr<CommandLine> line = ParseCommandLine(arguments, takes_argument);
  return line.ok() ? "" : std::string(line.status().message());
}

TEST(CommandLine, NoCommandAsksForHelp) {
  const absl::StatusOr<CommandLine> line = ParseCommandLine({}, true);
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->command, Command::kHelp);
}

TEST(CommandLine, TakesOptionsBeforeAndAfterTheArgument) {
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"start", "-d", "server.json"},
                                             {"start", "server.json", "--daemon"},
                                             {"-d", "start", "server.json"}}) {
    const absl::StatusOr<CommandLine> line = ParseCommandLine(arguments, true);
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_EQ(line->command, Command::kStart);
    EXPECT_TRUE(line->daemon);
    EXPECT_EQ(line->argument, "server.json");
  }
}

TEST(CommandLine, WatchTakesAnIntervalIfANumberFollows) {
  const auto watch = [](const std::vector<std::string>& arguments) {
    const absl::StatusOr<CommandLine> line = ParseCommandLine(arguments, true);
    EXPECT_TRUE(line.ok()) << line.status();
    return line.ok() ? *line : CommandLine();
  };
  EXPECT_FALSE(watch({"status"}).watch.has_value());
  EXPECT_EQ(watch({"status", "--watch"}).watch, std::chrono::seconds(1));
  EXPECT_EQ(watch({"status", "--watch", "0.5"}).watch, std::chrono::milliseconds(500));
  const CommandLine with_file = watch({"status", "--watch", "server.json", "--json"});
  EXPECT_EQ(with_file.watch, std::chrono::seconds(1));
  EXPECT_EQ(with_file.argument, "server.json");
  EXPECT_TRUE(with_file.json);
  EXPECT_EQ(watch({"status", "--watch", "2", "server.json"}).argument, "server.json");
  for (const char* seconds : {"0", "0.01", "3601", "nan", "-1"}) {
    EXPECT_NE(ErrorOf({"status", "--watch", seconds}).find("--watch takes 0.1 to 3600 seconds"),
              std::string::npos)
        << seconds;
  }
  EXPECT_EQ(ErrorOf({"stop", "--watch"}), "option --watch belongs to the command \"status\"");
}

TEST(CommandLine, ExaminesTheMachineForAConfiguration) {
  const absl::StatusOr<CommandLine> line =
      ParseCommandLine({"doctor", "--json", "server.json"}, true);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->command, Command::kDoctor);
  EXPECT_TRUE(line->json);
  EXPECT_EQ(line->argument, "server.json");
  EXPECT_NE(ErrorOf({"docter"}).find("did you mean \"doctor\"?"), std::string::npos);
}

TEST(CommandLine, TakesAnArgumentThatLooksLikeAnOptionAfterTwoDashes) {
  const absl::StatusOr<CommandLine> line = ParseCommandLine({"check", "--", "-odd.json"}, true);
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->argument, "-odd.json");
}

TEST(CommandLine, HelpWinsOverEverything) {
  const absl::StatusOr<CommandLine> line = ParseCommandLine({"stop", "--help"}, false);
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->command, Command::kHelp);
}

TEST(CommandLine, NamesTheNearestCommand) {
  EXPECT_EQ(ErrorOf({"strat"}), "unknown command \"strat\"; did you mean \"start\"?");
  EXPECT_EQ(ErrorOf({"stauts"}), "unknown command \"stauts\"; did you mean \"status\"?");
  EXPECT_NE(ErrorOf({"frobnicate"}).find("the commands are"), std::string::npos);
}

TEST(CommandLine, KeepsTheFiltersOfConnectionsAsTheyAre) {
  const absl::StatusOr<CommandLine> line = ParseCommandLine(
      {"connections", "--sort", "idle", "--peer", "10.0.0.0/8", "--json", "server.json"}, true);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->command, Command::kConnections);
  EXPECT_TRUE(line->json);
  EXPECT_EQ(line->argument, "server.json");
  const std::vector<std::pair<std::string, std::string>> wanted = {{"--sort", "idle"},
                                                                   {"--peer", "10.0.0.0/8"}};
  EXPECT_EQ(line->filters, wanted);
  EXPECT_EQ(ErrorOf({"connections", "--sort"}), "option --sort needs a value");
  EXPECT_EQ(ErrorOf({"status", "--top", "3"}),
            "option --top belongs to the command \"connections\"");
}

TEST(CommandLine, TellsIdsToKillFromTheProgramsArgument) {
  const absl::StatusOr<CommandLine> line =
      ParseCommandLine({"kill", "2a", "server.json", "100000000002a"}, true);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->ids, (std::vector<std::string>{"2a", "100000000002a"}));
  EXPECT_EQ(line->argument, "server.json");
  EXPECT_EQ(ErrorOf({"kill", "xyz"}, false), "unexpected argument \"xyz\"");
}

TEST(CommandLine, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(ErrorOf({"start", "--fast"}), "unknown option --fast");
  EXPECT_EQ(ErrorOf({"start", "a", "b"}), "unexpected argument \"b\"");
  EXPECT_EQ(ErrorOf({"start", "a"}, false), "unexpected argument \"a\"");
  EXPECT_EQ(ErrorOf({"stop", "-d"}), "option -d belongs to the command \"start\"");
  EXPECT_EQ(ErrorOf({"start", "--json"}), "option --json belongs to the command \"status\"");
  EXPECT_NE(ErrorOf({"-d"}).find("a command is missing"), std::string::npos);
}

}  // namespace
}  // namespace ringmaster
