#include "engine/base/line_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <string>

#include "gtest/gtest.h"
#include "tests/engine/base/file_size_limit.h"

namespace ringmaster {
namespace {

class LineWriterTest : public testing::Test {
 protected:
  LineWriterTest() {
    const int fd = mkstemp(path_);
    close(fd);
  }
  ~LineWriterTest() override { unlink(path_); }

  UniqueFd Open() const { return UniqueFd(open(path_, O_WRONLY | O_APPEND | O_CLOEXEC)); }
  std::string Content() const {
    std::ifstream file(path_);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  char path_[32] = "/tmp/ringmaster-lines-XXXXXX";
};

TEST_F(LineWriterTest, WritesALineWholeOrNotAtAllAndGoesOnWhenThereIsRoom) {
  LineWriter writer(Open());
  EXPECT_EQ(writer.Write("0123456789\n"), 1u);
  size_t written_while_full = 0;
  {
    const FileSizeLimit limit(15);
    written_while_full += writer.Write("cut\n");         // fits to the byte
    written_while_full += writer.Write("not at all\n");  // nothing of it fits
  }
  EXPECT_EQ(written_while_full, 1u);
  EXPECT_EQ(Content(), "0123456789\ncut\n");
  EXPECT_EQ(writer.error(), EFBIG);
  EXPECT_EQ(writer.Write("again\n"), 1u);
  EXPECT_EQ(Content(), "0123456789\ncut\nagain\n");
}

// The half line that a full disk left once ran into the line that came an hour later.
TEST_F(LineWriterTest, TakesAwayTheHalfLineThatAFullDiskLeaves) {
  LineWriter writer(Open());
  for (rlim_t bytes = 1; bytes <= 12; ++bytes) {
    ASSERT_EQ(truncate(path_, 0), 0);
    size_t written = 0;
    {
      const FileSizeLimit limit(bytes);
      written = writer.Write("a\nbb\ncccccc\n");
    }
    EXPECT_EQ(written, bytes < 2 ? 0u : bytes < 5 ? 1u : bytes < 12 ? 2u : 3u) << bytes;
    EXPECT_EQ(writer.Write("next\n"), 1u);
    const char* const kept[] = {"", "a\n", "a\nbb\n", "a\nbb\ncccccc\n"};
    EXPECT_EQ(Content(), std::string(kept[written]) + "next\n") << bytes;
  }
}

// Where nothing can be taken away, the fragment is at least ended.
TEST(LineWriterOnAPipe, EndsTheHalfLineBeforeTheNext) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  LineWriter writer((UniqueFd(ends[1])));
  const auto drain = [&] {
    std::string all;
    char buffer[65536];
    while (true) {
      const ssize_t got = read(ends[0], buffer, sizeof(buffer));
      if (got <= 0) return all;
      all.append(buffer, static_cast<size_t>(got));
    }
  };
  // More than a pipe takes at once.
  const std::string line = std::string(3'000'000, 'x') + "\n";
  EXPECT_EQ(writer.Write(line), 0u);
  const std::string half = drain();
  ASSERT_GT(half.size(), 0u);
  EXPECT_EQ(half.find('\n'), half.npos);
  EXPECT_EQ(writer.Write("next\n"), 1u);
  EXPECT_EQ(writer.Write("last\n"), 1u);
  EXPECT_EQ(drain(), "\nnext\nlast\n");
  close(ends[0]);
}

TEST(LineWriterOnAFullDevice, SaysWhy) {
  UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  if (!full.valid()) GTEST_SKIP() << "no /dev/full here";
  LineWriter writer(std::move(full));
  EXPECT_EQ(writer.Write("line\n"), 0u);
  EXPECT_EQ(writer.error(), ENOSPC);
}

}  // namespace
}  // namespace ringmaster
