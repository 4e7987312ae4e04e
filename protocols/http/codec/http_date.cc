#include "protocols/http/codec/http_date.h"

#include <cstring>

#include "protocols/http/codec/characters.h"

namespace ringmaster::http {
namespace {

constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr std::string_view kShortDays = "SunMonTueWedThuFriSat";
constexpr std::string_view kLongDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                          "Thursday", "Friday", "Saturday"};

struct Civil {
  int year = 0;
  int month = 0;  // 1 to 12
  int day = 0;
};

// Days since 1970-01-01 of the proleptic Gregorian calendar, by 400-year eras that begin in March.
int64_t DaysOf(Civil date) {
  const int64_t year = date.year - (date.month <= 2 ? 1 : 0);
  const int64_t era = year / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year =
      (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
         719468;
}

Civil CivilOf(int64_t days) {
  days += 719468;
  const int64_t era = days / 146097;
  const int64_t day_of_era = days - era * 146097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month = (5 * day_of_year + 2) / 153;
  Civil date;
  date.day = static_cast<int>(day_of_year - (153 * month + 2) / 5 + 1);
  date.month = static_cast<int>(month < 10 ? month + 3 : month - 9);
  date.year = static_cast<int>(year_of_era + era * 400 + (date.month <= 2 ? 1 : 0));
  return date;
}

bool BeginsWithShortDay(std::string_view text) {
  const size_t at = text.size() < 3 ? std::string_view::npos : kShortDays.find(text.substr(0, 3));
  return at != std::string_view::npos && at % 3 == 0;
}

void PutDigits(int value, int digits, char* out) {
  for (int i = digits - 1; i >= 0; i--, value /= 10) out[i] = static_cast<char>('0' + value % 10);
}

// Takes pieces from the front of a text; once one does not fit, every later one fails too.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  void Expect(std::string_view literal) {
    ok_ = ok_ && rest_.substr(0, literal.size()) == literal;
    if (ok_) rest_.remove_prefix(literal.size());
  }
  int Number(size_t digits) {
    ok_ = ok_ && rest_.size() >= digits;
    int value = 0;
    for (size_t i = 0; ok_ && i < digits; i++) {
      ok_ = IsDigit(rest_[i]);
      value = value * 10 + (rest_[i] - '0');
    }
    if (ok_) rest_.remove_prefix(digits);
    return value;
  }
  // asctime pads the day with a blank.
  int PaddedDay() {
    if (ok_ && !rest_.empty() && rest_.front() == ' ') {
      rest_.remove_prefix(1);
      return Number(1);
    }
    return Number(2);
  }
  int Month() {
    for (size_t i = 0; ok_ && i < 12; i++) {
      if (rest_.substr(0, 3) == kMonths.substr(i * 3, 3)) {
        rest_.remove_prefix(3);
        return static_cast<int>(i + 1);
      }
    }
    ok_ = false;
    return 0;
  }
  int64_t TimeOfDay() {
    const int hour = Number(2);
    Expect(":");
    const int minute = Number(2);
    Expect(":");
    const int second = Number(2);
    // 60 is a leap second.
    ok_ = ok_ && hour < 24 && minute < 60 && second <= 60;
    return hour * 3600 + minute * 60 + second;
  }
  bool AtEnd() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

std::optional<int64_t> Combine(Civil date, int64_t time_of_day, bool complete) {
  constexpr int kDays[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (!complete || date.day < 1 || date.day > kDays[date.month - 1]) return std::nullopt;
  return DaysOf(date) * 86400 + time_of_day;
}

}  // namespace

void FormatHttpDate(int64_t seconds, char* out) {
  const int64_t days = seconds / 86400;
  const int second_of_day = static_cast<int>(seconds % 86400);
  const Civil date = CivilOf(days);
  memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", kHttpDateBytes);
  // 1970-01-01 was a Thursday.
  memcpy(out, kShortDays.data() + (days + 4) % 7 * 3, 3);
  PutDigits(date.day, 2, out + 5);
  memcpy(out + 8, kMonths.data() + (date.month - 1) * 3, 3);
  PutDigits(date.year, 4, out + 12);
  PutDigits(second_of_day / 3600, 2, out + 17);
  PutDigits(second_of_day / 60 % 60, 2, out + 20);
  PutDigits(second_of_day % 60, 2, out + 23);
}

std::optional<int64_t> ParseHttpDate(std::string_view text, int64_t now) {
  const size_t comma = text.find(',');
  if (comma == 3 && BeginsWithShortDay(text)) {
    Scanner scanner(text.substr(3));
    Civil date;
    scanner.Expect(", ");
    date.day = scanner.Number(2);
    scanner.Expect(" ");
    date.month = scanner.Month();
    scanner.Expect(" ");
    date.year = scanner.Number(4);
    scanner.Expect(" ");
    const int64_t time = scanner.TimeOfDay();
    scanner.Expect(" GMT");
    return Combine(date, time, scanner.AtEnd());
  }
  if (comma != std::string_view::npos) {
    bool known_day = false;
    for (std::string_view day : kLongDays) known_day = known_day || day == text.substr(0, comma);
    if (!known_day) return std::nullopt;
    Scanner scanner(text.substr(comma));
    Civil date;
    scanner.Expect(", ");
    date.day = scanner.Number(2);
    scanner.Expect("-");
    date.month = scanner.Month();
    scanner.Expect("-");
    const int year = scanner.Number(2);
    scanner.Expect(" ");
    const int64_t time = scanner.TimeOfDay();
    scanner.Expect(" GMT");
    const int this_year = CivilOf(now / 86400).year;
    date.year = this_year / 100 * 100 + year;
    if (date.year > this_year + 50) date.year -= 100;
    return Combine(date, time, scanner.AtEnd());
  }
  if (!BeginsWithShortDay(text)) return std::nullopt;
  Scanner scanner(text.substr(3));
  Civil date;
  scanner.Expect(" ");
  date.month = scanner.Month();
  scanner.Expect(" ");
  date.day = scanner.PaddedDay();
  scanner.Expect(" ");
  const int64_t time = scanner.TimeOfDay();
  scanner.Expect(" ");
  date.year = scanner.Number(4);
  return Combine(date, time, scanner.AtEnd());
}

void DateField::Update(int64_t seconds) {
  seconds_ = seconds;
  memcpy(line_, "Date: ", 6);
  FormatHttpDate(seconds, line_ + 6);
  memcpy(line_ + 6 + kHttpDateBytes, "\r\n", 2);
}

}  // namespace ringmaster::http
