#include "protocols/websocket/codec/utf8.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ringmaster::websocket {
namespace {

// Index of the octet at which byte-wise feeding fails, the size when the text is only incomplete,
// -1 when it is valid.
int FirstBadOctet(std::string_view text) {
  Utf8Validator validator;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!validator.Feed(text.substr(i, 1))) return static_cast<int>(i);
  }
  return validator.at_boundary() ? -1 : static_cast<int>(text.size());
}

struct Case {
  std::string text;
  int first_bad;
};

const std::vector<Case>& Cases() {
  using std::string_literals::operator""s;
  static const std::vector<Case> kCases = {
      {"", -1},
      {"Hello", -1},
      {"\0"s, -1},
      {"\x7F", -1},
      {"\xC2\x80", -1},
      {"\xDF\xBF", -1},
      {"\xE0\xA0\x80", -1},
      {"\xED\x9F\xBF", -1},
      {"\xEE\x80\x80", -1},
      {"\xEF\xBF\xBF", -1},
      {"\xF0\x90\x80\x80", -1},
      {"\xF4\x8F\xBF\xBF", -1},
      {"\x80", 0},  // continuation first
      {"\xBF", 0},
      {"a\x80", 1},
      {"\xC0\x80", 0},  // overlong
      {"\xC1\xBF", 0},
      {"\xE0\x9F\xBF", 1},
      {"\xF0\x8F\xBF\xBF", 1},
      {"\xED\xA0\x80", 1},  // surrogates
      {"\xED\xBF\xBF", 1},
      {"\xF4\x90\x80\x80", 1},  // above U+10FFFF
      {"\xF5\x80\x80\x80", 0},
      {"\xFE", 0},
      {"\xFF", 0},
      {"\xC2", 1},  // incomplete
      {"\xE1\x80", 2},
      {"\xF1\x80\x80", 3},
      {"\xC2\x41", 1},  // cut short by another character
      {"\xE1\x80\x41", 2},
      {"\xF1\x80\x80\x41", 3},
      {"\xF1\x80\xC2\x80", 2},
      {"\xC2\x80\x80", 2},
  };
  return kCases;
}

TEST(Utf8, FailsAtTheFirstBadOctet) {
  for (const Case& c : Cases()) EXPECT_EQ(FirstBadOctet(c.text), c.first_bad) << c.text;
}

TEST(Utf8, AgreesWhateverTheTextIsCutInto) {
  for (const Case& c : Cases()) {
    // Padding moves the text over the edges of the word-wise and the vector path.
    for (const size_t before : {0, 1, 7, 8, 61, 62, 63, 64, 65, 130}) {
      for (const size_t after : {0, 1, 70}) {
        const std::string text = std::string(before, 'x') + c.text + std::string(after, 'y');
        const bool valid = FirstBadOctet(text) == -1;
        EXPECT_EQ(IsValidUtf8(text), valid) << text;
        for (size_t cut = 0; cut <= text.size(); ++cut) {
          Utf8Validator validator;
          const bool fed = validator.Feed(std::string_view(text).substr(0, cut)) &&
                           validator.Feed(std::string_view(text).substr(cut));
          ASSERT_EQ(fed && validator.at_boundary(), valid) << text << " cut at " << cut;
        }
      }
    }
  }
}

TEST(Utf8, SeesEveryTwoOctetBeginning) {
  for (int first = 0x80; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const int low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
      const int high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
      const bool lead = first >= 0xC2 && first <= 0xF4;
      const std::string text{static_cast<char>(first), static_cast<char>(second)};
      Utf8Validator validator;
      EXPECT_EQ(validator.Feed(text), lead && second >= low && second <= high)
          << first << " " << second;
    }
  }
}

}  // namespace
}  // namespace ringmaster::websocket
