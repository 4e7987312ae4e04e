#ifndef BENCH_SIDE_BY_SIDE_EXPECTED_ANSWER_H_
#define BENCH_SIDE_BY_SIDE_EXPECTED_ANSWER_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace side_by_side {

// What a server must answer, again and again, for the client to count it.
//
// A client that parses every answer would cost more than the server it measures. Here the first
// answer is parsed with care and the others are compared with it: same length, same status line,
// same body. Only the rest of an HTTP head may differ, because Date moves on.
//
//     |<- leading_bytes ->|   not compared   |<- trailing_bytes ->|
//     HTTP/1.1 200 OK     Date: ...          Hello, World!
class ExpectedAnswer {
 public:
  ExpectedAnswer() = default;
  ExpectedAnswer(std::string bytes, size_t leading_bytes, size_t trailing_bytes);

  // Every byte is compared: echoes.
  static ExpectedAnswer Exact(std::string bytes);

  size_t size() const { return bytes_.size(); }

  // Whether `data`, which begins `offset` bytes into a row of answers, may belong to that row.
  bool Matches(size_t offset, std::string_view data) const;

 private:
  bool MatchesOne(size_t offset, std::string_view data) const;
  bool RangeMatches(size_t begin, size_t end, size_t offset, std::string_view data) const;

  std::string bytes_;
  size_t leading_bytes_ = 0;
  size_t trailing_bytes_ = 0;
};

}  // namespace side_by_side

#endif  // BENCH_SIDE_BY_SIDE_EXPECTED_ANSWER_H_
