#pragma once

#include <ctime>
#include <optional>
#include <string_view>

namespace ringmaster::http {

// "Sun, 06 Nov 1994 08:49:37 GMT"
inline constexpr size_t kHttpDateBytes = 29;

// Writes exactly kHttpDateBytes bytes, no NUL. `seconds` since 1970, from 0 to the end of the year
// 9999.
void FormatHttpDate(int64_t seconds, char* out);

// Reads the three forms of RFC 9110 section 5.6.7 (IMF-fixdate, RFC 850, asctime). `now` decides
// the century of a two-digit year: one that seems more than 50 years ahead is in the past.
std::optional<int64_t> ParseHttpDate(std::string_view text, int64_t now);

// The whole Date line, formatted once per second.
class DateField {
 public:
  // "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"; valid until the next call.
  std::string_view Line(int64_t seconds) {
    if (seconds != seconds_) [[unlikely]]
      Update(seconds);
    return {line_, kLineBytes};
  }
  static constexpr size_t kLineBytes = 6 + kHttpDateBytes + 2;

 private:
  void Update(int64_t seconds);

  int64_t seconds_ = -1;
  char line_[kLineBytes] = {};
};

}  // namespace ringmaster::http
