#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "engine/base/time.h"
#include "engine/connection/address.h"
#include "engine/limits/address_handle.h"
#include "engine/limits/address_limits.h"
#include "engine/limits/contribution_book.h"
#include "engine/limits/gcra.h"
#include "engine/stats/counters.h"

namespace ringmaster {

// What one client address uses over all workers: open connections, and its rates of new
// connections, requests and messages. A hash table of fixed size in shared memory that all workers
// use without locks.
//
//   const auto [verdict, handle] = table.Admit(peer, worker.now());
//   if (verdict == AddressTable::Verdict::kAdmitted) ...        // keep the handle
//   if (const Duration wait = table.AllowRequest(handle, worker.now()); wait > Duration::zero()) {
//     // refuse; Retry-After: wait, rounded up to seconds
//   }
//   table.Leave(handle);                                        // when the connection is gone
//
// Connections reach the table of their worker as `connection.worker().addresses()` (nullptr: no
// address limit is set) and their own handle as `connection.address_handle()`.
//
// An address is masked by ipv4_prefix_bits or ipv6_prefix_bits; an IPv4-mapped IPv6 address counts
// as IPv4. The key is XXH3 over the masked address with a secret of 192 random bytes made at the
// start, so nobody outside can aim at a bucket. One bit pattern of bucket and fingerprint (56 bits
// at 64 Ki entries) stands for an address; two addresses that share it share their limits.
//
//     states   | fingerprint:35 | tentative:1 | count:28 |   8 of them, one cache line, are a
//     bucket rates    | arrival times of connection, request, message |
//
// An address lives in any place of its one bucket. A place is free when its count is 0 and its
// rates are at rest (Gcra): then it says nothing any more and another address takes it over. A
// bucket without a free place: the newcomer is admitted without being counted (address_table_full).
//
// Races, and why they do no harm:
// - Fingerprint and count are one word. To enter is a compare-and-swap on it, so an address that
// was
//   taken over since it was found is never counted for its successor, and a full count is never
//   exceeded nor even touched.
// - Two workers insert one address at the same time. A newcomer first stands in its place as
//   tentative, with its worker's index for a count; then it looks through the bucket; then it turns
//   its place into a count of 1, by compare-and-swap. Whoever finds the address elsewhere, counted,
//   withdraws. Whoever finds it elsewhere, tentative, removes that one if it stands behind his own
//   place, else withdraws and tries again. Both orders (sequentially consistent stores before
//   loads) leave one. A tentative place may be removed at any time, since its owner's swap then
//   fails, so one whose owner died is in nobody's way.
// - Rates of an entry with connections cannot be taken over. A request counted by address alone
// looks
//   again after it has counted and gives back what it gave to a stranger.
// - A worker that dies: ContributionBook.
// Swaps and loads of states are sequentially consistent; rates are relaxed, they guard nothing.
//
// Any worker may call any function; `worker` of the constructor is its own.
class AddressTable {
 public:
  enum class Verdict : uint8_t { kAdmitted, kTooMany, kTooFast };
  struct Admission {
    Verdict verdict = Verdict::kAdmitted;
    AddressHandle handle = kNoAddressHandle;
  };

  static size_t BytesFor(const AddressLimits& limits, uint32_t worker_count);
  // Draws the secret. Once, by the master, in memory that is zero.
  static void Format(std::byte* memory);
  // `memory`: BytesFor bytes, aligned to 64, shared by all. `limits` outlives the table. `full`
  // counts admissions for which there was no room.
  AddressTable(std::byte* memory, const AddressLimits& limits, uint32_t worker,
               uint32_t worker_count, Counter& full);

  // A new connection of `peer`: counts it unless a limit refuses it.
  Admission Admit(const PeerAddress& peer, TimePoint now);
  // One that another worker has counted until now: no limit refuses it.
  AddressHandle Readmit(const PeerAddress& peer, TimePoint now);
  void Leave(AddressHandle handle);

  // One more request or message. Zero: allowed, and counted. Else how long until the next one is.
  Duration AllowRequest(AddressHandle handle, TimePoint now) {
    return handle == kNoAddressHandle ? Duration::zero()
                                      : request_.Take(rates_[handle].request, now);
  }
  Duration AllowMessage(AddressHandle handle, TimePoint now) {
    return handle == kNoAddressHandle ? Duration::zero()
                                      : message_.Take(rates_[handle].message, now);
  }
  // For an address that the connection is not counted for: a client behind a proxy.
  Duration AllowRequest(const PeerAddress& client, TimePoint now) {
    return TakeFor(client, now, request_, &Rates::request);
  }
  Duration AllowMessage(const PeerAddress& client, TimePoint now) {
    return TakeFor(client, now, message_, &Rates::message);
  }

  // The master, when `worker` has died: its connections are not counted any longer. As
  // ContributionBook::TakeBack.
  bool TakeBack(uint32_t worker);

  // Connections counted for an address now, and for all of them.
  uint32_t CountForTest(const PeerAddress& peer) const;
  uint64_t TotalForTest() const;
  // The bucket of an address: two of one bucket compete for its places.
  uint32_t BucketForTest(const PeerAddress& peer) const { return KeyOf(peer).bucket; }

  static constexpr uint32_t kBucketPlaces = 8;

 private:
  static constexpr size_t kSecretBytes = 192;
  struct alignas(64) Header {
    std::byte secret[kSecretBytes];
  };
  struct alignas(32) Rates {
    std::atomic<int64_t> connection;
    std::atomic<int64_t> request;
    std::atomic<int64_t> message;
  };
  using State = std::atomic<uint64_t>;
  // Where an address may stand, and its fingerprint in its place in a state.
  struct Key {
    uint32_t bucket;  // index of its first place
    uint64_t fingerprint;
  };
  enum class Entry : uint8_t { kEntered, kFull, kNoPlace, kTryAgain };

  bool Counts(const PeerAddress& peer) const;
  Key KeyOf(const PeerAddress& peer) const;
  // The place where the address is counted, or kNoAddressHandle.
  AddressHandle Find(const Key& key) const;
  Entry Enter(const Key& key, uint32_t count_max, TimePoint now, AddressHandle& handle);
  Entry Increment(AddressHandle handle, const Key& key, uint32_t count_max);
  Entry Insert(const Key& key, TimePoint now, bool impatient, AddressHandle& handle);
  bool IsAlone(const Key& key, AddressHandle own, bool impatient);
  bool AtRest(AddressHandle handle, TimePoint now) const;
  Duration TakeFor(const PeerAddress& client, TimePoint now, const Gcra& rate,
                   std::atomic<int64_t> Rates::*arrival);

  const AddressLimits& limits_;
  const Gcra connection_;
  const Gcra request_;
  const Gcra message_;
  const uint32_t worker_;
  Counter& full_;
  const Header* header_;
  State* states_;
  Rates* rates_;
  ContributionBook book_;
};

}  // namespace ringmaster
