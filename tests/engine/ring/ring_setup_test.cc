// What a user reads when io_uring cannot be had: each cause with its remedy.

#include "engine/ring/ring_setup.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>

#include "engine/ring/kernel_ring.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ringmaster {
namespace {

using testing::HasSubstr;

std::string Explained(int error) {
  return std::string(ExplainSetupError("io_uring_setup", error, RingOptions()).message());
}

TEST(ExplainSetupError, NamesCauseAndRemedy) {
  EXPECT_THAT(Explained(EPERM), HasSubstr("kernel.io_uring_disabled"));
  EXPECT_THAT(Explained(EPERM), HasSubstr("seccomp"));
  EXPECT_THAT(Explained(ENOSYS), HasSubstr("6.1"));
  EXPECT_THAT(Explained(ENOMEM), HasSubstr("RLIMIT_MEMLOCK"));
  EXPECT_THAT(Explained(ENOMEM), HasSubstr("LimitMEMLOCK"));
  EXPECT_THAT(Explained(EMFILE), HasSubstr("RLIMIT_NOFILE"));
  EXPECT_THAT(Explained(EIO), HasSubstr("errno 5"));
}

// Runs `body` in a child, because it gives up rights that it cannot take back; its message comes
// back.
std::string InChild(const std::function<std::string()>& body) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    const std::string message = body();
    const ssize_t written = write(ends[1], message.data(), message.size());
    _exit(written == static_cast<ssize_t>(message.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string all;
  char buffer[4096];
  while (const ssize_t got = read(ends[0], buffer, sizeof(buffer))) {
    if (got < 0) break;
    all.append(buffer, static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return all;
}

std::string CreateMessage() {
  const auto ring = KernelRing::Create(RingOptions());
  return ring.ok() ? "ok" : std::string(ring.status().message());
}

TEST(KernelRing, WithoutDescriptorsSaysWhichLimit) {
#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer) || __has_feature(address_sanitizer)
  GTEST_SKIP() << "the sanitizer needs descriptors of its own to look at an object";
#endif
#endif
  EXPECT_THAT(InChild([] {
                const rlimit none = {3, 3};
                setrlimit(RLIMIT_NOFILE, &none);
                return CreateMessage();
              }),
              HasSubstr("RLIMIT_NOFILE"));
}

TEST(KernelRing, WithoutLockedMemorySaysWhichLimit) {
  if (geteuid() != 0) GTEST_SKIP() << "needs a user of its own: the limit is summed per user";
  const std::string message = InChild([] {
    const rlimit none = {0, 0};
    setrlimit(RLIMIT_MEMLOCK, &none);
    if (setgid(65534) != 0 || setuid(65534) != 0) return std::string("setuid failed");
    return CreateMessage();
  });
  // Kernels from 5.12 to 6.13 do not count rings.
  if (message == "ok") GTEST_SKIP() << "this kernel does not count rings";
  EXPECT_THAT(message, HasSubstr("RLIMIT_MEMLOCK"));
}

// 64 KiB hold a ring of 256 and not one of 1024. Such a limit used to be the end of the start.
TEST(KernelRing, WithLittleLockedMemoryTakesASmallerRingAndSaysSo) {
  if (geteuid() != 0) GTEST_SKIP() << "needs a user of its own: the limit is summed per user";
  const std::string description = InChild([] {
    const rlimit little = {65536, 65536};
    setrlimit(RLIMIT_MEMLOCK, &little);
    const auto user = static_cast<uid_t>(60'000 + getpid() % 5'000);
    if (setgid(user) != 0 || setuid(user) != 0) return std::string("setuid failed");
    const auto ring = KernelRing::Create(RingOptions());
    return ring.ok() ? (*ring)->description() : std::string(ring.status().message());
  });
  if (description.find("1024 SQEs, 4096 CQEs") != description.npos) {
    GTEST_SKIP() << "this kernel does not count rings";
  }
  EXPECT_THAT(description, HasSubstr("smaller than the 1024 SQEs asked for"));
  EXPECT_THAT(description, HasSubstr("RLIMIT_MEMLOCK"));
  EXPECT_THAT(description, HasSubstr("256 SQEs, 1024 CQEs, 128 buffers"));
}

TEST(KernelRing, DescribesWhatItGot) {
  const auto ring = KernelRing::Create(RingOptions());
  ASSERT_TRUE(ring.ok()) << ring.status();
  EXPECT_THAT((*ring)->description(), HasSubstr("1024 SQEs, 4096 CQEs, 128 buffers"));
  EXPECT_EQ((*ring)->BuffersAtHome(), 128u);
}

}  // namespace
}  // namespace ringmaster
