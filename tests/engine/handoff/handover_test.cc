#include <algorithm>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/handoff/two_workers.h"
#include "tests/engine/line_protocol.h"

// What moves, in every state that it can be in, and arrives as it was.

namespace ringmaster {
namespace {

using std::chrono::milliseconds;

class HandOverTest : public TwoWorkersTest {};

TEST_F(HandOverTest, IdleConnectionsGoOnInTheOtherWorker) {
  Start();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask(Connect(), "one"), "one\n");
  EXPECT_EQ(HandOver(), 3u);
  EXPECT_TRUE(UntilOldIsEmpty());
  EXPECT_EQ(adopted(), 3u);
  EXPECT_EQ(new_->open(), 3u);
  for (auto& client : clients_) {
    EXPECT_EQ(Ask(*client, "count"), "2\n");
    EXPECT_FALSE(client->ended());
  }
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(LifeOf(i).handoffs, 1);
    EXPECT_EQ(LifeOf(i).adopted, 1);
    EXPECT_EQ(LifeOf(i).closed, 0);
    Connection* const connection = new_->worker->Find(IdOf(i));
    ASSERT_NE(connection, nullptr);
    EXPECT_EQ(connection->message_count(), 2u);
    EXPECT_EQ(connection->bytes_received(), 10u);
  }
  clients_[0]->Close();
  EXPECT_TRUE(Until([&] { return LifeOf(0).closed == 1; }));
  EXPECT_EQ(LifeOf(0).reason, CloseReason::kPeerClosed);
}

TEST_F(HandOverTest, ConnectionsThatHaveSaidNothingYetMove) {
  Start();
  Client& client = Connect();
  EXPECT_EQ(HandOver(), 1u);
  EXPECT_EQ(Ask(client, "first"), "first\n");
  EXPECT_EQ(LifeOf(0).opened, 1);
}

TEST_F(HandOverTest, ThePartOfAMessageThatHasComeIsNotLost) {
  Start();
  Client& client = Connect();
  client.Send("two\nha");
  ASSERT_TRUE(Until([&] { return client.got() == "two\n"; }));
  EXPECT_EQ(HandOver(), 1u);
  client.Send("lf\n");
  EXPECT_TRUE(Until([&] { return client.got() == "two\nhalf\n"; })) << client.got();
}

TEST_F(HandOverTest, WhatComesDuringTheMoveIsNotLost) {
  Start();
  std::string sent;
  std::vector<std::string> said(8);
  for (size_t i = 0; i < said.size(); ++i) Connect();
  BeginHandOver();
  // A line in pieces in every turn of the hand-off.
  for (int turn = 0; turn < 60; ++turn) {
    for (size_t i = 0; i < said.size(); ++i) {
      const std::string piece =
          turn % 3 == 2 ? "\n" : std::to_string(turn * 10 + static_cast<int>(i));
      clients_[i]->Send(piece);
      said[i] += piece;
    }
    Turn();
  }
  for (size_t i = 0; i < said.size(); ++i) {
    EXPECT_TRUE(Until([&] { return clients_[i]->got().size() == said[i].size(); }));
    EXPECT_EQ(clients_[i]->got(), said[i]);
  }
  EXPECT_TRUE(UntilOldIsEmpty());
}

TEST_F(HandOverTest, UnsentOutputFollowsToTheLastByte) {
  constexpr size_t kBytes = 24u << 20;
  Start();
  Client& client = Connect(/*receive_buffer_bytes=*/4096);
  Say(client, "big " + std::to_string(kBytes));
  TurnTimes(20);
  const size_t queued = old_->worker->Find(IdOf(0))->output_bytes();
  ASSERT_GT(queued, kBytes / 2) << "the kernel took it all: nothing is tested";
  EXPECT_EQ(HandOver(), 1u);
  EXPECT_TRUE(UntilOldIsEmpty());
  EXPECT_GT(new_->worker->Find(IdOf(0))->output_bytes(), kBytes / 2);
  EXPECT_TRUE(Until([&] { return client.got().size() >= kBytes; }, std::chrono::seconds(30)));
  EXPECT_TRUE(client.got() == PatternOf(kBytes));
  EXPECT_EQ(LifeOf(0).drained, 1) << "it had been above its high watermark";
  EXPECT_EQ(new_->worker->Find(IdOf(0))->bytes_sent(), kBytes);
}

TEST_F(HandOverTest, APeerThatReadsDuringTheMovesGetsEveryByteOnce) {
  constexpr size_t kBytes = 4u << 20;
  Start();
  std::vector<Client*> readers;
  for (int i = 0; i < 4; ++i) {
    Client& client = Connect(4096 << i);
    Say(client, "big " + std::to_string(kBytes));
  }
  BeginHandOver();
  for (auto& client : clients_) {
    EXPECT_TRUE(Until([&] { return client->got().size() >= kBytes; }, std::chrono::seconds(30)));
    EXPECT_TRUE(client->got() == PatternOf(kBytes));
  }
  EXPECT_TRUE(UntilOldIsEmpty());
}

TEST_F(HandOverTest, AStuckSendIsBoundedByItsWriteTimeout) {
  listener_.stream.timeouts.write = milliseconds(300);
  Start();
  Client& client = Connect(4096);
  Say(client, "big 16000000");
  TurnFor(milliseconds(100));
  EXPECT_EQ(HandOver(), 1u);
  ASSERT_TRUE(Until([&] { return LifeOf(0).closed == 1; }));
  EXPECT_EQ(LifeOf(0).reason, CloseReason::kWriteTimeout);
  EXPECT_TRUE(Until([&] { return client.reset(); }));
}

TEST_F(HandOverTest, AStuckSendThatDoesNotMoveAfterAllGoesOn) {
  Start();
  Client& client = Connect(4096);
  Say(client, "big 16000000");
  TurnTimes(20);
  UniqueFd taker = TakeFromOld();
  // In the turn after it was told to stand still, its send is being cancelled.
  old_->Turn();
  taker.Reset();
  EXPECT_EQ(AwaitBroken(), 0u);
  EXPECT_TRUE(Until([&] { return client.got().size() == 16'000'000; }, std::chrono::seconds(30)));
  EXPECT_TRUE(client.got() == PatternOf(16'000'000));
  EXPECT_EQ(LifeOf(0).closed, 0);
}

// The cancellation of a send that waits is answered in the turn after: a hand-off that ends just
// then once took it for the write timeout.
TEST_F(HandOverTest, AStopInTheMiddleOfStandingStillIsNoWriteTimeout) {
  Start();
  Client& client = Connect(4096);
  Say(client, "big 16000000");
  TurnTimes(20);
  BeginHandOver();
  while (LifeOf(0).handoffs == 0) old_->Turn();
  old_->worker->Stop();
  EXPECT_TRUE(Until([&] { return client.got().size() == 16'000'000; }, std::chrono::seconds(30)));
  ASSERT_TRUE(Until([&] { return LifeOf(0).closed == 1; }));
  EXPECT_EQ(LifeOf(0).reason, CloseReason::kServerStopping);
  EXPECT_EQ(LifeOf(0).stops, 1);
}

TEST_F(HandOverTest, WhoPausedItsInputIsStillPaused) {
  Start();
  Client& client = Connect();
  Say(client, "pause");
  client.Send("later\n");
  TurnTimes(5);
  EXPECT_EQ(HandOver(), 1u);
  TurnTimes(20);
  EXPECT_EQ(client.got(), "");
  new_->worker->Find(IdOf(0))->ResumeReceive();
  EXPECT_TRUE(Until([&] { return client.got() == "later\n"; }));
}

TEST_F(HandOverTest, WhoPausedWithInputAtHandIsOfferedItWhenItResumes) {
  Start();
  Client& client = Connect();
  client.Send("pause\nlater\nand");
  ASSERT_TRUE(Until([&] { return old_->counters.messages.Get() == 1; }));
  EXPECT_EQ(HandOver(), 1u);
  client.Send(" more\n");
  TurnTimes(20);
  EXPECT_EQ(client.got(), "");
  new_->worker->Find(IdOf(0))->ResumeReceive();
  EXPECT_TRUE(Until([&] { return client.got() == "later\nand more\n"; })) << client.got();
}

TEST_F(HandOverTest, AboveTheHighWatermarkInputWaitsUntilItIsDrained) {
  listener_.stream.send_queue_bytes_high = 1 << 20;
  listener_.stream.send_queue_bytes_low = 64 << 10;
  Start();
  Client& client = Connect(4096);
  Say(client, "big 16000000");
  client.Send("behind\n");
  TurnTimes(20);
  EXPECT_EQ(HandOver(), 1u);
  TurnTimes(20);
  EXPECT_EQ(new_->counters.messages.Get(), 0u) << "its output is above the watermark";
  EXPECT_EQ(LifeOf(0).drained, 0);
  EXPECT_TRUE(Until([&] { return client.got().ends_with("behind\n"); }, std::chrono::seconds(30)));
  EXPECT_EQ(client.got().size(), 16'000'007u);
  EXPECT_EQ(LifeOf(0).drained, 1);
}

// The peer's FIN was seen while the session was paused; it has not been told yet.
TEST_F(HandOverTest, AnEndOfInputThatWasSeenIsTold) {
  Start();
  Client& client = Connect();
  client.Send("first\npause\nlast\n");
  client.Finish();
  ASSERT_TRUE(Until([&] { return old_->counters.messages.Get() == 2; }));
  TurnTimes(10);
  EXPECT_EQ(HandOver(), 1u);
  TurnTimes(10);
  EXPECT_EQ(LifeOf(0).closed, 0);
  new_->worker->Find(IdOf(0))->ResumeReceive();
  EXPECT_TRUE(Until([&] { return LifeOf(0).closed == 1; }));
  EXPECT_EQ(client.got(), "first\nlast\n");
  EXPECT_TRUE(Until([&] { return client.ended(); }));
  EXPECT_EQ(LifeOf(0).reason, CloseReason::kPeerClosed);
}

TEST_F(HandOverTest, AnEndOfInputThatComesDuringTheMoveIsTold) {
  Start();
  for (int i = 0; i < 5; ++i) Connect();
  BeginHandOver();
  for (int i = 0; i < 5; ++i) {
    clients_[i]->Send("bye\n");
    clients_[i]->Finish();
    old_->Turn();
  }
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(Until([&] { return LifeOf(i).closed == 1; }));
    EXPECT_EQ(LifeOf(i).reason, CloseReason::kPeerClosed);
    EXPECT_EQ(clients_[i]->got(), "bye\n");
    EXPECT_FALSE(clients_[i]->reset());
  }
}

TEST_F(HandOverTest, WhoLingersKeepsItsReasonAndItsDeadline) {
  listener_.stream.timeouts.close = milliseconds(600);
  Start();
  Client& patient = Connect();
  Say(patient, "linger 10");
  Client& polite = Connect();
  Say(polite, "linger 10");
  ASSERT_TRUE(Until([&] { return patient.ended() && polite.ended(); }));
  const TimePoint said_at = old_->worker->now();
  TurnFor(milliseconds(300));
  EXPECT_EQ(HandOver(), 2u);
  EXPECT_EQ(new_->open(), 2u);
  polite.Finish();
  ASSERT_TRUE(Until([&] { return LifeOf(1).closed == 1; }));
  EXPECT_LT(Duration(LifeOf(1).ended_at - said_at), milliseconds(500));
  ASSERT_TRUE(Until([&] { return LifeOf(0).closed == 1; }));
  const Duration after(LifeOf(0).ended_at - said_at);
  EXPECT_GE(after, milliseconds(550));
  EXPECT_LT(after, milliseconds(800));
  EXPECT_EQ(LifeOf(0).reason, CloseReason::kLimit);
  EXPECT_EQ(LifeOf(1).reason, CloseReason::kLimit);
  EXPECT_EQ(patient.got(), PatternOf(10));
  EXPECT_FALSE(patient.reset());
}

TEST_F(HandOverTest, WhoFlushesEndsWithAllOfItAndItsReason) {
  constexpr size_t kBytes = 12'000'000;
  Start();
  Client& plain = Connect(4096);
  Say(plain, "flush " + std::to_string(kBytes));
  Client& lingering = Connect(4096);
  Say(lingering, "linger " + std::to_string(kBytes));
  TurnTimes(20);
  EXPECT_EQ(HandOver(), 2u);
  for (int i = 0; i < 2; ++i) {
    Client& client = *clients_[i];
    EXPECT_TRUE(Until([&] { return client.ended(); }, std::chrono::seconds(30)));
    EXPECT_FALSE(client.reset());
    EXPECT_TRUE(client.got() == PatternOf(kBytes));
    client.Close();
    EXPECT_TRUE(Until([&] { return LifeOf(i).closed == 1; }));
    EXPECT_EQ(LifeOf(i).reason, CloseReason::kLimit);
  }
}

TEST_F(HandOverTest, TimeoutsSetFromCodeStay) {
  Start();
  Client& client = Connect();
  Say(client, "set read 500");
  Client& other = Connect();
  Say(other, "hello");
  TurnFor(milliseconds(250));
  EXPECT_EQ(HandOver(), 2u);
  EXPECT_EQ(new_->worker->Find(IdOf(0))->options().timeouts.read, milliseconds(500));
  EXPECT_EQ(new_->worker->Find(IdOf(0))->shared_options().timeouts.read, std::chrono::seconds(75));
  ASSERT_TRUE(Until([&] { return LifeOf(0).timeouts == 1; }));
  EXPECT_EQ(LifeOf(0).timeout_reason, CloseReason::kReadTimeout);
  EXPECT_EQ(LifeOf(1).timeouts, 0);
}

// Half of its time is over when it moves; it must neither begin again nor be lost.
TEST_F(HandOverTest, WhatIsLeftOfTheIdleTimeIsLeft) {
  listener_.stream.timeouts.read = milliseconds(600);
  Start();
  Client& client = Connect();
  Say(client, "hello");
  const TimePoint active_at = old_->worker->now();
  TurnFor(milliseconds(350));
  EXPECT_EQ(HandOver(), 1u);
  ASSERT_TRUE(Until([&] { return LifeOf(0).timeouts == 1; }));
  EXPECT_EQ(LifeOf(0).timeout_reason, CloseReason::kReadTimeout);
  const Duration after(LifeOf(0).ended_at - active_at);
  EXPECT_GE(after, milliseconds(599));
  EXPECT_LT(after, milliseconds(800));
}

TEST_F(HandOverTest, AnItemsDeadlineCountsFromWhereItBegan) {
  listener_.stream.timeouts.message = milliseconds(600);
  Start();
  Client& client = Connect();
  client.Send("hel");
  ASSERT_TRUE(Until([&] { return old_->worker->Find(IdOf(0))->bytes_received() == 3; }));
  const TimePoint began_at = old_->worker->now();
  TurnFor(milliseconds(350));
  EXPECT_EQ(HandOver(), 1u);
  client.Send("l");
  ASSERT_TRUE(Until([&] { return LifeOf(0).timeouts == 1; }));
  EXPECT_EQ(LifeOf(0).timeout_reason, CloseReason::kMessageTimeout);
  const Duration after(LifeOf(0).ended_at - began_at);
  EXPECT_GE(after, milliseconds(590));
  EXPECT_LT(after, milliseconds(800));
}

// What passed while it stood still fires as soon as it goes on.
TEST_F(HandOverTest, ADeadlineThatPassedDuringTheMoveFires) {
  listener_.stream.timeouts.message = milliseconds(200);
  Start();
  Client& client = Connect();
  client.Send("hel");
  ASSERT_TRUE(Until([&] { return old_->worker->Find(IdOf(0))->bytes_received() == 3; }));
  BeginHandOver();
  for (int i = 0; i < 10; ++i) old_->Turn();
  std::this_thread::sleep_for(milliseconds(300));
  ASSERT_TRUE(Until([&] { return LifeOf(0).timeouts == 1; }));
  EXPECT_EQ(LifeOf(0).timeout_reason, CloseReason::kMessageTimeout);
  EXPECT_EQ(adopted(), 1u);
}

TEST_F(HandOverTest, TheLifetimeCountsFromTheAccept) {
  Start();
  Client& client = Connect();
  Say(client, "set lifetime 600");
  Client& other = Connect();
  Say(other, "hello");
  TurnFor(milliseconds(350));
  EXPECT_EQ(HandOver(), 2u);
  ASSERT_TRUE(Until([&] { return LifeOf(0).timeouts == 1; }));
  EXPECT_EQ(LifeOf(0).timeout_reason, CloseReason::kLifetime);
  const Duration after(LifeOf(0).ended_at - LifeOf(0).opened_at);
  EXPECT_GE(after, milliseconds(599));
  EXPECT_LT(after, milliseconds(800));
  EXPECT_EQ(LifeOf(1).timeouts, 0);
}

TEST_F(HandOverTest, AnIdleProbeIsSentOnce) {
  listener_.stream.timeouts.read = milliseconds(800);
  Start();
  Client& before = Connect();
  Say(before, "probe");
  TurnFor(milliseconds(500));
  ASSERT_EQ(LifeOf(0).probes, 1);
  Client& behind = Connect();
  Say(behind, "probe");
  EXPECT_EQ(HandOver(), 2u);
  ASSERT_TRUE(Until([&] { return LifeOf(0).timeouts == 1; }));
  EXPECT_EQ(LifeOf(0).probes, 1) << "the old worker had asked already";
  ASSERT_TRUE(Until([&] { return LifeOf(1).timeouts == 1; }));
  EXPECT_EQ(LifeOf(1).probes, 1);
}

TEST_F(HandOverTest, AFileOnItsWayDoesNotMoveUntilItHasLeft) {
  Start();
  Client& client = Connect(4096);
  Say(client, "file 8000000");
  TurnTimes(20);
  EXPECT_EQ(HandOver(), 0u);
  EXPECT_EQ(old_->open(), 1u);
  TurnFor(milliseconds(250));
  EXPECT_EQ(old_->open(), 1u);
  EXPECT_TRUE(Until([&] { return client.got().size() == 8'000'000; }, std::chrono::seconds(30)));
  EXPECT_TRUE(client.got() == PatternOf(8'000'000));
  // Asked again, now and then.
  EXPECT_TRUE(UntilOldIsEmpty());
  client.Take();
  EXPECT_EQ(Ask(client, "count"), "2\n");
  EXPECT_EQ(handed_over(), 1u);
}

TEST_F(HandOverTest, WhoIsBusyMovesWhenItIsNot) {
  Start();
  Client& busy = Connect();
  Say(busy, "hello");
  Client& stays = Connect();
  Say(stays, "stay");
  old_->worker->Find(IdOf(0))->SetBusy(true);
  EXPECT_EQ(HandOver(), 0u);
  TurnFor(milliseconds(250));
  EXPECT_EQ(old_->open(), 2u);
  EXPECT_EQ(LifeOf(0).handoffs, 0) << "who cannot move is not told";
  EXPECT_EQ(LifeOf(1).handoffs, 0);
  busy.Take();
  EXPECT_EQ(Ask(busy, "served"), "served\n");
  old_->worker->Find(IdOf(0))->SetBusy(false);
  stays.Send("go\n");
  EXPECT_TRUE(UntilOldIsEmpty());
  EXPECT_EQ(adopted(), 2u);
  EXPECT_EQ(Ask(busy, "count"), "3\n");
}

TEST_F(HandOverTest, OutboundConnectionsStay) {
  Start();
  uint16_t port = 0;
  const UniqueFd far(ListenOnLoopback(port));
  Lines lines;
  const Address address = *Address::Parse("127.0.0.1:" + std::to_string(port));
  const StreamOptions stream;
  old_->worker->Post([&] { EXPECT_TRUE(old_->worker->Connect(address, lines, stream).ok()); });
  ASSERT_TRUE(Until([&] { return old_->counters.connections_connected.Get() == 1; }));
  Say(Connect(), "hello");
  EXPECT_EQ(HandOver(), 1u);
  TurnFor(milliseconds(250));
  EXPECT_EQ(old_->open(), 1u);
  // And do not keep the old worker.
  old_->Tell(ControlMessage::kRetire);
  EXPECT_TRUE(Until([&] { return old_->stopped; }));
  EXPECT_EQ(new_->open(), 1u);
}

TEST_F(HandOverTest, AThousandMoveInBatches) {
  constexpr size_t kCount = 1000;
  Start();
  for (size_t i = 0; i < kCount; ++i) {
    clients_.push_back(std::make_unique<Client>(port_));
    clients_.back()->Send("hello\n");
    if (i % 64 == 0) Turn();
  }
  ASSERT_TRUE(Until([&] { return old_->counters.messages.Get() == kCount; }));
  EXPECT_EQ(HandOver(), kCount);
  EXPECT_TRUE(UntilOldIsEmpty());
  EXPECT_EQ(adopted(), kCount);
  EXPECT_EQ(new_->open(), kCount);
  for (auto& client : clients_) {
    client->Take();
    client->Send("count\n");
  }
  for (auto& client : clients_) {
    EXPECT_TRUE(Until([&] { return !client->got().empty(); }));
    EXPECT_EQ(client->Take(), "2\n");
  }
}

TEST_F(HandOverTest, WhoComesDuringThePassesMovesToo) {
  Start();
  for (int i = 0; i < 300; ++i) clients_.push_back(std::make_unique<Client>(port_));
  ASSERT_TRUE(Until([&] { return old_->open() == 300; }));
  BeginHandOver();
  // Some in each turn, until the door is closed and they wait in the kernel.
  for (int i = 0; i < 40; ++i) {
    clients_.push_back(std::make_unique<Client>(port_));
    Turn();
  }
  AwaitHandedOver();
  EXPECT_TRUE(UntilOldIsEmpty());
  const uint64_t accepted = old_->counters.connections_accepted.Get();
  EXPECT_EQ(adopted(), accepted);
  EXPECT_GT(accepted, 300u);
  new_->Tell(ControlMessage::kServe);
  EXPECT_TRUE(Until([&] { return new_->open() == 340; }));
  for (auto& client : clients_) EXPECT_EQ(Ask(*client, "hello"), "hello\n");
}

// A listener that was closed at a limit has stopped as soon as it is told: once nothing woke the
// giver up after that.
TEST_F(HandOverTest, ADoorThatIsClosedAlreadyIsNotWaitedFor) {
  options_.worker_connections_max = 2;
  Start();
  Say(Connect(), "stay");
  Say(Connect(), "stay");
  TurnTimes(10);
  BeginHandOver();
  // Without a word from outside.
  for (int i = 0; i < 2; ++i) old_->Turn();
  std::optional<ControlPacket> packet;
  for (int i = 0; i < 20 && !packet; ++i) {
    old_->worker->AddTimer(milliseconds(50), Duration::zero(), [] {});
    old_->worker->Turn();
    packet = old_->Heard();
    if (old_->worker->timer_count() == 0) break;
  }
  EXPECT_TRUE(packet.has_value());
}

TEST_F(HandOverTest, TwiceInARow) {
  Start();
  for (int i = 0; i < 3; ++i) Say(Connect(), "hello");
  Say(Connect(), "stay");
  EXPECT_EQ(HandOver(), 3u);
  clients_[3]->Send("go\n");
  ASSERT_TRUE(Until([&] { return old_->counters.messages.Get() == 5; }));
  // Another round while the first one still watches.
  BeginHandOver();
  EXPECT_TRUE(UntilOldIsEmpty());
  EXPECT_EQ(adopted(), 4u);
  for (auto& client : clients_) client->Take();
  EXPECT_EQ(Ask(*clients_[3], "count"), "3\n");
}

TEST_F(HandOverTest, ASecondHandOverInTheMiddleOfTheFirstLosesNobody) {
  for (int turns = 1; turns < 12; ++turns) {
    lives_.clear();
    old_ = std::make_unique<Side>(0, lives_);
    new_ = std::make_unique<Side>(1, lives_);
    Start();
    for (int i = 0; i < 5; ++i) Say(Connect(), "hello");
    BeginHandOver();
    for (int i = 0; i < turns; ++i) old_->Turn();
    BeginHandOver();
    EXPECT_TRUE(UntilOldIsEmpty()) << turns;
    EXPECT_EQ(adopted(), 5u);
    for (auto& client : clients_) {
      EXPECT_TRUE(Until([&] { return client->got() == "hello\n"; }));
      client->Take();
      EXPECT_EQ(Ask(*client, "count"), "2\n");
    }
    clients_.clear();
    StopBoth();
    for (const auto& [id, life] : lives_) EXPECT_EQ(life.closed, 1);
  }
}

// There and back: what the new worker adopted it gives like its own.
TEST_F(HandOverTest, ThereAndBackAgain) {
  Start();
  Client& client = Connect();
  client.Send("hello\nbeg");
  ASSERT_TRUE(Until([&] { return client.got() == "hello\n"; }));
  EXPECT_EQ(HandOver(), 1u);
  const SocketPair channel;
  old_->Give(ControlMessage::kAdopt, channel.a.get());
  new_->Give(ControlMessage::kHandOver, channel.b.get());
  EXPECT_TRUE(Until([&] { return old_->open() == 1 && new_->open() == 0; }));
  client.Send("un\n");
  EXPECT_TRUE(Until([&] { return client.got() == "hello\nbegun\n"; }));
  EXPECT_EQ(LifeOf(0).adopted, 2);
}

// As where there are fewer new workers than listening sockets: both accept from one. The kernel
// wakes one accept for a connection, in one of these turns that of the old worker just when it is
// being cancelled.
class SharedSocketTest : public TwoWorkersTest, public testing::WithParamInterface<int> {};

TEST_P(SharedSocketTest, WhoComesWhileTheDoorClosesIsLetInByTheOther) {
  Start();
  new_->Tell(ControlMessage::kServe);
  TurnTimes(5);
  BeginHandOver();
  for (int turn = 0; turn < 20; ++turn) {
    if (turn == GetParam()) clients_.push_back(std::make_unique<Client>(port_));
    old_->Turn();
  }
  AwaitHandedOver();
  new_->Tell(ControlMessage::kServe);
  EXPECT_EQ(Ask(*clients_[0], "hello"), "hello\n");
}

INSTANTIATE_TEST_SUITE_P(InTurn, SharedSocketTest, testing::Range(0, 10));

}  // namespace
}  // namespace ringmaster
