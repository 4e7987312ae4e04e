#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/handoff/relay.h"
#include "tests/engine/handoff/two_workers.h"

// Hand-offs that go wrong. Each connection goes on in one worker, whoever dies or talks nonsense.

namespace ringmaster {
namespace {

using std::chrono::milliseconds;

class HandOverFailureTest : public TwoWorkersTest {
 protected:
  void ConnectSome(int count) {
    for (int i = 0; i < count; ++i) Ask(Connect(), "hello");
  }
  void ExpectAllServed(std::string_view count = "2\n") {
    for (auto& client : clients_) {
      EXPECT_EQ(Ask(*client, "count"), count);
      EXPECT_FALSE(client->ended());
    }
  }
  // What comes from a worker over a channel.
  ReceivedDescriptors Await(const UniqueFd& channel) {
    std::optional<ReceivedDescriptors> message;
    EXPECT_TRUE(Until([&] { return (message = TakeMessage(channel.get())).has_value(); }));
    return message ? std::move(*message) : ReceivedDescriptors();
  }
  bool AwaitEnd(const UniqueFd& channel) {
    return Until(
        [&] { return ReceiveDescriptors(channel.get(), HandoffBatch::kMessageBytesMax).ended; });
  }
  // A batch as the old worker sends it, with the states in a memfd.
  ReceivedDescriptors BatchOf(int count) {
    Start();
    ConnectSome(count);
    from_old_ = TakeFromOld();
    return Await(from_old_);
  }
  void TearDown() override {
    from_old_.Reset();
    TwoWorkersTest::TearDown();
  }
  UniqueFd from_old_;
};

TEST_F(HandOverFailureTest, WhoIsRefusedStaysAndIsNotAskedAgain) {
  Start();
  ConnectSome(5);
  new_->protocol.refuses = [&](uint64_t id) { return id == IdOf(1) || id == IdOf(3); };
  EXPECT_EQ(HandOver(), 3u);
  TurnFor(milliseconds(350));
  EXPECT_EQ(old_->open(), 2u);
  EXPECT_EQ(adopted(), 3u);
  EXPECT_EQ(new_->counters.adoptions_refused.Get(), 2u);
  EXPECT_EQ(LifeOf(1).handoffs, 1);
  ExpectAllServed();
  EXPECT_NE(old_->worker->Find(IdOf(1)), nullptr);
}

TEST_F(HandOverFailureTest, AListenerThatTheNewServerDoesNotHaveKeepsItsConnections) {
  old_->Start(listener_, listening_fd_.get(), options_, nullptr, false);
  ListenerDefinition other = listener_;
  other.address = *Address::Parse("127.0.0.2:0");
  new_->Start(other, listening_fd_.get(), options_, nullptr, true);
  ConnectSome(2);
  EXPECT_EQ(HandOver(), 0u);
  EXPECT_EQ(new_->counters.adoptions_refused.Get(), 2u);
  ExpectAllServed();
  old_->Tell(ControlMessage::kRetire);
  EXPECT_TRUE(Until([&] { return LifeOf(0).drains == 1 && LifeOf(1).drains == 1; }));
}

TEST_F(HandOverFailureTest, ATakerThatDiesBeforeItAnswersHasTakenNobody) {
  const ReceivedDescriptors batch = BatchOf(4);
  EXPECT_EQ(batch.fds.size(), 5u);
  from_old_.Reset();
  EXPECT_EQ(AwaitBroken(), 0u);
  EXPECT_EQ(old_->open(), 4u);
  ExpectAllServed();
}

TEST_F(HandOverFailureTest, ATakerThatDiesBeforeTheWordHasTakenNobody) {
  const ReceivedDescriptors batch = BatchOf(4);
  // Its answer is there, and it is not.
  EXPECT_TRUE(SendDescriptors(from_old_.get(), Verdict(1, "\1\1\1\1"), {}));
  from_old_.Reset();
  EXPECT_EQ(AwaitBroken(), 0u);
  EXPECT_EQ(handed_over(), 0u);
  ExpectAllServed();
}

TEST_F(HandOverFailureTest, NonsenseOfATakerIsTheEndOfIt) {
  const std::vector<std::string> nonsense = {
      Verdict(2, "\1\1\1"),        // of another batch
      Verdict(1, "\1\1"),          // of too few
      Verdict(1, "\1\1\1\1"),      // of too many
      Verdict(1, ""),              //
      Verdict(1, "\1\1\1") + "x",  // and more
      std::string(512, '\xff'),    //
      std::string(4096, '\1'),     // longer than any message
      std::string("\0", 1),        //
  };
  Start();
  ConnectSome(3);
  for (const std::string& answer : nonsense) {
    const UniqueFd channel = TakeFromOld();
    { const ReceivedDescriptors batch = Await(channel); }
    EXPECT_TRUE(SendDescriptors(channel.get(), answer, {}));
    const ReceivedDescriptors word = Await(channel);
    EXPECT_EQ(word.bytes, Verdict(1, std::string(3, '\0'))) << "the taker is told that it has none";
    EXPECT_TRUE(AwaitEnd(channel));
    EXPECT_EQ(AwaitBroken(), 0u);
    EXPECT_EQ(old_->open(), 3u);
  }
  EXPECT_EQ(handed_over(), 0u);
  ExpectAllServed();
}

TEST_F(HandOverFailureTest, BytesOtherThanYesAreANo) {
  const ReceivedDescriptors batch = BatchOf(3);
  EXPECT_TRUE(SendDescriptors(from_old_.get(), Verdict(1, "\2\xff\7"), {}));
  EXPECT_EQ(Await(from_old_).bytes, Verdict(1, std::string(3, '\0')));
  TurnTimes(10);
  EXPECT_EQ(old_->open(), 3u);
  ExpectAllServed();
}

TEST_F(HandOverFailureTest, DescriptorsInAnAnswerAreClosed) {
  const ReceivedDescriptors batch = BatchOf(1);
  const size_t before = OpenDescriptors();
  const int fds[] = {0, 1, 2};
  EXPECT_TRUE(SendDescriptors(from_old_.get(), Verdict(1, std::string(1, '\0')), fds));
  Await(from_old_);
  TurnTimes(5);
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_F(HandOverFailureTest, NonsenseOfAGiverIsTheEndOfIt) {
  ReceivedDescriptors good = BatchOf(3);
  const BatchHeader header = BatchHeader::Decode(good.bytes);
  EXPECT_EQ(header.count, 3u);
  std::vector<std::string> nonsense;
  for (const uint64_t count :
       {uint64_t{0}, uint64_t{2}, uint64_t{4}, uint64_t{252}, uint64_t{253}, UINT64_MAX}) {
    nonsense.push_back(BatchHeader{.count = count}.Encode());
  }
  for (const uint64_t version : {uint64_t{0}, HandoffBatch::kVersion + uint64_t{1}, UINT64_MAX}) {
    nonsense.push_back(BatchHeader{.version = version, .count = 3}.Encode());
  }
  nonsense.push_back(good.bytes + "x");
  nonsense.push_back(good.bytes.substr(0, good.bytes.size() - 1));
  nonsense.emplace_back(512, '\xff');
  nonsense.emplace_back(2000, '\1');
  for (const std::string& bytes : nonsense) {
    const UniqueFd channel = GiveToNew();
    std::vector<int> fds;
    for (const UniqueFd& fd : good.fds) fds.push_back(fd.get());
    EXPECT_TRUE(SendDescriptors(channel.get(), bytes, fds));
    EXPECT_TRUE(AwaitEnd(channel));
    EXPECT_EQ(new_->open(), 0u);
  }
  // The right words without the descriptors.
  const UniqueFd channel = GiveToNew();
  EXPECT_TRUE(SendDescriptors(channel.get(), good.bytes, {}));
  EXPECT_TRUE(AwaitEnd(channel));
  good.fds.clear();
  from_old_.Reset();
  AwaitBroken();
  ExpectAllServed();
}

TEST_F(HandOverFailureTest, StatesThatMakeNoSenseAreRefusedOneByOne) {
  ReceivedDescriptors good = BatchOf(3);
  std::vector<int> fds;
  for (const UniqueFd& fd : good.fds) fds.push_back(fd.get());
  std::string states(1 << 16, '\0');
  states.resize(static_cast<size_t>(pread(fds[0], states.data(), states.size(), 0)));
  ASSERT_GT(states.size(), 100u);
  const auto try_states = [&](const std::string& bytes) {
    const UniqueFd memory(memfd_create("states", MFD_CLOEXEC));
    EXPECT_EQ(write(memory.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    fds[0] = memory.get();
    const UniqueFd channel = GiveToNew();
    EXPECT_TRUE(SendDescriptors(channel.get(), good.bytes, fds));
    const ReceivedDescriptors answer = Await(channel);
    StateReader in(answer.bytes);
    EXPECT_EQ(in.Unsigned(), 1u);
    const std::string mine(in.Bytes());
    EXPECT_TRUE(in.finished());
    EXPECT_EQ(static_cast<uint64_t>(std::count(mine.begin(), mine.end(), '\1')), new_->open());
    EXPECT_TRUE(SendDescriptors(channel.get(), Verdict(1, std::string(3, '\0')), {}));
    EXPECT_TRUE(Until([&] { return new_->open() == 0; }));
    return mine;
  };
  EXPECT_EQ(try_states(states), "\1\1\1");
  EXPECT_EQ(try_states(""), std::string(3, '\0'));
  EXPECT_EQ(try_states(std::string(1000, '\xff')), std::string(3, '\0'));
  const size_t third = states.size() / 3;
  EXPECT_EQ(try_states(states.substr(0, third + 10)), std::string("\1\0\0", 3));
  // The same connection three times: it is one.
  const std::string first = states.substr(0, third);
  EXPECT_EQ(try_states(first + first + first), std::string("\1\0\0", 3));
  EXPECT_EQ(adopted(), 0u);
  good.fds.clear();
  from_old_.Reset();
  AwaitBroken();
  ExpectAllServed();
}

TEST_F(HandOverFailureTest, AWordThatMakesNoSenseLeavesThemToTheGiver) {
  ReceivedDescriptors good = BatchOf(3);
  for (const std::string& word : {Verdict(2, "\1\1\1"), Verdict(1, "\1\1"), std::string("x")}) {
    const UniqueFd channel = GiveToNew();
    EXPECT_TRUE(Pass(channel.get(), good));
    EXPECT_EQ(Await(channel).bytes, Verdict(1, "\1\1\1"));
    EXPECT_EQ(new_->open(), 3u);
    EXPECT_TRUE(SendDescriptors(channel.get(), word, {}));
    EXPECT_TRUE(AwaitEnd(channel));
    EXPECT_EQ(new_->open(), 0u);
  }
  good.fds.clear();
  from_old_.Reset();
  AwaitBroken();
  ExpectAllServed();
}

TEST_F(HandOverFailureTest, ATakerWithoutDescriptorsLeavesThemAll) {
  Start();
  ConnectSome(40);
  BeginHandOver();
  // The old worker has sent them; the new one cannot open half of them.
  for (int i = 0; i < 50; ++i) old_->Turn();
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  // A descriptor's number is what counts: some may be free below the highest.
  const UniqueFd lowest_free(dup(0));
  rlimit low = limit;
  low.rlim_cur = static_cast<rlim_t>(lowest_free.get()) + 10;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  for (int i = 0; i < 10; ++i) new_->Turn();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(AwaitBroken(), 0u);
  EXPECT_EQ(new_->open(), 0u);
  EXPECT_EQ(old_->open(), 40u);
  ExpectAllServed();
}

// A worker in a process of its own, which the test kills.
class KilledWorkerTest : public HandOverFailureTest {
 protected:
  // Runs `side` in a child until it stops. The client asks no more of this process's copy.
  void Fork(Side& side, bool standby) {
    child_ = fork();
    ASSERT_GE(child_, 0);
    if (child_ > 0) return;
    side.Start(listener_, listening_fd_.get(), options_, limits_.get(), standby);
    while (side.worker->Turn()) {
    }
    _exit(0);
  }
  void KillChild() {
    ASSERT_EQ(kill(child_, SIGKILL), 0);
    ASSERT_EQ(waitpid(child_, nullptr, 0), child_);
    child_ = 0;
  }
  // Whoever serves it is not in this process.
  std::string AskBlocking(Client& client, std::string_view line) {
    client.Send(std::string(line) + "\n");
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!client.got().ends_with('\n') && std::chrono::steady_clock::now() < end) Turn();
    return client.Take();
  }
  void TearDown() override {
    if (child_ > 0) KillChild();
    HandOverFailureTest::TearDown();
  }
  // The lives here know nothing of what the child did.
  void ForgetLives() {
    for (auto& [id, life] : lives_) life.opened = 1;
  }
  pid_t child_ = 0;
};

TEST_F(KilledWorkerTest, AGiverThatIsKilledWithABatchSentHasGivenIt) {
  options_.connections_max = 100;
  options_.address.connections_max = 50;
  ShareLimits();
  Fork(*old_, false);
  new_->Start(listener_, listening_fd_.get(), options_, limits_.get(), true);
  for (int i = 0; i < 6; ++i) {
    clients_.push_back(std::make_unique<Client>(port_));
    EXPECT_EQ(AskBlocking(*clients_.back(), "hello"), "hello\n");
  }
  EXPECT_EQ(limits_->count(SharedLimits::kServerGate), 6u);
  const UniqueFd from_old = TakeFromOld();
  ReceivedDescriptors batch = Await(from_old);
  EXPECT_EQ(batch.fds.size(), 7u);
  // Said before it could say a word.
  KillChild();
  UniqueFd to_new = GiveToNew();
  EXPECT_TRUE(Pass(to_new.get(), batch));
  batch.fds.clear();
  EXPECT_EQ(Await(to_new).bytes, Verdict(1, std::string(6, '\1')));
  EXPECT_EQ(adopted(), 0u);
  EXPECT_EQ(limits_->count(SharedLimits::kServerGate), 12u) << "they stand in both";
  to_new.Reset();
  EXPECT_TRUE(Until([&] { return adopted() == 6; }));
  // As the master does when a worker has died.
  EXPECT_TRUE(limits_->TakeBack(0));
  EXPECT_EQ(limits_->count(SharedLimits::kServerGate), 6u);
  for (auto& client : clients_) EXPECT_EQ(AskBlocking(*client, "count"), "2\n");
  inherited_ = 6;
  ForgetLives();
  clients_[0]->Close();
  EXPECT_TRUE(Until([&] { return limits_->count(SharedLimits::kServerGate) == 5; }));
  old_->stopped = true;
  StopBoth();
  EXPECT_EQ(new_->counters.connections_closed.Get(), 6u);
  EXPECT_EQ(limits_->count(SharedLimits::kServerGate), 0u);
  Counter full;
  EXPECT_EQ(limits_->Addresses(1, full)->TotalForTest(), 0u);
  for (const auto& [id, life] : lives_) {
    EXPECT_EQ(life.closed, 1);
    EXPECT_EQ(life.adopted, 1);
  }
}

TEST_F(KilledWorkerTest, ATakerThatIsKilledWithABatchInItsHandsHasTakenNobody) {
  options_.connections_max = 100;
  ShareLimits();
  old_->Start(listener_, listening_fd_.get(), options_, limits_.get(), false);
  Fork(*new_, true);
  new_->stopped = true;
  ConnectSome(6);
  from_old_ = TakeFromOld();
  const UniqueFd to_new = GiveToNew();
  EXPECT_TRUE(Pass(to_new.get(), Await(from_old_)));
  const ReceivedDescriptors answer = Await(to_new);
  EXPECT_EQ(answer.bytes, Verdict(1, std::string(6, '\1')));
  EXPECT_EQ(limits_->count(SharedLimits::kServerGate), 12u);
  KillChild();
  EXPECT_TRUE(limits_->TakeBack(1));
  EXPECT_EQ(limits_->count(SharedLimits::kServerGate), 6u);
  // What it had answered comes all the same.
  EXPECT_TRUE(Pass(from_old_.get(), answer));
  from_old_.Reset();
  EXPECT_EQ(AwaitBroken(), 0u);
  EXPECT_EQ(old_->open(), 6u);
  for (auto& client : clients_) EXPECT_EQ(AskBlocking(*client, "count"), "2\n");
}

}  // namespace
}  // namespace ringmaster
