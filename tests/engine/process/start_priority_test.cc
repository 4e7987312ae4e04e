#include "engine/process/start_priority.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <thread>

#include "gtest/gtest.h"

namespace ringmaster {
namespace {

int NiceOf(id_t thread) {
  errno = 0;
  const int nice = getpriority(PRIO_PROCESS, thread);
  EXPECT_EQ(errno, 0);
  return nice;
}

bool AllowNice(rlim_t limit) {
  const rlimit both = {limit, limit};
  return setrlimit(RLIMIT_NICE, &both) == 0;
}

// What is said of a process's priority is said of one that ends with the test. Returns its exit
// status, 0 when `test` saw no failure.
int ExitStatusOf(const std::function<void()>& test) {
  const pid_t pid = fork();
  if (pid == 0) {
    test();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

void InAProcess(const std::function<void()>& test) { EXPECT_EQ(ExitStatusOf(test), 0); }

class StartPriority : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can say who may do what";
  }
};

constexpr uid_t kNobody = 65534;

TEST_F(StartPriority, MakesWayAndReturnsWithAllThreads) {
  InAProcess([] {
    const int before = NiceOf(0);
    EXPECT_EQ(NiceToReturnTo(), before);
    EXPECT_EQ(NiceOf(0), before) << "asking changes nothing";
    MakeWay();
    EXPECT_EQ(NiceOf(0), before + kStartNice);
    std::atomic<int> thread_id = 0;
    std::atomic<bool> over = false;
    std::thread thread([&] {
      thread_id = gettid();
      while (!over) std::this_thread::yield();
    });
    while (thread_id == 0) std::this_thread::yield();
    EXPECT_EQ(NiceOf(static_cast<id_t>(thread_id)), before + kStartNice);
    const absl::Status status = ReturnToNice(before);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(NiceOf(0), before);
    EXPECT_EQ(NiceOf(static_cast<id_t>(thread_id)), before);
    over = true;
    thread.join();
  });
}

TEST_F(StartPriority, IsNotLeftByWhoCannotReturn) {
  InAProcess([] {
    ASSERT_TRUE(AllowNice(0));
    ASSERT_EQ(setresuid(kNobody, kNobody, kNobody), 0);
    const int before = NiceOf(0);
    EXPECT_EQ(NiceToReturnTo(), std::nullopt);
    EXPECT_EQ(NiceOf(0), before);
    MakeWay();
    const absl::Status status = ReturnToNice(before);
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  });
}

TEST_F(StartPriority, IsLeftByWhomTheLimitLetsReturn) {
  constexpr rlim_t kDownTo3 = 20 - 3;
  if (ExitStatusOf([] { _exit(AllowNice(kDownTo3) ? 0 : 1); }) != 0) {
    GTEST_SKIP() << "only who has CAP_SYS_RESOURCE can raise a limit";
  }
  InAProcess([] {
    ASSERT_EQ(setpriority(PRIO_PROCESS, 0, 3), 0);
    ASSERT_TRUE(AllowNice(kDownTo3));
    ASSERT_EQ(setresuid(kNobody, kNobody, kNobody), 0);
    EXPECT_EQ(NiceToReturnTo(), 3);
    MakeWay();
    EXPECT_EQ(NiceOf(0), 3 + kStartNice);
    EXPECT_TRUE(ReturnToNice(3).ok());
    EXPECT_EQ(NiceOf(0), 3);
  });
}

TEST_F(StartPriority, IsNotLeftWhereThereIsNoRoomBelow) {
  InAProcess([] {
    ASSERT_EQ(setpriority(PRIO_PROCESS, 0, 19 - kStartNice), 0);
    EXPECT_EQ(NiceToReturnTo(), 19 - kStartNice);
    ASSERT_EQ(setpriority(PRIO_PROCESS, 0, 20 - kStartNice), 0);
    EXPECT_EQ(NiceToReturnTo(), std::nullopt);
  });
}

}  // namespace
}  // namespace ringmaster
