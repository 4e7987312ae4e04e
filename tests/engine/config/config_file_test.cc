#include "engine/config/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "engine/config/json_value.h"

namespace ringmaster::config {
namespace {

using testing::HasSubstr;

class ConfigFile : public testing::Test {
 protected:
  ConfigFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "config_file_XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~ConfigFile() override { std::filesystem::remove_all(directory_); }

  std::string Write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = directory_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }
  // Expects `path` to be refused with `code`; returns the message.
  std::string Refused(const std::string& path, absl::StatusCode code) {
    const absl::StatusOr<std::string> text = ReadConfigFile(path);
    EXPECT_EQ(text.status().code(), code) << path;
    return std::string(text.status().message());
  }

  std::filesystem::path directory_;
};

TEST_F(ConfigFile, IsReadWhole) {
  const std::string text(100000, 'x');
  EXPECT_EQ(*ReadConfigFile(Write("a.json", text)), text);
  EXPECT_EQ(*ReadConfigFile(Write("empty.json", "")), "");
}

TEST_F(ConfigFile, IsMissing) {
  const std::string path = (directory_ / "none.json").string();
  EXPECT_EQ(Refused(path, absl::StatusCode::kNotFound), path + ": there is no such file");
}

TEST_F(ConfigFile, IsUnreadable) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads everything";
  const std::string path = Write("a.json", "{}");
  ASSERT_EQ(::chmod(path.c_str(), 0), 0);
  EXPECT_THAT(Refused(path, absl::StatusCode::kPermissionDenied), HasSubstr("must be readable"));
}

TEST_F(ConfigFile, IsNoDirectoryAndNoPipe) {
  EXPECT_THAT(Refused(directory_.string(), absl::StatusCode::kInvalidArgument),
              HasSubstr("is a directory"));
  const std::string fifo = (directory_ / "fifo").string();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(Refused(fifo, absl::StatusCode::kInvalidArgument), HasSubstr("not a regular file"));
}

TEST_F(ConfigFile, IsBounded) {
  EXPECT_TRUE(ReadConfigFile(Write("a.json", std::string(kJsonBytesMax, ' '))).ok());
  EXPECT_THAT(Refused(Write("b.json", std::string(kJsonBytesMax + 1, ' ')),
                      absl::StatusCode::kInvalidArgument),
              HasSubstr("larger than 1048576 bytes"));
}

}  // namespace
}  // namespace ringmaster::config
