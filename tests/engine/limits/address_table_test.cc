#include "engine/limits/address_table.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/time_points.h"

namespace ringmaster {
namespace {

using Verdict = AddressTable::Verdict;
constexpr TimePoint kNow = 1'000 * kSecond;

PeerAddress Peer(const std::string& host) {
  const std::string text =
      host.find(':') == std::string::npos ? host + ":1000" : "[" + host + "]:1000";
  const Address address = *Address::Parse(text);
  sockaddr_storage storage = {};
  std::memcpy(&storage, address.data(), address.size());
  return PeerAddress::Of(storage);
}

// The i-th of many addresses.
PeerAddress Numbered(uint32_t i) {
  return Peer(fmt::format("10.{}.{}.{}", i >> 16 & 255, i >> 8 & 255, i & 255));
}

// One table in memory that forked processes share, seen by any worker.
class SharedTable {
 public:
  explicit SharedTable(const AddressLimits& limits, uint32_t worker_count = 4)
      : limits_(limits),
        worker_count_(worker_count),
        bytes_(AddressTable::BytesFor(limits, worker_count)) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(memory, MAP_FAILED);
    memory_ = static_cast<std::byte*>(memory);
    AddressTable::Format(memory_);
  }
  ~SharedTable() { munmap(memory_, bytes_); }
  SharedTable(const SharedTable&) = delete;
  SharedTable& operator=(const SharedTable&) = delete;

  AddressTable For(uint32_t worker) {
    return AddressTable(memory_, limits_, worker, worker_count_, full);
  }
  Counter full;

 private:
  const AddressLimits limits_;
  const uint32_t worker_count_;
  const size_t bytes_;
  std::byte* memory_;
};

AddressLimits ConnectionsMax(uint32_t max) {
  AddressLimits limits;
  limits.connections_max = max;
  limits.table_entries = 1024;
  return limits;
}

// Once an address without an accept rate was refused for one when the other worker's turn had begun
// later.
TEST(AddressTable, WorkersNeedNotAgreeOnTheTime) {
  SharedTable shared(ConnectionsMax(4));
  AddressTable late = shared.For(0);
  AddressTable early = shared.For(1);
  EXPECT_EQ(late.Admit(Peer("192.0.2.1"), kNow).verdict, Verdict::kAdmitted);
  EXPECT_EQ(early.Admit(Peer("192.0.2.1"), kNow - kSecond).verdict, Verdict::kAdmitted);
}

TEST(AddressTable, AdmitsUpToTheLimitAndAgainWhenSomebodyHasLeft) {
  SharedTable shared(ConnectionsMax(2));
  AddressTable table = shared.For(0);
  const auto first = table.Admit(Peer("192.0.2.1"), kNow);
  ASSERT_EQ(first.verdict, Verdict::kAdmitted);
  EXPECT_NE(first.handle, kNoAddressHandle);
  EXPECT_EQ(table.Admit(Peer("192.0.2.1"), kNow).verdict, Verdict::kAdmitted);
  EXPECT_EQ(table.Admit(Peer("192.0.2.1"), kNow).verdict, Verdict::kTooMany);
  EXPECT_EQ(table.Admit(Peer("192.0.2.2"), kNow).verdict, Verdict::kAdmitted);
  table.Leave(first.handle);
  EXPECT_EQ(table.CountForTest(Peer("192.0.2.1")), 1u);
  EXPECT_EQ(table.Admit(Peer("192.0.2.1"), kNow).verdict, Verdict::kAdmitted);
  EXPECT_EQ(table.Admit(Peer("192.0.2.1"), kNow).verdict, Verdict::kTooMany);
}

TEST(AddressTable, TheLimitHoldsOverAllWorkers) {
  SharedTable shared(ConnectionsMax(3));
  AddressTable one = shared.For(0);
  AddressTable two = shared.For(1);
  EXPECT_EQ(one.Admit(Peer("192.0.2.1"), kNow).verdict, Verdict::kAdmitted);
  EXPECT_EQ(two.Admit(Peer("192.0.2.1"), kNow).verdict, Verdict::kAdmitted);
  EXPECT_EQ(one.Admit(Peer("192.0.2.1"), kNow).verdict, Verdict::kAdmitted);
  EXPECT_EQ(two.Admit(Peer("192.0.2.1"), kNow).verdict, Verdict::kTooMany);
  EXPECT_EQ(one.Admit(Peer("192.0.2.1"), kNow).verdict, Verdict::kTooMany);
}

TEST(AddressTable, IPv6CountsByItsNetworkAndMappedAddressesAsIPv4) {
  SharedTable shared(ConnectionsMax(1));
  AddressTable table = shared.For(0);
  EXPECT_EQ(table.Admit(Peer("2001:db8:1:2::1"), kNow).verdict, Verdict::kAdmitted);
  EXPECT_EQ(table.Admit(Peer("2001:db8:1:2:ffff::9"), kNow).verdict, Verdict::kTooMany);
  EXPECT_EQ(table.Admit(Peer("2001:db8:1:3::1"), kNow).verdict, Verdict::kAdmitted);
  EXPECT_EQ(table.Admit(Peer("192.0.2.1"), kNow).verdict, Verdict::kAdmitted);
  EXPECT_EQ(table.Admit(Peer("::ffff:192.0.2.1"), kNow).verdict, Verdict::kTooMany);
  // All mapped addresses share a /64: were they counted as IPv6, this one would be refused too.
  EXPECT_EQ(table.Admit(Peer("::ffff:192.0.2.2"), kNow).verdict, Verdict::kAdmitted);
  EXPECT_EQ(table.Admit(Peer("::1"), kNow).verdict, Verdict::kAdmitted);
}

TEST(AddressTable, PrefixesAreAsConfigured) {
  AddressLimits limits = ConnectionsMax(1);
  limits.ipv4_prefix_bits = 20;
  limits.ipv6_prefix_bits = 127;
  SharedTable shared(limits);
  AddressTable table = shared.For(0);
  EXPECT_EQ(table.Admit(Peer("10.1.16.1"), kNow).verdict, Verdict::kAdmitted);
  EXPECT_EQ(table.Admit(Peer("10.1.31.255"), kNow).verdict, Verdict::kTooMany);
  EXPECT_EQ(table.Admit(Peer("10.1.32.0"), kNow).verdict, Verdict::kAdmitted);
  EXPECT_EQ(table.Admit(Peer("2001:db8::2"), kNow).verdict, Verdict::kAdmitted);
  EXPECT_EQ(table.Admit(Peer("2001:db8::3"), kNow).verdict, Verdict::kTooMany);
  EXPECT_EQ(table.Admit(Peer("2001:db8::4"), kNow).verdict, Verdict::kAdmitted);
}

TEST(AddressTable, ExemptAddressesAndUnixSocketsAreNeitherCountedNorRefused) {
  AddressLimits limits = ConnectionsMax(1);
  limits.request_rate = {.per_second = 1, .burst = 1};
  limits.exempt = *CidrSet::Parse({"192.0.2.0/24"});
  SharedTable shared(limits);
  AddressTable table = shared.For(0);
  PeerAddress unix_peer;
  unix_peer.family = AF_UNIX;
  for (int i = 0; i < 10; ++i) {
    for (const PeerAddress& peer : {Peer("192.0.2.7"), unix_peer, PeerAddress()}) {
      const auto admission = table.Admit(peer, kNow);
      EXPECT_EQ(admission.verdict, Verdict::kAdmitted);
      EXPECT_EQ(admission.handle, kNoAddressHandle);
      EXPECT_EQ(table.AllowRequest(admission.handle, kNow), Duration::zero());
      EXPECT_EQ(table.AllowRequest(peer, kNow), Duration::zero());
      table.Leave(admission.handle);
    }
  }
}

TEST(AddressTable, ConnectionsOfAnAddressComeAtItsRate) {
  AddressLimits limits;
  limits.accept_rate = {.per_second = 2, .burst = 3};
  limits.table_entries = 1024;
  SharedTable shared(limits);
  AddressTable one = shared.For(0);
  AddressTable two = shared.For(1);
  int admitted = 0;
  for (int i = 0; i < 10; ++i) {
    admitted +=
        (i % 2 == 0 ? one : two).Admit(Peer("192.0.2.1"), kNow).verdict == Verdict::kAdmitted;
  }
  EXPECT_EQ(admitted, 3);
  EXPECT_EQ(one.Admit(Peer("192.0.2.1"), kNow).verdict, Verdict::kTooFast);
  EXPECT_EQ(one.CountForTest(Peer("192.0.2.1")), 3u) << "who is refused is not counted";
  EXPECT_EQ(one.Admit(Peer("192.0.2.1"), kNow + kSecond / 2).verdict, Verdict::kAdmitted);
  EXPECT_EQ(two.Admit(Peer("192.0.2.2"), kNow).verdict, Verdict::kAdmitted);
}

TEST(AddressTable, RequestsAndMessagesHaveRatesOfTheirOwnByHandleAndByAddress) {
  AddressLimits limits;
  limits.request_rate = {.per_second = 1, .burst = 2};
  limits.message_rate = {.per_second = 10, .burst = 1};
  limits.table_entries = 1024;
  SharedTable shared(limits);
  AddressTable one = shared.For(0);
  AddressTable two = shared.For(1);
  const AddressHandle handle = one.Admit(Peer("192.0.2.1"), kNow).handle;
  EXPECT_EQ(one.AllowRequest(handle, kNow), Duration::zero());
  // A proxy in another worker names the same client.
  EXPECT_EQ(two.AllowRequest(Peer("192.0.2.1"), kNow), Duration::zero());
  EXPECT_EQ(one.AllowRequest(handle, kNow).count(), kSecond);
  EXPECT_EQ(two.AllowRequest(Peer("192.0.2.1"), kNow).count(), kSecond);
  EXPECT_EQ(one.AllowMessage(handle, kNow), Duration::zero());
  EXPECT_EQ(one.AllowMessage(handle, kNow).count(), kSecond / 10);
  // A client that has no connection of its own here is remembered by its rate alone.
  EXPECT_EQ(two.AllowRequest(Peer("192.0.2.9"), kNow), Duration::zero());
  EXPECT_EQ(two.AllowRequest(Peer("192.0.2.9"), kNow), Duration::zero());
  EXPECT_EQ(one.AllowRequest(Peer("192.0.2.9"), kNow).count(), kSecond);
  EXPECT_EQ(one.CountForTest(Peer("192.0.2.9")), 0u);
}

// Addresses of one bucket, found by asking.
std::vector<PeerAddress> OfOneBucket(const AddressTable& table, size_t count) {
  std::map<uint32_t, std::vector<PeerAddress>> buckets;
  for (uint32_t i = 0;; ++i) {
    std::vector<PeerAddress>& bucket = buckets[table.BucketForTest(Numbered(i))];
    bucket.push_back(Numbered(i));
    if (bucket.size() == count) return bucket;
  }
}

TEST(AddressTable, WhoFindsNoRoomIsAdmittedAndCountedAsSuch) {
  SharedTable shared(ConnectionsMax(1));
  AddressTable table = shared.For(0);
  const auto peers = OfOneBucket(table, AddressTable::kBucketPlaces + 2);
  std::vector<AddressHandle> handles;
  for (const PeerAddress& peer : peers) {
    const auto admission = table.Admit(peer, kNow);
    EXPECT_EQ(admission.verdict, Verdict::kAdmitted);
    handles.push_back(admission.handle);
  }
  EXPECT_EQ(shared.full.Get(), 2u);
  EXPECT_EQ(std::count(handles.begin(), handles.end(), kNoAddressHandle), 2);
  EXPECT_EQ(table.Admit(peers[0], kNow).verdict, Verdict::kTooMany) << "others keep their limit";
  EXPECT_EQ(table.Admit(peers.back(), kNow).verdict, Verdict::kAdmitted);
  // Room again: the place of one that has left is taken over, and counts from nothing.
  table.Leave(handles[3]);
  EXPECT_NE(table.Admit(peers.back(), kNow).handle, kNoAddressHandle);
  EXPECT_EQ(table.Admit(peers.back(), kNow).verdict, Verdict::kTooMany);
  EXPECT_EQ(table.CountForTest(peers[3]), 0u);
}

TEST(AddressTable, APlaceIsTakenOverOnlyWhenItsRatesAreAtRest) {
  AddressLimits limits;
  limits.accept_rate = {.per_second = 1, .burst = 1};
  limits.table_entries = 1024;
  SharedTable shared(limits);
  AddressTable table = shared.For(0);
  const auto peers = OfOneBucket(table, AddressTable::kBucketPlaces + 1);
  for (size_t i = 0; i < AddressTable::kBucketPlaces; ++i) {
    table.Leave(table.Admit(peers[i], kNow).handle);
  }
  EXPECT_EQ(table.Admit(peers.back(), kNow).handle, kNoAddressHandle);
  EXPECT_EQ(table.Admit(peers[0], kNow).verdict, Verdict::kTooFast);
  EXPECT_NE(table.Admit(peers.back(), kNow + kSecond).handle, kNoAddressHandle);
}

TEST(AddressTable, ADeadWorkersConnectionsAreTakenBackAndNobodyElses) {
  SharedTable shared(ConnectionsMax(4));
  AddressTable one = shared.For(0);
  AddressTable two = shared.For(1);
  for (int i = 0; i < 3; ++i) one.Admit(Peer("192.0.2.1"), kNow);
  two.Admit(Peer("192.0.2.1"), kNow);
  one.Admit(Peer("192.0.2.2"), kNow);
  EXPECT_TRUE(two.TakeBack(0));
  EXPECT_EQ(two.CountForTest(Peer("192.0.2.1")), 1u);
  EXPECT_EQ(two.CountForTest(Peer("192.0.2.2")), 0u);
  EXPECT_TRUE(two.TakeBack(0)) << "once more changes nothing";
  EXPECT_EQ(two.CountForTest(Peer("192.0.2.1")), 1u);
}

// Connections come and go on a few addresses, from several workers at the same time: at no moment
// more than the limit, and nothing is left in the end.
void Hammer(AddressTable& table, uint64_t seed, uint32_t address_count, int rounds,
            std::atomic<int>* held, uint32_t max, std::atomic<bool>& exceeded) {
  std::mt19937_64 random(seed);
  std::vector<std::pair<uint32_t, AddressHandle>> mine;
  TimePoint now = kNow;
  for (int i = 0; i < rounds; ++i) {
    now += 1000;
    if (mine.size() < 40 && random() % 2 == 0) {
      const auto address = static_cast<uint32_t>(random() % address_count);
      const auto admission = table.Admit(Numbered(address), now);
      if (admission.handle == kNoAddressHandle) continue;
      // Counted after it was admitted and before it leaves: an excess seen here is a real one.
      if (held[address].fetch_add(1) >= static_cast<int>(max)) exceeded = true;
      mine.emplace_back(address, admission.handle);
    } else if (!mine.empty()) {
      std::swap(mine[random() % mine.size()], mine.back());
      held[mine.back().first].fetch_sub(1);
      table.Leave(mine.back().second);
      mine.pop_back();
    }
  }
  for (const auto& [address, handle] : mine) {
    held[address].fetch_sub(1);
    table.Leave(handle);
  }
}

TEST(AddressTable, ThreadsNeverExceedTheLimitAndLeaveNothingBehind) {
  constexpr uint32_t kThreads = 4;
  constexpr uint32_t kMax = 7;
  // More addresses than places, so that they push each other out all the time.
  constexpr uint32_t kAddresses = 3000;
  SharedTable shared(ConnectionsMax(kMax), kThreads);
  auto held = std::make_unique<std::atomic<int>[]>(kAddresses);
  for (const uint32_t addresses : {5u, kAddresses}) {
    std::atomic<bool> exceeded = false;
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        AddressTable table = shared.For(i);
        Hammer(table, 7 * addresses + i, addresses, 100'000, held.get(), kMax, exceeded);
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_FALSE(exceeded);
    AddressTable table = shared.For(0);
    for (uint32_t i = 0; i < addresses; ++i) ASSERT_EQ(table.CountForTest(Numbered(i)), 0u) << i;
  }
}

// The story it stands for: a worker is killed at whatever instruction, again and again, while
// others work on. Whatever it was doing, its connections are counted no longer, and the others'
// still are.
TEST(AddressTable, WorkersKilledAtAnyMomentLeaveExactCounts) {
  constexpr uint32_t kWorkers = 3;
  constexpr uint32_t kAddresses = 6;
  // A limit that is reached all the time, and a table whose places change hands.
  SharedTable shared(ConnectionsMax(9), kWorkers);
  AddressTable master = shared.For(kWorkers - 1);  // holds a connection of each address throughout
  std::vector<AddressHandle> own;
  for (uint32_t i = 0; i < kAddresses; ++i) own.push_back(master.Admit(Numbered(i), kNow).handle);

  std::mt19937_64 random(1);
  const auto spawn = [&](uint32_t worker) {
    const uint64_t seed = random();
    const pid_t pid = fork();
    if (pid != 0) return pid;
    AddressTable table = shared.For(worker);
    std::atomic<int> held[2000] = {};
    std::atomic<bool> exceeded = false;
    while (true) Hammer(table, seed, 2000, 1 << 30, held, UINT32_MAX >> 1, exceeded);
  };
  pid_t pids[kWorkers - 1];
  for (uint32_t i = 0; i < kWorkers - 1; ++i) pids[i] = spawn(i);
  for (int round = 0; round < 60; ++round) {
    const auto victim = static_cast<uint32_t>(random() % (kWorkers - 1));
    const timespec pause = {0, static_cast<long>(random() % 2'000'000)};
    nanosleep(&pause, nullptr);
    kill(pids[victim], SIGKILL);
    waitpid(pids[victim], nullptr, 0);
    ASSERT_TRUE(master.TakeBack(victim));
    pids[victim] = spawn(victim);
  }
  for (uint32_t i = 0; i < kWorkers - 1; ++i) {
    kill(pids[i], SIGKILL);
    waitpid(pids[i], nullptr, 0);
  }
  // Both are dead, perhaps in the middle of the same place: the second repair settles the first.
  const bool settled = master.TakeBack(0);
  ASSERT_TRUE(master.TakeBack(1));
  if (!settled) std::printf("the first repair was left to the second\n");
  for (uint32_t i = 0; i < 2000; ++i) {
    ASSERT_EQ(master.CountForTest(Numbered(i)), i < kAddresses ? 1u : 0u) << i;
  }
  for (const AddressHandle handle : own) master.Leave(handle);
  for (uint32_t i = 0; i < kAddresses; ++i) EXPECT_EQ(master.CountForTest(Numbered(i)), 0u);
}

}  // namespace
}  // namespace ringmaster
