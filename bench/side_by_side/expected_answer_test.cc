#include "bench/side_by_side/expected_answer.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace side_by_side {
namespace {

constexpr std::string_view kStatusLine = "HTTP/1.1 200 OK";
constexpr std::string_view kBody = "Hello, World!";

std::string Response(std::string_view second) {
  return std::string(kStatusLine) + "\r\nDate: 10:00:" + std::string(second) +
         "\r\nContent-Length: 13\r\n\r\n" + std::string(kBody);
}

ExpectedAnswer Expected() {
  return ExpectedAnswer(Response("00"), kStatusLine.size(), kBody.size());
}

// Feeds `data` in pieces of `piece_bytes`, as sockets do.
bool MatchesInPieces(const ExpectedAnswer& expected, std::string_view data, size_t piece_bytes) {
  for (size_t offset = 0; offset < data.size(); offset += piece_bytes) {
    if (!expected.Matches(offset, data.substr(offset, piece_bytes))) return false;
  }
  return true;
}

TEST(ExpectedAnswer, AllowsAnotherDate) {
  const ExpectedAnswer expected = Expected();
  EXPECT_TRUE(expected.Matches(0, Response("59")));
}

TEST(ExpectedAnswer, MatchesARowOfAnswersCutAnywhere) {
  const ExpectedAnswer expected = Expected();
  const std::string row = Response("01") + Response("02") + Response("03");
  for (size_t piece_bytes = 1; piece_bytes <= row.size(); ++piece_bytes) {
    EXPECT_TRUE(MatchesInPieces(expected, row, piece_bytes)) << piece_bytes;
  }
}

TEST(ExpectedAnswer, RefusesEveryWrongByteOfStatusLineAndBodyHoweverItIsCut) {
  const ExpectedAnswer expected = Expected();
  const std::string good = Response("00");
  for (size_t position = 0; position < good.size(); ++position) {
    const bool compared = position < kStatusLine.size() || position >= good.size() - kBody.size();
    std::string row = good + good + good;
    row[good.size() + position] ^= 1;
    for (const size_t piece_bytes : {size_t{1}, size_t{7}, good.size(), row.size()}) {
      EXPECT_EQ(MatchesInPieces(expected, row, piece_bytes), !compared) << position;
    }
  }
}

TEST(ExpectedAnswer, ComparesEveryByteOfAnEcho) {
  const std::string echo = "abcdefgh";
  const ExpectedAnswer expected = ExpectedAnswer::Exact(echo);
  EXPECT_TRUE(expected.Matches(0, echo));
  for (size_t position = 0; position < echo.size(); ++position) {
    std::string wrong = echo;
    wrong[position] ^= 1;
    EXPECT_FALSE(expected.Matches(0, wrong)) << position;
  }
}

}  // namespace
}  // namespace side_by_side
