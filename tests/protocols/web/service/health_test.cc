#include "protocols/web/service/health.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>

#include "tests/engine/time_points.h"

namespace ringmaster::web {
namespace {

constexpr pid_t kMaster = 4711;
constexpr pid_t kInit = 1;
constexpr TimePoint kNow = 100 * kSecond;

class HealthCheck : public testing::Test {
 protected:
  // A server with one worker per state, and an admin process, which counts for nothing here.
  void Server(std::initializer_list<SlotState> states) {
    auto block = SharedBlock::Create(static_cast<uint32_t>(states.size()), /*with_admin=*/true);
    ASSERT_TRUE(block.ok());
    block_ = *std::move(block);
    block_->header().master_pid.store(kMaster);
    uint32_t index = 0;
    for (const SlotState state : states) block_->slot(index++).state.store(state);
  }
  Health Live(pid_t parent = kMaster) const { return Liveness(*block_, parent, kNow); }
  Health Ready(pid_t parent = kMaster) const { return Readiness(*block_, parent, kNow); }

  std::unique_ptr<SharedBlock> block_;
};

TEST_F(HealthCheck, AServerWithAllWorkersReadyIsHealthyAndReady) {
  Server({SlotState::kReady, SlotState::kReady});
  EXPECT_TRUE(Live().ok);
  EXPECT_EQ(Live().text, "ok: 2 of 2 workers ready\n");
  EXPECT_TRUE(Ready().ok);
  EXPECT_EQ(Ready().text, Live().text);
}

TEST_F(HealthCheck, OneReadyWorkerIsHealthyButNotReady) {
  Server({SlotState::kRestarting, SlotState::kReady});
  EXPECT_TRUE(Live().ok);
  EXPECT_FALSE(Ready().ok);
  EXPECT_EQ(Ready().text, "not ok: 1 of 2 workers ready\nworker 0 is restarting\n");
}

TEST_F(HealthCheck, NoReadyWorkerIsNeither) {
  for (const SlotState state : {SlotState::kEmpty, SlotState::kStarting, SlotState::kRestarting}) {
    Server({state});
    EXPECT_FALSE(Live().ok) << SlotStateName(state);
    EXPECT_FALSE(Ready().ok) << SlotStateName(state);
  }
}

TEST_F(HealthCheck, AServerThatStopsSaysSo) {
  Server({SlotState::kStopping, SlotState::kStopped});
  EXPECT_FALSE(Ready().ok);
  EXPECT_FALSE(Live().ok);
  EXPECT_EQ(Ready().text,
            "not ok: stopping, 0 of 2 workers ready\nworker 0 is stopping\nworker 1 is stopped\n");
}

TEST_F(HealthCheck, AWorkerThatAHandlerHoldsIsNotReady) {
  Server({SlotState::kReady, SlotState::kReady});
  block_->slot(0).pulse.turn_began_at.store(kNow - 12 * kSecond);
  block_->slot(1).pulse.turn_began_at.store(kNow - kSecond);
  EXPECT_TRUE(Ready().ok) << "there is no handler_timeout";
  block_->header().handler_timeout = kSecond;
  EXPECT_TRUE(Live().ok);
  EXPECT_FALSE(Ready().ok);
  EXPECT_EQ(Ready().text,
            "not ok: 1 of 2 workers ready\nworker 0 is held by a handler for 12.0 s\n");
  block_->slot(1).pulse.turn_began_at.store(kNow - kSecond - 1);
  EXPECT_FALSE(Live().ok);
  block_->slot(1).pulse.turn_began_at.store(0);
  EXPECT_TRUE(Live().ok) << "it waits";
}

TEST_F(HealthCheck, WithoutItsMasterItIsNeither) {
  Server({SlotState::kReady});
  EXPECT_FALSE(Live(kInit).ok);
  EXPECT_FALSE(Ready(kInit).ok);
  EXPECT_EQ(Live(kInit).text, "not ok: 1 of 1 workers ready\nthe master (pid 4711) is gone\n");
}

}  // namespace
}  // namespace ringmaster::web
