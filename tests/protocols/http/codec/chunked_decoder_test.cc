#include "protocols/http/codec/chunked_decoder.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ringmaster::http {
namespace {

using Event = ChunkedDecoder::Event;

struct Outcome {
  Event event = Event::kNeedMore;
  std::string body;
  std::string trailers;
  size_t consumed = 0;  // with kEnd

  bool operator==(const Outcome&) const = default;
};

Outcome Feed(std::string_view bytes, const std::vector<size_t>& ends, const ChunkedLimits& limits) {
  ChunkedDecoder decoder;
  Outcome outcome;
  size_t begin = 0;
  for (size_t end : ends) {
    // A copy of its own, so that a read behind the piece is seen by the sanitizer.
    const std::string piece(bytes.substr(begin, end - begin));
    std::string_view input = piece;
    for (;;) {
      outcome.event = decoder.Next(input, limits);
      if (outcome.event != Event::kData) break;
      outcome.body += decoder.data();
    }
    if (outcome.event == Event::kEnd) {
      outcome.trailers = decoder.trailers();
      outcome.consumed = end - input.size();
    }
    if (outcome.event != Event::kNeedMore) return outcome;
    begin = end;
  }
  return outcome;
}

Outcome Decode(std::string_view bytes, const ChunkedLimits& limits = {}) {
  const Outcome whole = Feed(bytes, {bytes.size()}, limits);
  std::vector<size_t> every;
  for (size_t i = 1; i <= bytes.size(); i++) every.push_back(i);
  EXPECT_EQ(Feed(bytes, every, limits), whole) << "byte by byte: " << bytes;
  for (size_t i = 0; i <= bytes.size(); i++) {
    EXPECT_EQ(Feed(bytes, {i, bytes.size()}, limits), whole) << "cut at " << i << ": " << bytes;
  }
  return whole;
}

TEST(ChunkedDecoder, JoinsChunksAndStopsBehindTheBody) {
  const Outcome outcome = Decode("5\r\nHello\r\n8;a=b\r\n, World!\r\n0\r\n\r\nGET /");
  EXPECT_EQ(outcome.event, Event::kEnd);
  EXPECT_EQ(outcome.body, "Hello, World!");
  EXPECT_EQ(outcome.consumed, 32u);
}

TEST(ChunkedDecoder, ReadsSizesInEveryHexadecimalForm) {
  for (std::string_view size : {"a", "A", "0a", "000000000000000A"}) {
    const Outcome outcome = Decode(std::string(size) + "\r\n0123456789\r\n0\r\n\r\n");
    EXPECT_EQ(outcome.event, Event::kEnd) << size;
    EXPECT_EQ(outcome.body, "0123456789") << size;
  }
}

TEST(ChunkedDecoder, RefusesSizesThatAreNotExact) {
  for (std::string_view line : {"",
                                "+5",
                                "-5",
                                " 5",
                                "5 ",
                                "5\t",
                                "0x5",
                                "5h",
                                "5_0",
                                "5,",
                                "g",
                                ";a",
                                "\"5\"",
                                "5.0",
                                "\t5",
                                "5\v",
                                "00000000000000005",
                                "5\r5",
                                "5\n",
                                "5 5",
                                "5:"}) {
    EXPECT_EQ(Decode(std::string(line) + "\r\nHello\r\n0\r\n\r\n").event, Event::kBadRequest)
        << line;
  }
  EXPECT_EQ(Decode("10000000000000000\r\n").event, Event::kBadRequest);
}

TEST(ChunkedDecoder, RefusesEveryByteButHexDigitsAtTheFront) {
  for (int i = 0; i < 256; i++) {
    const std::string bytes = std::string(1, static_cast<char>(i));
    EXPECT_EQ(Decode(bytes).event, isxdigit(i) ? Event::kNeedMore : Event::kBadRequest) << i;
  }
}

TEST(ChunkedDecoder, RefusesChunkEndsThatAreNotExact) {
  for (std::string_view bytes :
       {"5\r\nHello!\r\n", "5\r\nHello\n", "5\r\nHello\r\r\n", "5\r\nHelloX", "5\nHello\r\n",
        "5\r\nHell\r\n0\r\n\r\n", "0\r\n\n", "0\r\nX\n", "0\n\r\n", "0\r\n\r\r",
        "5\r\nHello0\r\n\r\n", "5\r\nHello\r0"}) {
    EXPECT_EQ(Decode(bytes).event, Event::kBadRequest) << bytes;
  }
}

TEST(ChunkedDecoder, ReadsExtensionsByTheirGrammar) {
  for (std::string_view extension : {";a", ";a=b", " ; a = b", ";a;b", ";a=b;c=\"d\"",
                                     ";a=\"b\\\"c;\"", ";a=\"\"", "\t;a", ";a ;b", ";a=b ;c"}) {
    EXPECT_EQ(Decode("1" + std::string(extension) + "\r\nx\r\n0\r\n\r\n").event, Event::kEnd)
        << extension;
  }
  for (std::string_view extension : {";", "; ", ";;a", ";=b", ";a=", ";a b", ";a=b c", ";a=\"b",
                                     ";a=\"b\"c", ";a\n", ";a=\"\n\"", ";a=b ", ";a ", ";a\x01",
                                     ";a=\"\\\x01\"", ";a==b", ";a=\"b\r\n", " a", ";a\r "}) {
    EXPECT_EQ(Decode("1" + std::string(extension) + "\r\nx\r\n0\r\n\r\n").event, Event::kBadRequest)
        << extension;
  }
}

TEST(ChunkedDecoder, BoundsTheExtensionsOfAllChunksTogether) {
  ChunkedLimits limits;
  limits.extension_bytes_max = 8;
  EXPECT_EQ(Decode("1;abc\r\nx\r\n0\r\n\r\n", limits).event, Event::kEnd);
  EXPECT_EQ(Decode("1;abc\r\nx\r\n1;abcd\r\nx\r\n0\r\n\r\n", limits).event, Event::kBadRequest);
}

TEST(ChunkedDecoder, RefusesABodyAboveItsLimitBeforeTheChunkComes) {
  ChunkedLimits limits;
  limits.body_bytes_max = 20;
  EXPECT_EQ(Decode("14\r\n", limits).event, Event::kNeedMore);
  EXPECT_EQ(Decode("15", limits).event, Event::kContentTooLarge);
  EXPECT_EQ(Decode("ffffffffffffffff", limits).event, Event::kContentTooLarge);
  EXPECT_EQ(Decode("a\r\n0123456789\r\nb", limits).event, Event::kContentTooLarge);
  EXPECT_EQ(Decode("a\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", limits).event, Event::kEnd);
}

TEST(ChunkedDecoder, ReadsTrailers) {
  const Outcome outcome = Decode("1\r\nx\r\n0\r\nDigest: abc \r\nX-Empty:\r\n\r\n");
  EXPECT_EQ(outcome.event, Event::kEnd);
  EXPECT_EQ(outcome.trailers, "Digest: abc \r\nX-Empty:\r\n");
  ChunkedDecoder decoder;
  std::string_view input = "0\r\nA: 1\r\nb:2\r\n\r\n";
  ASSERT_EQ(decoder.Next(input, {}), Event::kEnd);
  EXPECT_EQ(decoder.FindTrailer("a"), "1");
  EXPECT_EQ(decoder.FindTrailer("B"), "2");
  EXPECT_EQ(decoder.FindTrailer("c").data(), nullptr);
}

TEST(ChunkedDecoder, HoldsTrailersToTheRulesOfFields) {
  for (std::string_view trailers :
       {"A : b", " A: b", ": b", "A", "A b: c", "A: b\r\n c", "A: b\nB: c", "A: b\rB", "A: \x01",
        "A: \x7f", "Content-Length: 5", "content-length: 0", "Transfer-Encoding: chunked",
        "HOST: a", "Connection: close", "Trailer: a", "Upgrade: x", "Expect: 100-continue",
        "TE: trailers"}) {
    EXPECT_EQ(Decode("0\r\n" + std::string(trailers) + "\r\n\r\n").event, Event::kBadRequest)
        << trailers;
  }
}

TEST(ChunkedDecoder, BoundsTrailers) {
  ChunkedLimits limits;
  limits.trailer_bytes_max = 12;
  limits.trailer_fields_max = 2;
  EXPECT_EQ(Decode("0\r\nA: b\r\nC: d\r\n\r\n", limits).event, Event::kEnd);
  EXPECT_EQ(Decode("0\r\nA: b\r\nC: de\r\n\r\n", limits).event, Event::kTrailersTooLarge);
  EXPECT_EQ(Decode("0\r\nA:\r\nC:\r\nE:\r\n\r\n", limits).event, Event::kTrailersTooLarge);
}

}  // namespace
}  // namespace ringmaster::http
