#include "protocols/websocket/codec/frame_parser.h"

#include <gtest/gtest.h>

#include <chrono>

#include "tests/protocols/websocket/codec/frames_for_test.h"

namespace ringmaster::websocket {
namespace {

// Whole, cut in two at every byte, and byte by byte: one outcome.
void ExpectEvents(std::string_view input, std::string_view expected, const FrameLimits& limits = {},
                  Role role = Role::kServer) {
  EXPECT_EQ(ParseWhole(input, limits, role), expected);
  EXPECT_EQ(ParseCut(input, {1}, limits, role), expected) << "byte by byte";
  const size_t step = std::max<size_t>(1, input.size() / 300);
  for (size_t cut = 1; cut < input.size(); cut += step) {
    ASSERT_EQ(ParseCut(input, {cut, input.size()}, limits, role), expected) << "cut at " << cut;
  }
}

// The error comes with the last byte of `input` and not before.
void ExpectErrorAtLastByte(std::string_view input, CloseCode code, const FrameLimits& limits = {}) {
  const std::string error = "error:" + std::to_string(static_cast<int>(code)) + ";";
  FrameParser parser;
  for (size_t i = 0; i + 1 < input.size(); ++i) {
    ASSERT_EQ(FeedPiece(parser, input.substr(i, 1), limits).find("error"), std::string::npos)
        << "too early, at byte " << i;
  }
  EXPECT_EQ(FeedPiece(parser, input.substr(input.size() - 1), limits), error);
  EXPECT_TRUE(parser.finished());
}

const char kCloseError[] = "error:1002;";

TEST(FrameParser, ReadsTheExamplesOfTheRfc) {
  ExpectEvents("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "text:Hello;");
  ExpectEvents("\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "ping:Hello;");
  ExpectEvents("\x81\x05Hello", "text:Hello;", {}, Role::kClient);
  ExpectEvents("\x01\x03Hel\x80\x02lo", "text:Hello;", {}, Role::kClient);
}

TEST(FrameParser, ReadsEveryLengthOfEveryLengthForm) {
  for (const size_t bytes : {0,   1,   2,   3,   4,   5,   7,   8,   9,    15,    63,    64,   65,
                             124, 125, 126, 127, 128, 129, 255, 256, 1000, 65535, 65536, 65537}) {
    std::string payload(bytes, '\0');
    for (size_t i = 0; i < bytes; ++i) payload[i] = static_cast<char>('a' + i % 26);
    ExpectEvents(Frame(Opcode::kBinary, payload), "binary:" + payload + ";");
    ExpectEvents(Frame(Opcode::kText, payload), "text:" + payload + ";");
  }
}

TEST(FrameParser, JudgesEveryFirstByte) {
  for (int first = 0; first < 256; ++first) {
    const std::string one = RawFrame(static_cast<uint8_t>(first), "");
    const std::string got = ParseCut(one, {1});
    EXPECT_EQ(ParseWhole(one), got);
    switch (first) {
      case 0x81:
        EXPECT_EQ(got, "text:;");
        break;
      case 0x82:
        EXPECT_EQ(got, "binary:;");
        break;
      case 0x01:
      case 0x02:
        EXPECT_EQ(got, "");
        break;
      case 0x88:
        EXPECT_EQ(got, "close:;");
        break;
      case 0x89:
        EXPECT_EQ(got, "ping:;");
        break;
      case 0x8A:
        EXPECT_EQ(got, "pong:;");
        break;
      default:
        EXPECT_EQ(got, kCloseError) << first;
        ExpectErrorAtLastByte(one.substr(0, 1), CloseCode::kProtocolError);
    }
  }
}

TEST(FrameParser, JudgesEveryFirstByteInsideAFragmentedMessage) {
  for (int first = 0; first < 256; ++first) {
    const std::string begun = Frame(Opcode::kText, "a", false);
    const std::string got = ParseCut(begun + RawFrame(static_cast<uint8_t>(first), ""), {1});
    switch (first) {
      case 0x00:
        EXPECT_EQ(got, "");
        break;
      case 0x80:
        EXPECT_EQ(got, "text:a;");
        break;
      case 0x88:
        EXPECT_EQ(got, "close:;");
        break;
      case 0x89:
        EXPECT_EQ(got, "ping:;");
        break;
      case 0x8A:
        EXPECT_EQ(got, "pong:;");
        break;
      default:
        EXPECT_EQ(got, kCloseError) << first;
    }
  }
}

TEST(FrameParser, RefusesAnUnmaskedFrameFromAClientAtItsSecondByte) {
  for (const char* frame :
       {"\x81\x05", "\x82\x05", "\x89\x05", "\x8A\x05", "\x88\x02", "\x01\x05"}) {
    ExpectErrorAtLastByte(frame, CloseCode::kProtocolError);
    ExpectEvents(std::string(frame) + "more", kCloseError);
  }
}

TEST(FrameParser, RefusesAMaskedFrameFromAServer) {
  ExpectEvents(Frame(Opcode::kText, "Hello"), kCloseError, {}, Role::kClient);
}

TEST(FrameParser, RefusesALengthInMoreBytesThanItNeeds) {
  using std::string_literals::operator""s;
  ExpectErrorAtLastByte("\x82\xFE\x00\x7D"s, CloseCode::kProtocolError);
  ExpectErrorAtLastByte("\x82\xFE\x00\x00"s, CloseCode::kProtocolError);
  // 65535 fits 16 bits, which is certain once six zero bytes have come.
  ExpectErrorAtLastByte("\x82\xFF\x00\x00\x00\x00\x00\x00"s, CloseCode::kProtocolError);
  ExpectEvents("\x82\xFE\x00\x7D"s + std::string(200, 'x'), kCloseError);
}

TEST(FrameParser, RefusesALengthWithItsTopBitAtThatByte) {
  ExpectErrorAtLastByte("\x82\xFF\x80", CloseCode::kProtocolError);
}

TEST(FrameParser, RefusesLongAndFragmentedControlFrames) {
  for (const char opcode : {'\x88', '\x89', '\x8A'}) {
    ExpectErrorAtLastByte(std::string{opcode, '\xFE'}, CloseCode::kProtocolError);
    ExpectErrorAtLastByte(std::string{opcode, '\xFF'}, CloseCode::kProtocolError);
    ExpectErrorAtLastByte(std::string{static_cast<char>(opcode & 0x0F)}, CloseCode::kProtocolError);
  }
  ExpectEvents(Frame(Opcode::kPing, std::string(125, 'p')), "ping:" + std::string(125, 'p') + ";");
}

TEST(FrameParser, GivesControlFramesBetweenFragmentsAtOnce) {
  const std::string input = Frame(Opcode::kText, "fir", false) + Frame(Opcode::kPing, "p1") +
                            Frame(Opcode::kContinuation, "st", false) + Frame(Opcode::kPong, "p2") +
                            Frame(Opcode::kPing, "") + Frame(Opcode::kContinuation, "!") +
                            Frame(Opcode::kBinary, "second");
  ExpectEvents(input, "ping:p1;pong:p2;ping:;text:first!;binary:second;");
}

TEST(FrameParser, PutsEmptyFragmentsTogether) {
  ExpectEvents(Frame(Opcode::kText, "", false) + Frame(Opcode::kContinuation, "", false) +
                   Frame(Opcode::kContinuation, ""),
               "text:;");
  ExpectEvents(Frame(Opcode::kText, "", false) + Frame(Opcode::kPing, "ping") +
                   Frame(Opcode::kContinuation, "end"),
               "ping:ping;text:end;");
  ExpectEvents(Frame(Opcode::kText, "all", false) + Frame(Opcode::kContinuation, ""), "text:all;");
}

TEST(FrameParser, GivesMessagesBeforeABadFrame) {
  ExpectEvents(Frame(Opcode::kText, "one") + Frame(Opcode::kBinary, "two") + "\xF1",
               "text:one;binary:two;error:1002;");
}

TEST(FrameParser, IgnoresWhatComesBehindACloseOrAnError) {
  ExpectEvents(Frame(Opcode::kClose, ClosePayloadBytes(1000, "bye")) + Frame(Opcode::kText, "late"),
               "close:" + ClosePayloadBytes(1000, "bye") + ";");
  ExpectEvents("\xF1" + Frame(Opcode::kText, "late"), kCloseError);
}

TEST(FrameParser, RefusesATooLargeMessageFromItsHeader) {
  using std::string_literals::operator""s;
  const FrameLimits limits{.message_bytes_max = 200, .fragments_max = 10};
  ExpectEvents(Frame(Opcode::kBinary, std::string(200, 'x')),
               "binary:" + std::string(200, 'x') + ";", limits);
  ExpectErrorAtLastByte("\x82\xFE\x00\xC9"s, CloseCode::kMessageTooBig, limits);
  ExpectEvents(Frame(Opcode::kBinary, std::string(201, 'x')), "error:1009;", limits);
  ExpectErrorAtLastByte("\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"s, CloseCode::kMessageTooBig,
                        limits);
  // Fragments count together.
  ExpectErrorAtLastByte(Frame(Opcode::kBinary, std::string(150, 'x'), false) + "\x80\xB3",
                        CloseCode::kMessageTooBig, limits);
}

TEST(FrameParser, RefusesTheFragmentBeyondTheLimit) {
  const FrameLimits limits{.message_bytes_max = 200, .fragments_max = 2};
  const std::string begun =
      Frame(Opcode::kBinary, "a", false) + Frame(Opcode::kContinuation, "b", false);
  ExpectErrorAtLastByte(begun + '\x80', CloseCode::kPolicyViolation, limits);
  // The count is of one message, and control frames are not fragments.
  ExpectEvents(Frame(Opcode::kBinary, "a", false) + Frame(Opcode::kPing, "") +
                   Frame(Opcode::kContinuation, "b") + Frame(Opcode::kText, "c"),
               "ping:;binary:ab;text:c;", limits);
}

TEST(FrameParser, ChecksUtf8AcrossFragmentsAndCuts) {
  const std::string text = "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xF0\x9F\x8E\xAA";
  ExpectEvents(Frame(Opcode::kText, text), "text:" + text + ";");
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    ExpectEvents(Frame(Opcode::kText, text.substr(0, cut), false) + Frame(Opcode::kPing, "\xFF") +
                     Frame(Opcode::kContinuation, text.substr(cut)),
                 "ping:\xFF;text:" + text + ";");
  }
  // Binary is not text.
  ExpectEvents(Frame(Opcode::kBinary, "\xFF\xFE"), "binary:\xFF\xFE;");
}

TEST(FrameParser, FailsAtTheFirstBadOctetOfAText) {
  // The frame promises 9 bytes; the fourth, a surrogate's second octet, cannot be continued.
  const std::string frame = Frame(Opcode::kText, "ab\xED\xA0\x80zzzz");
  ExpectErrorAtLastByte(frame.substr(0, 6 + 4), CloseCode::kInvalidPayload);
  ExpectEvents(frame, "error:1007;");
  // In a later fragment, behind a sequence that the first one began.
  ExpectErrorAtLastByte(Frame(Opcode::kText, "\xF4", false) +
                            Frame(Opcode::kContinuation, "\x90\x80\x80").substr(0, 7),
                        CloseCode::kInvalidPayload);
}

TEST(FrameParser, RefusesATextThatEndsInsideASequence) {
  ExpectEvents(Frame(Opcode::kText, "\xCE\xBA\xE1\xBD"), "error:1007;");
  ExpectEvents(Frame(Opcode::kText, "\xE1\xBD", false) + Frame(Opcode::kContinuation, ""),
               "error:1007;");
  // A bad text does not taint the one before.
  ExpectEvents(Frame(Opcode::kText, "ok") + Frame(Opcode::kText, "\xC3"), "text:ok;error:1007;");
}

TEST(FrameParser, JudgesClosePayloads) {
  using std::string_literals::operator""s;
  ExpectEvents(Frame(Opcode::kClose, ""), "close:;");
  ExpectErrorAtLastByte("\x88\x81", CloseCode::kProtocolError);
  const std::string longest = ClosePayloadBytes(4999, std::string(123, 'r'));
  ExpectEvents(Frame(Opcode::kClose, longest), "close:" + longest + ";");
  ExpectEvents(Frame(Opcode::kClose, ClosePayloadBytes(1005)), kCloseError);
  ExpectEvents(Frame(Opcode::kClose, ClosePayloadBytes(1000, "\xCE\xBA\xE1")), "error:1007;");
  ExpectEvents(Frame(Opcode::kText, "a", false) + Frame(Opcode::kClose, ClosePayloadBytes(1001)),
               "close:" + ClosePayloadBytes(1001) + ";");
}

TEST(FrameParser, SaysWhetherAnythingIsIncomplete) {
  FrameParser parser;
  const FrameLimits limits;
  EXPECT_FALSE(parser.incomplete());
  FeedPiece(parser, "\x81", limits);
  EXPECT_TRUE(parser.incomplete());
  FeedPiece(parser, std::string_view("\x80\0\0\0\0", 5), limits);
  EXPECT_FALSE(parser.incomplete());
  FeedPiece(parser, Frame(Opcode::kText, "a", false), limits);
  EXPECT_TRUE(parser.incomplete());
  FeedPiece(parser, Frame(Opcode::kContinuation, "a") + "\x89", limits);
  EXPECT_TRUE(parser.incomplete());
}

TEST(FrameParser, GivesAWholeMessageWithoutACopy) {
  std::string frame = Frame(Opcode::kText, "in place");
  std::span<char> input(frame);
  FrameParser parser;
  const FrameEvent event = parser.Next(input, {});
  EXPECT_EQ(event.text(), "in place");
  EXPECT_EQ(event.payload.data(), frame.data() + 6);
}

// 65,536 fragments and 16 MiB in small pieces must cost what their bytes cost. The bound is a
// hundred times what it takes; with a quadratic buffer it would be minutes.
TEST(FrameParser, CollectsLargeMessagesInLinearTime) {
  const FrameLimits limits{.message_bytes_max = 16u << 20, .fragments_max = 65536};
  const auto begin = std::chrono::steady_clock::now();
  std::string fragments = Frame(Opcode::kText, std::string(256, 'x'), false);
  for (int i = 1; i < 65536; ++i) {
    fragments += Frame(Opcode::kContinuation, std::string(256, 'x'), i < 65535 ? false : true);
  }
  const std::string expected = "text:" + std::string(16u << 20, 'x') + ";";
  EXPECT_TRUE(ParseCut(fragments, {997, 16384}, limits) == expected);
  EXPECT_TRUE(ParseCut(Frame(Opcode::kText, std::string(16u << 20, 'x')), {1460}, limits) ==
              expected);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

}  // namespace
}  // namespace ringmaster::websocket
