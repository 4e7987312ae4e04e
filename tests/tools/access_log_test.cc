#include "tools/ringmaster/access_log.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "engine/base/log.h"
#include "gtest/gtest.h"
#include "tests/engine/base/file_size_limit.h"

namespace ringmaster {
namespace {

std::string ContentOf(const char* path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

http::AccessRecord RecordOf(std::string_view target) {
  http::AccessRecord record;
  record.method = "GET";
  record.target = target;
  record.status = 200;
  return record;
}

TEST(AccessLog, OnAFullDiskLosesWholeLinesCountsThemAndSaysSoInTheServersLog) {
  char path[] = "/tmp/ringmaster-access-XXXXXX";
  char log_path[] = "/tmp/ringmaster-log-XXXXXX";
  close(mkstemp(path));
  close(mkstemp(log_path));
  ASSERT_TRUE(log::Setup("info", "text", log_path, "test").ok());
  const uint64_t lost_before = log::LinesLost();
  {
    AccessLogFile access_log(path, /*json=*/true);
    ASSERT_TRUE(access_log.Open().ok());
    access_log.Write(RecordOf("/before"));
    access_log.Flush();
    const rlim_t line_bytes = ContentOf(path).size();
    {
      // Room for one more and the beginning of the next.
      const FileSizeLimit limit(2 * line_bytes + line_bytes / 2);
      for (const char* const target : {"/fits__", "/lost_1", "/lost_2"}) {
        access_log.Write(RecordOf(target));
      }
      access_log.Flush();
      access_log.Write(RecordOf("/lost_3"));
      access_log.Flush();
    }
    access_log.Write(RecordOf("/after"));
  }
  EXPECT_EQ(log::LinesLost() - lost_before, 3u);
  ASSERT_TRUE(log::Setup("info", "text", "", "test").ok());

  std::string targets;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    EXPECT_TRUE(line.starts_with(R"({"time":")") && line.ends_with("}")) << line;
    const size_t begin = line.find(R"("target":")") + 10;
    targets += line.substr(begin, line.find('"', begin) - begin);
  }
  EXPECT_EQ(targets, "/before/fits__/after");
  EXPECT_NE(ContentOf(log_path).find(std::string("the access log ") + path + " has lost 3 lines"),
            std::string::npos)
      << ContentOf(log_path);
  unlink(path);
  unlink(log_path);
}

}  // namespace
}  // namespace ringmaster
