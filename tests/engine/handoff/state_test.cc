#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "engine/handoff/saved_context.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"

namespace ringmaster {
namespace {

const std::vector<uint64_t> kUnsigned = {
    0, 1, 127, 128, 16383, 16384, UINT32_MAX, uint64_t{1} << 63, UINT64_MAX};
const std::vector<int64_t> kSigned = {
    0, -1, 1, -64, 64, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};

std::string Everything() {
  std::string bytes;
  StateWriter out(bytes);
  for (const uint64_t value : kUnsigned) out.Unsigned(value);
  for (const int64_t value : kSigned) out.Signed(value);
  out.Bool(true);
  out.Bytes("");
  out.Bytes(std::string(300, 'x'));
  out.Part(7, [](StateWriter& part) { part.Bytes("inner"); });
  out.Bool(false);
  return bytes;
}

void ReadEverything(StateReader& in) {
  for (size_t i = 0; i < kUnsigned.size(); ++i) in.Unsigned();
  for (size_t i = 0; i < kSigned.size(); ++i) in.Signed();
  in.Bool();
  in.Bytes();
  in.Bytes();
  StateReader::Part part = in.TakePart();
  part.state.Bytes();
  in.Bool();
}

TEST(StateTest, WhatWasWrittenIsRead) {
  const std::string bytes = Everything();
  StateReader in(bytes);
  for (const uint64_t value : kUnsigned) EXPECT_EQ(in.Unsigned(), value);
  for (const int64_t value : kSigned) EXPECT_EQ(in.Signed(), value);
  EXPECT_TRUE(in.Bool());
  EXPECT_EQ(in.Bytes(), "");
  EXPECT_EQ(in.Bytes(), std::string(300, 'x'));
  StateReader::Part part = in.TakePart();
  EXPECT_EQ(part.version, 7u);
  EXPECT_EQ(part.state.Bytes(), "inner");
  EXPECT_TRUE(part.state.finished());
  EXPECT_FALSE(in.finished());
  EXPECT_FALSE(in.Bool());
  EXPECT_TRUE(in.finished());
}

TEST(StateTest, WhateverIsCutOffIsNoticed) {
  const std::string bytes = Everything();
  for (size_t count = 0; count < bytes.size(); ++count) {
    StateReader in(std::string_view(bytes).substr(0, count));
    ReadEverything(in);
    EXPECT_FALSE(in.ok()) << count << " of " << bytes.size() << " bytes";
  }
}

TEST(StateTest, AfterAFailureEverythingIsEmpty) {
  StateReader in(std::string_view("\x05zz", 3));
  EXPECT_EQ(in.Bytes(), "");
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.Unsigned(), 0u);
  EXPECT_FALSE(in.TakePart().state.ok());
  EXPECT_FALSE(in.finished());
}

TEST(StateTest, ANumberOfMoreThan64BitsIsRefused) {
  StateReader too_large("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
  too_large.Unsigned();
  EXPECT_FALSE(too_large.ok());
  StateReader endless(std::string_view("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11));
  endless.Unsigned();
  EXPECT_FALSE(endless.ok());
}

TEST(StateTest, ABoundIsKept) {
  StateReader in("\x02\x02");
  EXPECT_EQ(in.UnsignedUpTo(2), 2u);
  EXPECT_EQ(in.UnsignedUpTo(1), 0u);
  EXPECT_FALSE(in.ok());
}

struct OldPlayer {
  std::string name;
  static constexpr uint32_t kStateVersion = 1;
  void Save(StateWriter& out) const { out.Bytes(name); }
  bool Load(StateReader& in, uint32_t) {
    name = in.Bytes();
    return true;
  }
};

struct NewPlayer {
  std::string name;
  uint64_t score = 10;
  static constexpr uint32_t kStateVersion = 2;
  void Save(StateWriter& out) const {
    out.Bytes(name);
    out.Unsigned(score);
  }
  bool Load(StateReader& in, uint32_t version) {
    if (version > kStateVersion) return false;
    name = in.Bytes();
    if (version >= 2) score = in.Unsigned();
    return true;
  }
};

struct Unsaved {
  std::string name;
};
struct Nothing {};

static_assert(kContextMoves<OldPlayer> && kContextMoves<Nothing> && kContextMoves<void>);
static_assert(!kContextMoves<Unsaved>);

TEST(SavedContextTest, NewCodeReadsOldState) {
  std::string bytes;
  StateWriter out(bytes);
  SaveContext(OldPlayer{"ann"}, out);
  out.Bytes("behind");
  StateReader in(bytes);
  NewPlayer loaded;
  EXPECT_TRUE(LoadContext(loaded, in));
  EXPECT_EQ(loaded.name, "ann");
  EXPECT_EQ(loaded.score, 10u);
  EXPECT_EQ(in.Bytes(), "behind");
}

TEST(SavedContextTest, OldCodeLeavesOutWhatNewCodeAdded) {
  std::string bytes;
  StateWriter out(bytes);
  SaveContext(NewPlayer{"bob", 5}, out);
  out.Bytes("behind");
  StateReader in(bytes);
  OldPlayer loaded;
  EXPECT_TRUE(LoadContext(loaded, in));
  EXPECT_EQ(loaded.name, "bob");
  EXPECT_EQ(in.Bytes(), "behind");
}

TEST(SavedContextTest, StateThatEndsTooEarlyIsRefused) {
  std::string bytes;
  StateWriter out(bytes);
  out.Part(2, [](StateWriter& part) { part.Bytes("no score"); });
  StateReader in(bytes);
  NewPlayer loaded;
  EXPECT_FALSE(LoadContext(loaded, in));
}

}  // namespace
}  // namespace ringmaster
