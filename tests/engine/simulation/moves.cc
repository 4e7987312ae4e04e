#include "tests/engine/simulation/moves.h"

#include <algorithm>
#include <string>

#include "engine/connection/connection.h"
#include "engine/connection/guard.h"
#include "engine/handoff/giver.h"
#include "engine/handoff/taker.h"
#include "engine/listener/door.h"
#include "engine/worker/worker.h"

namespace ringmaster {

bool HandoffTestPeer::Begin(Connection& connection, SlabPlace& ref) {
  if (connection.moving_ || !connection.CanMove()) return false;
  if (connection.open()) {
    connection.Guard([&] { connection.session_->OnHandoff(connection); });
    if (!connection.CanMove()) return false;
  }
  ref = {connection.slot_, connection.generation_};
  connection.BeginMove();
  return true;
}

HandoffTestPeer::Step HandoffTestPeer::Look(Worker& worker, const SlabPlace& ref) {
  const Connection* const connection = worker.slab_.Get(ref);
  if (connection == nullptr || connection->state_ == Connection::State::kClosing) {
    return Step::kGone;
  }
  return connection->Standing() ? Step::kStanding : Step::kNotYet;
}

void HandoffTestPeer::StayHere(Worker& worker, const SlabPlace& ref) {
  worker.slab_.Get(ref)->StayHere();
}

HandoffTestPeer::Step HandoffTestPeer::Move(Worker& worker, const SlabPlace& ref) {
  Connection& connection = *worker.slab_.Get(ref);
  std::string state;
  if (!connection.CanMove() || !HandoffGiver::SaveTo(worker, connection, state)) {
    connection.StayHere();
    return Step::kStayed;
  }
  std::string again;
  HandoffGiver::SaveTo(worker, connection, again);
  if (state != again) return Step::kUnequal;
  const int fd = connection.fd_;
  const AddressHandle handle =
      worker.door().TakeOver(connection.listener_index_, connection.peer());
  worker.Forget(connection);
  Connection* const adopted = HandoffTaker::Adopt(worker, fd, state);
  if (adopted == nullptr) return Step::kRefused;
  adopted->address_handle_ = handle;
  adopted->Arrive();
  return Step::kMoved;
}

bool HandoffTestPeer::Save(Worker& worker, const SlabPlace& ref, std::string& state) {
  Connection& connection = *worker.slab_.Get(ref);
  return connection.CanMove() && HandoffGiver::SaveTo(worker, connection, state);
}

Connection* HandoffTestPeer::Adopt(Worker& worker, int fd, std::string_view state) {
  Connection* const adopted = HandoffTaker::Adopt(worker, fd, state);
  if (adopted == nullptr) return nullptr;
  adopted->address_handle_ = worker.door().TakeOver(adopted->listener_index_, adopted->peer());
  adopted->Arrive();
  return adopted;
}

}  // namespace ringmaster

namespace ringmaster::simulation {

Moves::Moves(World& world, SimulatedEngine& engine, EchoProtocol& protocol)
    : world_(world), engine_(engine), protocol_(protocol) {
  constexpr double kRates[] = {0, 0.01, 0.1, 0.5};
  rate_ = kRates[world_.random.Below(4)];
  called_off_rate_ = world_.random.Chance(0.5) ? 0 : 0.3;
}

void Moves::OnTurn() {
  const size_t count = protocol_.records().size();
  if (rate_ > 0 && count > 0 && world_.random.Chance(rate_)) {
    // Mostly of those that came last: most others are gone.
    const size_t of = world_.random.Chance(0.8) ? std::min<size_t>(count, 20) : count;
    const ConnectionRecord& record = *protocol_.records()[count - 1 - world_.random.Below(of)];
    Connection* const connection =
        record.opened ? engine_.worker().Find(record.connection_id) : nullptr;
    SlabPlace ref;
    if (connection != nullptr && HandoffTestPeer::Begin(*connection, ref)) moving_.push_back(ref);
  }
  if (std::erase_if(moving_, [this](const auto& ref) { return Advance(ref); }) > 0) {
    // What it does next is done in the next turn, which must not wait for anything.
    engine_.Post([] {});
  }
}

bool Moves::Advance(const SlabPlace& ref) {
  using Step = HandoffTestPeer::Step;
  Worker& worker = engine_.worker();
  Step step = HandoffTestPeer::Look(worker, ref);
  const bool can_be_called_off = step == Step::kNotYet || step == Step::kStanding;
  if (can_be_called_off && called_off_rate_ > 0 && world_.random.Chance(called_off_rate_)) {
    HandoffTestPeer::StayHere(worker, ref);
    ++called_off_count_;
    return true;
  }
  if (step == Step::kStanding) step = HandoffTestPeer::Move(worker, ref);
  if (step == Step::kRefused) world_.Fail("a connection was not taken by the one that saved it");
  if (step == Step::kUnequal) world_.Fail("nothing happened, and what is saved has changed");
  moved_count_ += step == Step::kMoved;
  return step != Step::kNotYet;
}

}  // namespace ringmaster::simulation
