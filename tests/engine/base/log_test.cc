#include "engine/base/log.h"

#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/base/file_size_limit.h"

namespace ringmaster {
namespace {

TEST(Log, OnAFullDiskLosesWholeLinesCountsThemAndSaysSoAfterwards) {
  char path[] = "/tmp/ringmaster-log-XXXXXX";
  close(mkstemp(path));
  ASSERT_TRUE(log::Setup("info", "json", path, "test").ok());
  const uint64_t lost_before = log::LinesLost();
  log::Get().info("before");
  {
    const FileSizeLimit limit(200);
    log::Get().info("{}", std::string(150, 'x'));  // its beginning fits
    log::Get().info("{}", std::string(150, 'y'));
    log::Get().info("{}", std::string(150, 'z'));
  }
  EXPECT_EQ(log::LinesLost() - lost_before, 3u);
  log::Get().info("after");
  log::Get().info("and on");
  EXPECT_EQ(log::LinesLost() - lost_before, 3u);
  ASSERT_TRUE(log::Setup("info", "text", "", "test").ok());

  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  unlink(path);
  ASSERT_EQ(lines.size(), 4u);
  for (const std::string& line : lines) {
    EXPECT_TRUE(line.starts_with(R"({"time":")") && line.ends_with("\"}")) << line;
  }
  EXPECT_NE(lines[0].find("before"), std::string::npos);
  EXPECT_NE(lines[1].find("3 log lines were lost: "), std::string::npos) << lines[1];
  EXPECT_NE(lines[2].find("after"), std::string::npos);
  EXPECT_NE(lines[3].find("and on"), std::string::npos);
}

}  // namespace
}  // namespace ringmaster
