#include "engine/config/units.h"

#include <gtest/gtest.h>

#include "engine/config/spelling.h"

namespace ringmaster::config {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(Duration, IsAWholeNumberAndAUnit) {
  EXPECT_EQ(ParseDuration("0"), Duration::zero());
  EXPECT_EQ(ParseDuration("0s"), Duration::zero());
  EXPECT_EQ(ParseDuration("20us"), microseconds(20));
  EXPECT_EQ(ParseDuration("250ms"), milliseconds(250));
  EXPECT_EQ(ParseDuration("75s"), seconds(75));
  EXPECT_EQ(ParseDuration("1m"), minutes(1));
  EXPECT_EQ(ParseDuration("2h"), hours(2));
  EXPECT_EQ(ParseDuration("8784h"), hours(8784));
}

TEST(Duration, RefusesEverythingElse) {
  for (std::string_view text :
       {"", "s", "75", "-1s", "+1s", "1.5s", "1 s", " 1s", "1s ", "1S", "1sec", "1d", "0x1s",
        "1m30s", "8785h", "99999999999999999999s", "18446744073709551615h"}) {
    EXPECT_EQ(ParseDuration(text), std::nullopt) << text;
  }
}

TEST(Duration, IsFormattedAsTheLargestWholeUnit) {
  for (std::string_view text : {"0s", "20us", "250ms", "75s", "90m", "2h"}) {
    EXPECT_EQ(FormatDuration(*ParseDuration(text)), text);
  }
  EXPECT_EQ(FormatDuration(seconds(60)), "1m");
}

TEST(ByteSize, IsAWholeNumberWithOrWithoutABinaryUnit) {
  EXPECT_EQ(ParseByteSize("0"), 0u);
  EXPECT_EQ(ParseByteSize("512"), 512u);
  EXPECT_EQ(ParseByteSize("512B"), 512u);
  EXPECT_EQ(ParseByteSize("16KiB"), 16384u);
  EXPECT_EQ(ParseByteSize("1MiB"), 1048576u);
  EXPECT_EQ(ParseByteSize("2GiB"), 2147483648u);
}

TEST(ByteSize, RefusesEverythingElse) {
  for (std::string_view text : {"", "KiB", "-1", "1.5KiB", "1 KiB", "1KB", "1k", "1K", "1M", "1kib",
                                "8589934592GiB", "99999999999999999999"}) {
    EXPECT_EQ(ParseByteSize(text), std::nullopt) << text;
  }
}

TEST(ByteSize, IsFormattedAsTheLargestWholeUnit) {
  for (std::string_view text : {"0B", "100B", "16KiB", "3MiB", "4GiB"}) {
    EXPECT_EQ(FormatByteSize(*ParseByteSize(text)), text);
  }
  EXPECT_EQ(FormatByteSize(1536), "1536B");
}

TEST(Rate, ReadsCountPeriodAndBurst) {
  EXPECT_EQ(ParseRate("0"), RateLimit());
  EXPECT_EQ(ParseRate("100/s"), (RateLimit{100, 0}));
  EXPECT_EQ(ParseRate("30/m"), (RateLimit{0.5, 0}));
  EXPECT_EQ(ParseRate("1/h burst 5"), (RateLimit{1.0 / 3600, 5}));
  EXPECT_EQ(ParseRate("100/s burst 200"), (RateLimit{100, 200}));
}

TEST(Rate, RefusesEverythingElse) {
  for (std::string_view text :
       {"", "100", "/s", "0/s", "-1/s", "1.5/s", "100/ms", "100 /s", "100/s ", "100/s burst",
        "100/s burst 0", "100/s burst x", "100/s  burst 1", "1000000001/s"}) {
    EXPECT_EQ(ParseRate(text), std::nullopt) << text;
  }
}

TEST(Rate, IsFormattedAsItIsRead) {
  for (std::string_view text : {"0", "100/s", "30/m", "7/h", "100/s burst 200", "7/h burst 1"}) {
    EXPECT_EQ(FormatRate(*ParseRate(text)), text);
  }
}

TEST(NearestWord, FindsASlipAndNothingFarther) {
  constexpr std::string_view kWords[] = {"listeners", "logging", "limits", "read", "name"};
  EXPECT_EQ(NearestWord("listner", kWords), "listeners");
  EXPECT_EQ(NearestWord("lgoging", kWords), "logging");
  EXPECT_EQ(NearestWord("limit", kWords), "limits");
  EXPECT_EQ(NearestWord("raed", kWords), "read");
  EXPECT_EQ(NearestWord("read_timeout", kWords), "read");
  EXPECT_EQ(NearestWord("zebra", kWords), "");
  EXPECT_EQ(NearestWord("", kWords), "");
  EXPECT_EQ(NearestWord(std::string(100000, 'x'), kWords), "");
}

TEST(ListWords, ReadsAsASentence) {
  constexpr std::string_view kWords[] = {"a", "b", "c"};
  EXPECT_EQ(ListWords(kWords), "\"a\", \"b\" or \"c\"");
  EXPECT_EQ(ListWords(std::span(kWords).first(1)), "\"a\"");
}

}  // namespace
}  // namespace ringmaster::config
