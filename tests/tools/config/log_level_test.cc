// Every level that the configuration accepts must be one that the log accepts: the two lists once
// differed, and a file that `check` had called good did not start.

#include "engine/base/log.h"
#include "gtest/gtest.h"
#include "tools/ringmaster/config/server_config_reader.h"

namespace ringmaster::config {
namespace {

TEST(LogLevel, EveryLevelOfTheConfigurationIsOneOfTheLog) {
  for (const std::string level : {"trace", "debug", "info", "warn", "error", "off"}) {
    const auto config = ParseServerConfig(R"({"logging": {"level": ")" + level + R"("}})", "test");
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_TRUE(log::Setup(config->server.log_level, "text", "", "test").ok()) << level;
  }
}

}  // namespace
}  // namespace ringmaster::config
