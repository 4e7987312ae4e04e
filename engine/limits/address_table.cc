#include "engine/limits/address_table.h"

#include <sys/random.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"

namespace ringmaster {
namespace {

constexpr uint64_t kCountMask = ContributionBook::kCountMask;
constexpr uint64_t kTentative = uint64_t{1} << ContributionBook::kCountBits;
constexpr uint64_t kFingerprintUnit = kTentative << 1;
// Also where no limit is set: a count never runs into the bits above it.
constexpr uint32_t kCountMax = kCountMask;

// An attempt fails only because another worker has changed the bucket meanwhile. 8: more than two
// workers meet in one bucket; from then on a tentative place in the way is removed wherever it
// stands. 64: the bucket changes faster than we look; the connection goes uncounted.
constexpr int kPatientAttempts = 8;
constexpr int kAttemptsMax = 64;

uint64_t FingerprintIn(uint64_t state) { return state & ~(kTentative | kCountMask); }
uint32_t CountIn(uint64_t state) { return static_cast<uint32_t>(state & kCountMask); }
bool IsTentative(uint64_t state) { return (state & kTentative) != 0; }

void KeepPrefix(uint8_t (&bytes)[16], int bits) {
  for (int i = 0; i < 16; ++i) {
    const int kept = std::clamp(bits - 8 * i, 0, 8);
    bytes[i] = static_cast<uint8_t>(bytes[i] & (0xFF00 >> kept));
  }
}

size_t StatesBytes(const AddressLimits& limits) { return limits.table_entries * sizeof(uint64_t); }

}  // namespace

size_t AddressTable::BytesFor(const AddressLimits& limits, uint32_t worker_count) {
  return sizeof(Header) + StatesBytes(limits) + limits.table_entries * sizeof(Rates) +
         ContributionBook::BytesFor(limits.table_entries, worker_count);
}

void AddressTable::Format(std::byte* memory) {
  Header& header = *reinterpret_cast<Header*>(memory);
  // Never short and never interrupted up to 256 bytes (getrandom(2)).
  CHECK(getrandom(header.secret, kSecretBytes, 0) == static_cast<ssize_t>(kSecretBytes));
}

AddressTable::AddressTable(std::byte* memory, const AddressLimits& limits, uint32_t worker,
                           uint32_t worker_count, Counter& full)
    : limits_(limits),
      connection_(limits.accept_rate),
      request_(limits.request_rate),
      message_(limits.message_rate),
      worker_(worker),
      full_(full),
      header_(reinterpret_cast<const Header*>(memory)),
      states_(reinterpret_cast<State*>(memory + sizeof(Header))),
      rates_(reinterpret_cast<Rates*>(memory + sizeof(Header) + StatesBytes(limits))),
      book_(reinterpret_cast<std::byte*>(rates_ + limits.table_entries), limits.table_entries,
            worker_count) {
  static_assert(sizeof(Header) % 64 == 0 && sizeof(Rates) == 32 && State::is_always_lock_free);
  CHECK(limits.table_entries >= kBucketPlaces);
  CHECK((limits.table_entries & (limits.table_entries - 1)) == 0);
}

bool AddressTable::Counts(const PeerAddress& peer) const {
  return (peer.family == AF_INET || peer.family == AF_INET6) && !limits_.exempt.Contains(peer);
}

AddressTable::Key AddressTable::KeyOf(const PeerAddress& peer) const {
  constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  uint8_t bytes[16];
  bool ipv4 = peer.family == AF_INET;
  if (ipv4) {
    std::memcpy(bytes, kMapped, sizeof(kMapped));
    std::memcpy(bytes + sizeof(kMapped), peer.bytes, 4);
  } else {
    std::memcpy(bytes, peer.bytes, sizeof(bytes));
    ipv4 = std::memcmp(bytes, kMapped, sizeof(kMapped)) == 0;
  }
  KeepPrefix(bytes, ipv4 ? 96 + limits_.ipv4_prefix_bits : limits_.ipv6_prefix_bits);
  const uint64_t hash = XXH3_64bits_withSecret(bytes, sizeof(bytes), header_->secret, kSecretBytes);
  const uint64_t fingerprint = hash & ~(kTentative | kCountMask);
  const uint32_t bucket =
      static_cast<uint32_t>(hash) & (limits_.table_entries - 1) & ~(kBucketPlaces - 1);
  // 0 stands for a place that was never used.
  return {bucket, fingerprint == 0 ? kFingerprintUnit : fingerprint};
}

AddressHandle AddressTable::Find(const Key& key) const {
  for (uint32_t i = key.bucket; i < key.bucket + kBucketPlaces; ++i) {
    const uint64_t state = states_[i].load();
    if (FingerprintIn(state) == key.fingerprint && !IsTentative(state)) return i;
  }
  return kNoAddressHandle;
}

bool AddressTable::AtRest(AddressHandle handle, TimePoint now) const {
  const Rates& rates = rates_[handle];
  return rates.connection.load(std::memory_order_relaxed) <= now &&
         rates.request.load(std::memory_order_relaxed) <= now &&
         rates.message.load(std::memory_order_relaxed) <= now;
}

AddressTable::Entry AddressTable::Increment(AddressHandle handle, const Key& key,
                                            uint32_t count_max) {
  State& state = states_[handle];
  uint64_t seen = state.load();
  book_.Begin(worker_, handle);
  while (FingerprintIn(seen) == key.fingerprint && !IsTentative(seen)) {
    if (CountIn(seen) >= count_max) {
      book_.End(worker_, handle, 0);
      return Entry::kFull;
    }
    if (state.compare_exchange_weak(seen, seen + 1)) {
      book_.End(worker_, handle, 1);
      return Entry::kEntered;
    }
  }
  book_.End(worker_, handle, 0);
  return Entry::kTryAgain;
}

// Whether no other place of the bucket stands for the address. Removes a tentative one that is in
// the way.
bool AddressTable::IsAlone(const Key& key, AddressHandle own, bool impatient) {
  for (uint32_t i = key.bucket; i < key.bucket + kBucketPlaces; ++i) {
    if (i == own) continue;
    uint64_t state = states_[i].load();
    if (FingerprintIn(state) != key.fingerprint) continue;
    if (!IsTentative(state)) return false;
    if (i < own && !impatient) return false;
    if (!states_[i].compare_exchange_strong(state, 0)) return false;
  }
  return true;
}

AddressTable::Entry AddressTable::Insert(const Key& key, TimePoint now, bool impatient,
                                         AddressHandle& handle) {
  for (uint32_t i = key.bucket; i < key.bucket + kBucketPlaces; ++i) {
    uint64_t free = states_[i].load();
    if (IsTentative(free) || CountIn(free) > 0 || !AtRest(i, now)) continue;
    book_.Begin(worker_, i);
    uint64_t tentative = key.fingerprint | kTentative | worker_;
    bool entered = false;
    if (states_[i].compare_exchange_strong(free, tentative)) {
      if (IsAlone(key, i, impatient)) {
        entered = states_[i].compare_exchange_strong(tentative, key.fingerprint | 1);
      } else {
        // Fails where somebody has removed it already.
        states_[i].compare_exchange_strong(tentative, 0);
      }
    }
    book_.End(worker_, i, entered ? 1 : 0);
    handle = i;
    return entered ? Entry::kEntered : Entry::kTryAgain;
  }
  return Entry::kNoPlace;
}

AddressTable::Entry AddressTable::Enter(const Key& key, uint32_t count_max, TimePoint now,
                                        AddressHandle& handle) {
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    handle = Find(key);
    const Entry entry = handle != kNoAddressHandle
                            ? Increment(handle, key, count_max)
                            : Insert(key, now, attempt >= kPatientAttempts, handle);
    if (entry != Entry::kTryAgain) return entry;
  }
  return Entry::kNoPlace;
}

AddressTable::Admission AddressTable::Admit(const PeerAddress& peer, TimePoint now) {
  if (!Counts(peer)) return {};
  const uint32_t count_max = limits_.connections_max > 0 ? limits_.connections_max : kCountMax;
  AddressHandle handle = kNoAddressHandle;
  switch (Enter(KeyOf(peer), count_max, now, handle)) {
    case Entry::kFull:
      return {Verdict::kTooMany, kNoAddressHandle};
    case Entry::kNoPlace:
    case Entry::kTryAgain:
      full_.Add();
      return {};
    case Entry::kEntered:
      break;
  }
  if (connection_.Take(rates_[handle].connection, now) > Duration::zero()) {
    Leave(handle);
    return {Verdict::kTooFast, kNoAddressHandle};
  }
  return {Verdict::kAdmitted, handle};
}

AddressHandle AddressTable::Readmit(const PeerAddress& peer, TimePoint now) {
  if (!Counts(peer)) return kNoAddressHandle;
  AddressHandle handle = kNoAddressHandle;
  if (Enter(KeyOf(peer), kCountMax, now, handle) == Entry::kEntered) return handle;
  full_.Add();
  return kNoAddressHandle;
}

void AddressTable::Leave(AddressHandle handle) {
  if (handle == kNoAddressHandle) return;
  book_.Begin(worker_, handle);
  const uint64_t before = states_[handle].fetch_sub(1);
  DCHECK(CountIn(before) > 0 && !IsTentative(before));
  book_.End(worker_, handle, -1);
}

Duration AddressTable::TakeFor(const PeerAddress& client, TimePoint now, const Gcra& rate,
                               std::atomic<int64_t> Rates::*arrival) {
  if (!rate.limited() || !Counts(client)) return Duration::zero();
  const Key key = KeyOf(client);
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    const AddressHandle found = Find(key);
    if (found == kNoAddressHandle) break;
    const Duration wait = rate.Take(rates_[found].*arrival, now);
    const uint64_t state = states_[found].load();
    if (FingerprintIn(state) == key.fingerprint && !IsTentative(state)) return wait;
    // Taken over before it was counted: that was a stranger's.
    if (wait == Duration::zero()) rate.GiveBack(rates_[found].*arrival);
  }
  // A newcomer is held for as long as it takes to count, so that its place is not taken over
  // before.
  AddressHandle held = kNoAddressHandle;
  if (Enter(key, kCountMax, now, held) != Entry::kEntered) {
    full_.Add();
    return Duration::zero();
  }
  const Duration wait = rate.Take(rates_[held].*arrival, now);
  Leave(held);
  return wait;
}

bool AddressTable::TakeBack(uint32_t worker) {
  for (uint32_t i = 0; i < limits_.table_entries; ++i) {
    uint64_t state = states_[i].load(std::memory_order_relaxed);
    if (IsTentative(state) && CountIn(state) == worker)
      states_[i].compare_exchange_strong(state, 0);
  }
  return book_.TakeBack(worker, [this](uint32_t cell) -> State& { return states_[cell]; });
}

uint32_t AddressTable::CountForTest(const PeerAddress& peer) const {
  const AddressHandle found = Find(KeyOf(peer));
  return found == kNoAddressHandle ? 0 : CountIn(states_[found].load());
}

uint64_t AddressTable::TotalForTest() const {
  uint64_t total = 0;
  for (uint32_t i = 0; i < limits_.table_entries; ++i) total += CountIn(states_[i].load());
  return total;
}

}  // namespace ringmaster
