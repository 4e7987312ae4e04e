#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "protocols/websocket/codec/frame_parser.h"
#include "tests/protocols/websocket/codec/frames_for_test.h"

// FrameParser::Progress and Resume: a parser goes on where another one stood.

namespace ringmaster::websocket {
namespace {

// The outcome of `input` when a second parser takes over at `cut`.
std::string ParseMoved(std::string_view input, size_t cut, const FrameLimits& limits = {},
                       Role role = Role::kServer) {
  FrameParser first(role);
  std::string events = FeedPiece(first, input.substr(0, cut), limits);
  if (first.finished()) return events;
  FrameParser second(role);
  if (first.incomplete() && !second.Resume(first.Progress(), limits)) return "not resumed";
  EXPECT_EQ(first.incomplete(), second.incomplete());
  return events + FeedPiece(second, input.substr(cut), limits);
}

void ExpectMovedAtEveryCut(std::string_view input, const FrameLimits& limits = {},
                           Role role = Role::kServer) {
  const std::string expected = ParseWhole(input, limits, role);
  for (size_t cut = 0; cut <= input.size(); ++cut) {
    ASSERT_EQ(ParseMoved(input, cut, limits, role), expected) << "cut at " << cut;
  }
}

// Two, three and four octets a character, so that every cut of a sequence comes up.
const char kText[] = "a\u00e4\u20ac\U0001F600z";

std::string Fragmented() {
  std::string input;
  const std::string text = kText;
  for (size_t i = 0; i < text.size(); ++i) {
    const Opcode opcode = i == 0 ? Opcode::kText : Opcode::kContinuation;
    input += RawFrame(static_cast<uint8_t>(opcode), text.substr(i, 1));
    if (i % 3 == 0) input += Frame(Opcode::kPing, "between " + std::to_string(i));
    if (i % 4 == 0) input += RawFrame(0x00, "");
  }
  return input + RawFrame(0x80, "");
}

TEST(FrameProgress, ResumesAtEveryCut) {
  ExpectMovedAtEveryCut(Fragmented());
  ExpectMovedAtEveryCut(Frame(Opcode::kText, kText) +
                        Frame(Opcode::kBinary, std::string(200, 'b')) + Frame(Opcode::kPong, "") +
                        Frame(Opcode::kPing, std::string(125, 'p')) +
                        Frame(Opcode::kClose, ClosePayloadBytes(1000, kText)));
  ExpectMovedAtEveryCut("\x01\x03Hel\x89\x02pi\x80\x02lo\x81\x7e\x01\x00" + std::string(256, 'x'),
                        {}, Role::kClient);
}

TEST(FrameProgress, ResumesInsideEveryLengthForm) {
  for (const size_t bytes : {125, 126, 65535, 65536, 70000}) {
    const std::string input = Frame(Opcode::kBinary, std::string(bytes, 'l'));
    const std::string expected = ParseWhole(input);
    for (size_t cut = 0; cut < 20; ++cut) ASSERT_EQ(ParseMoved(input, cut), expected) << cut;
    EXPECT_EQ(ParseMoved(input, input.size() - 1), expected);
  }
}

TEST(FrameProgress, JudgesWhatFollowsAsBefore) {
  const std::string half_a_character = RawFrame(0x01, "\xe2\x82");
  for (const std::string& input :
       {half_a_character + RawFrame(0x80, "x"), half_a_character + RawFrame(0x80, ""),
        Fragmented() + Frame(Opcode::kContinuation, "no message"),
        RawFrame(0x01, "a") + Frame(Opcode::kText, "another"),
        RawFrame(0x02, std::string(90, 'x')) + RawFrame(0x00, std::string(20, 'x')),
        RawFrame(0x02, "x") + RawFrame(0x00, "") + RawFrame(0x00, "") + RawFrame(0x00, ""),
        std::string("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", 10), std::string("\x82\xff\x80", 3),
        std::string("\x82\xfe\x00\x7d", 4), std::string("\x88\x81", 2) + "1234x"}) {
    ExpectMovedAtEveryCut(input, {.message_bytes_max = 100, .fragments_max = 3});
  }
}

TEST(FrameProgress, LeavesOutWhatWasDelivered) {
  // The events point into the parser that put them together: a session that stops there, and moves,
  // has dealt with them.
  const FrameLimits limits;
  FrameParser first;
  EXPECT_EQ(FeedPiece(first, RawFrame(0x01, "be"), limits), "");
  std::string ping = Frame(Opcode::kPing, "ping");
  EXPECT_EQ(FeedPiece(first, ping.substr(0, 8), limits), "");
  std::vector<char> rest(ping.begin() + 8, ping.end());
  std::span<char> input(rest);
  EXPECT_EQ(Describe(first.Next(input, limits)), "ping:ping;");
  FrameParser second;
  ASSERT_TRUE(second.Resume(first.Progress(), limits));
  EXPECT_EQ(FeedPiece(second, ping + Frame(Opcode::kContinuation, "gin"), limits),
            "ping:ping;text:begin;");
}

TEST(FrameProgress, KeepsTheLimitsOfWhoResumes) {
  FrameParser first;
  FeedPiece(first, RawFrame(0x02, "12345") + RawFrame(0x00, "678").substr(0, 7), {});
  const auto resumes = [&](const FrameLimits& limits) {
    FrameParser second;
    return second.Resume(first.Progress(), limits);
  };
  EXPECT_TRUE(resumes({.message_bytes_max = 8, .fragments_max = 2}));
  EXPECT_FALSE(resumes({.message_bytes_max = 7, .fragments_max = 2}));
  EXPECT_FALSE(resumes({.message_bytes_max = 4, .fragments_max = 2}));
  EXPECT_FALSE(resumes({.message_bytes_max = 8, .fragments_max = 1}));
  EXPECT_FALSE(resumes({.message_bytes_max = 0, .fragments_max = 0}));
}

TEST(FrameProgress, RefusesWhatNoParserCanHold) {
  const FrameProgress fragment{.message_opcode = 1, .fragment_count = 1, .message = "abc"};
  const FrameProgress payload{.stage = 4,
                              .first_byte = 0x80,
                              .message_opcode = 2,
                              .fragment_count = 2,
                              .frame_bytes_left = 5,
                              .message = "abc"};
  const FrameProgress control{
      .stage = 4, .first_byte = 0x89, .frame_bytes_left = 5, .control = "abc"};
  const FrameProgress length{
      .stage = 2, .stage_bytes = 8, .first_byte = 0x82, .message_opcode = 2, .fragment_count = 1};
  const FrameProgress key{.stage = 3,
                          .stage_bytes = 2,
                          .first_byte = 0x82,
                          .message_opcode = 2,
                          .fragment_count = 1,
                          .frame_bytes_left = 9};
  const auto resumes = [](const FrameProgress& from, auto&& change, Role role = Role::kServer) {
    FrameProgress progress = from;
    change(progress);
    FrameParser parser(role);
    return parser.Resume(progress, {.message_bytes_max = 1000, .fragments_max = 10});
  };
  for (const FrameProgress& good : {fragment, payload, control, length, key}) {
    EXPECT_TRUE(resumes(good, [](FrameProgress&) {}));
    EXPECT_FALSE(resumes(good, [](FrameProgress& p) { p.stage = 5; }));
    EXPECT_FALSE(resumes(good, [](FrameProgress& p) { p.stage = 255; }));
    EXPECT_FALSE(resumes(good, [](FrameProgress& p) { p.message_opcode = 3; }));
    EXPECT_FALSE(resumes(good, [](FrameProgress& p) { p.control = std::string_view("aa", 2); }) &&
                 good.stage != 4);
  }
  EXPECT_FALSE(resumes({}, [](FrameProgress&) {})) << "nothing is incomplete";
  EXPECT_FALSE(resumes(fragment, [](FrameProgress& p) { p.message_opcode = 0; }));
  EXPECT_FALSE(resumes(fragment, [](FrameProgress& p) { p.fragment_count = 0; }));
  EXPECT_FALSE(resumes(fragment, [](FrameProgress& p) { p.message = "\xff"; }));
  EXPECT_FALSE(resumes(payload, [](FrameProgress& p) { p.first_byte = 0x82; })) << "second frame";
  EXPECT_FALSE(resumes(payload, [](FrameProgress& p) { p.first_byte = 0xC0; })) << "reserved bit";
  EXPECT_FALSE(resumes(payload, [](FrameProgress& p) { p.frame_bytes_left = 0; }));
  EXPECT_FALSE(resumes(payload, [](FrameProgress& p) { p.frame_bytes_left = 998; }));
  EXPECT_FALSE(resumes(payload, [](FrameProgress& p) { p.frame_bytes_left = UINT64_MAX; }));
  EXPECT_FALSE(resumes(control, [](FrameProgress& p) { p.first_byte = 0x09; })) << "fragmented";
  EXPECT_FALSE(resumes(control, [](FrameProgress& p) { p.first_byte = 0x8B; }));
  EXPECT_FALSE(resumes(control, [](FrameProgress& p) { p.frame_bytes_left = 123; }));
  EXPECT_FALSE(resumes(control, [](FrameProgress& p) { p.frame_bytes_left = 0; }));
  const std::string long_control(126, 'c');
  EXPECT_FALSE(resumes(control, [&](FrameProgress& p) { p.control = long_control; }));
  EXPECT_FALSE(resumes(control, [](FrameProgress& p) {
    p.first_byte = 0x88;
    p.control = {};
    p.frame_bytes_left = 1;
  }));
  EXPECT_FALSE(resumes(length, [](FrameProgress& p) { p.stage_bytes = 0; }));
  EXPECT_FALSE(resumes(length, [](FrameProgress& p) { p.stage_bytes = 9; }));
  EXPECT_FALSE(resumes(length, [](FrameProgress& p) { p.frame_bytes_left = 1; }));
  EXPECT_FALSE(resumes(length, [](FrameProgress& p) { p.first_byte = 0x89; })) << "control";
  EXPECT_FALSE(resumes(length, [](FrameProgress& p) {
    p.stage_bytes = 1;
    p.frame_bytes_left = uint64_t{1} << 55;
  }));
  EXPECT_FALSE(resumes(length, [](FrameProgress& p) { p.message = "before its first frame"; }));
  EXPECT_FALSE(resumes(key, [](FrameProgress& p) { p.stage_bytes = 5; }));
  EXPECT_FALSE(resumes(
      key, [](FrameProgress&) {}, Role::kClient))
      << "has no key";
}

// Whatever is taken is worked with: within the limits, and to an end.
TEST(FrameProgress, WhateverIsResumedKeepsTheLimits) {
  std::mt19937 random(1);
  const FrameLimits limits{.message_bytes_max = 300, .fragments_max = 4};
  const std::string text(300, 't');
  int resumed = 0;
  for (int round = 0; round < 200'000; ++round) {
    const uint8_t bytes[] = {0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a, 0x0f, 0xf0};
    FrameProgress progress;
    progress.stage = static_cast<uint8_t>(random() % 6);
    progress.stage_bytes = static_cast<uint8_t>(random() % 9);
    progress.first_byte = bytes[random() % std::size(bytes)];
    progress.message_opcode = static_cast<uint8_t>(random() % 3);
    progress.fragment_count = random() % 6;
    progress.frame_bytes_left = random() % 4 == 0 ? uint64_t{1} << random() % 64 : random() % 130;
    progress.masking_key = random();
    if (random() % 2 == 0) progress.message = std::string_view(text).substr(0, random() % 301);
    if (random() % 4 == 0) progress.control = std::string_view(text).substr(0, random() % 127);
    FrameParser parser;
    if (!parser.Resume(progress, limits)) continue;
    ++resumed;
    ASSERT_LE(parser.held_bytes(), 1000u);
    std::string input;
    for (int i = 0; i < 3; ++i) input += RawFrame(bytes[random() % std::size(bytes)], "more");
    FeedPiece(parser, std::string(random() % 20, '\x80') + input, limits);
    ASSERT_LE(parser.held_bytes(), 1000u);
  }
  EXPECT_GT(resumed, 1000);
}

}  // namespace
}  // namespace ringmaster::websocket
