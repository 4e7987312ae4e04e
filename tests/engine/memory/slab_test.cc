#include "engine/memory/slab.h"

#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace ringmaster {
namespace {

struct Tracked {
  explicit Tracked(int v) : value(v) { ++alive; }
  ~Tracked() { --alive; }
  int value;
  static inline int alive = 0;
};

TEST(Slab, FindsAValueOnlyInItsOwnLife) {
  Slab<Tracked> slab;
  const auto first = slab.Allocate(1);
  ASSERT_EQ(slab.Get({first.slot, first.generation}), first.value);
  slab.Free(first.slot);
  EXPECT_EQ(slab.Get({first.slot, first.generation}), nullptr);
  const auto second = slab.Allocate(2);
  EXPECT_EQ(second.slot, first.slot);
  EXPECT_NE(second.generation, first.generation);
  EXPECT_EQ(slab.Get({first.slot, first.generation}), nullptr);
  EXPECT_EQ(slab.Get({second.slot, second.generation})->value, 2);
}

TEST(Slab, ValuesDoNotMoveWhileItGrows) {
  Slab<Tracked> slab;
  std::vector<Slab<Tracked>::Allocation> all;
  for (int i = 0; i < 5000; ++i) all.push_back(slab.Allocate(i));
  for (int i = 0; i < 5000; ++i) {
    EXPECT_EQ(slab.Get({all[static_cast<size_t>(i)].slot, all[static_cast<size_t>(i)].generation}),
              all[static_cast<size_t>(i)].value);
    EXPECT_EQ(all[static_cast<size_t>(i)].value->value, i);
  }
}

TEST(Slab, GivesMemoryBackWhenItsValuesAreGone) {
  Slab<Tracked> slab;
  const auto kept = slab.Allocate(0);
  const size_t before = slab.mapped_bytes();
  std::vector<uint32_t> slots;
  for (int i = 0; i < 10000; ++i) slots.push_back(slab.Allocate(i).slot);
  EXPECT_GT(slab.mapped_bytes(), 30 * before);
  for (const uint32_t slot : slots) slab.Free(slot);
  // The chunk in use and one spare.
  EXPECT_LE(slab.mapped_bytes(), 2 * before);
  EXPECT_EQ(slab.used_count(), 1u);
  EXPECT_EQ(slab.Get({kept.slot, kept.generation})->value, 0);
  // A slot of a chunk that was given back is nobody's.
  EXPECT_EQ(slab.Get({slots.back(), 1}), nullptr);
}

TEST(Slab, UsesTheLowestChunkFirstSoThatHighOnesEmpty) {
  Slab<Tracked> slab;
  std::vector<uint32_t> slots;
  for (int i = 0; i < 1000; ++i) slots.push_back(slab.Allocate(i).slot);
  slab.Free(slots[10]);
  slab.Free(slots[900]);
  EXPECT_EQ(slab.Allocate(0).slot, slots[10]);
}

TEST(Slab, DestroysWhatIsLeft) {
  {
    Slab<Tracked> slab;
    for (int i = 0; i < 300; ++i) slab.Allocate(i);
    EXPECT_EQ(Tracked::alive, 300);
  }
  EXPECT_EQ(Tracked::alive, 0);
}

TEST(Slab, VisitsEveryValueOnce) {
  Slab<Tracked> slab;
  for (int i = 0; i < 600; ++i) slab.Allocate(i);
  slab.Free(5);
  int count = 0;
  int sum = 0;
  slab.ForEach([&](Tracked& tracked) {
    ++count;
    sum += tracked.value;
  });
  EXPECT_EQ(count, 599);
  EXPECT_EQ(sum, 599 * 600 / 2 - 5);
}

TEST(Slab, VisitsInPiecesWhatIsThereAllTheTime) {
  Slab<Tracked> slab;
  std::vector<uint32_t> slots;
  for (int i = 0; i < 1000; ++i) slots.push_back(slab.Allocate(i).slot);
  // A whole chunk, and one slot in another, are free already.
  for (uint32_t i = 256; i < 512; ++i) slab.Free(slots[i]);
  slab.Free(slots[5]);
  std::vector<int> seen;
  uint32_t next = 0;
  int pieces = 0;
  while (next != Slab<Tracked>::kEnd) {
    const size_t before = seen.size();
    next = slab.ForEachFrom(next, 100, [&](Tracked& tracked) { seen.push_back(tracked.value); });
    EXPECT_LE(seen.size() - before, 100u);
    // Between two pieces one comes and one goes.
    if (++pieces == 3) {
      slab.Free(slots[999]);
      slab.Allocate(-1);
    }
  }
  EXPECT_GE(pieces, 7);
  std::set<int> once(seen.begin(), seen.end());
  EXPECT_EQ(once.size(), seen.size()) << "one was visited twice";
  for (int i = 0; i < 999; ++i) {
    const bool there = i != 5 && (i < 256 || i >= 512);
    if (there) {
      EXPECT_TRUE(once.contains(i)) << i;
    }
  }
  EXPECT_FALSE(once.contains(999));
}

}  // namespace
}  // namespace ringmaster
