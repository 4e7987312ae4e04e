#include "engine/memory/slab.h"

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
  ASSERT_EQ(slab.Get(first.slot, first.generation), first.value);
  slab.Free(first.slot);
  EXPECT_EQ(slab.Get(first.slot, first.generation), nullptr);
  const auto second = slab.Allocate(2);
  EXPECT_EQ(second.slot, first.slot);
  EXPECT_NE(second.generation, first.generation);
  EXPECT_EQ(slab.Get(first.slot, first.generation), nullptr);
  EXPECT_EQ(slab.Get(second.slot, second.generation)->value, 2);
}

TEST(Slab, ValuesDoNotMoveWhileItGrows) {
  Slab<Tracked> slab;
  std::vector<Slab<Tracked>::Allocation> all;
  for (int i = 0; i < 5000; ++i) all.push_back(slab.Allocate(i));
  for (int i = 0; i < 5000; ++i) {
    EXPECT_EQ(slab.Get(all[static_cast<size_t>(i)].slot, all[static_cast<size_t>(i)].generation),
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
  EXPECT_EQ(slab.Get(kept.slot, kept.generation)->value, 0);
  // A slot of a chunk that was given back is nobody's.
  EXPECT_EQ(slab.Get(slots.back(), 1), nullptr);
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

}  // namespace
}  // namespace ringmaster
