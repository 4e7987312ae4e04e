#include "protocols/proxy/codec/proxy_header.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "tests/protocols/proxy/codec/headers_for_test.h"

namespace ringmaster::proxy {
namespace {

using Result = ProxyHeaderResult;
using Family = ProxyHeader::Family;

struct Outcome {
  Result result = Result::kNeedMore;
  ProxyHeader header;
  bool operator==(const Outcome&) const = default;
};

// In memory that ends with the bytes.
Outcome ParseOnce(std::string_view bytes) {
  const auto copy = std::make_unique<char[]>(bytes.size());
  bytes.copy(copy.get(), bytes.size());
  Outcome outcome;
  outcome.result = ParseProxyHeader({copy.get(), bytes.size()}, outcome.header);
  if (outcome.result != Result::kDone) outcome.header = ProxyHeader();
  return outcome;
}

// After checking that every front of `bytes` is incomplete or comes to the same.
Outcome Parse(std::string_view bytes) {
  const Outcome whole = ParseOnce(bytes);
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    const Outcome front = ParseOnce(bytes.substr(0, cut));
    if (front.result != Result::kNeedMore) {
      EXPECT_EQ(front.result, whole.result) << "cut at " << cut;
      EXPECT_EQ(front.header, whole.header) << "cut at " << cut;
    }
  }
  return whole;
}

std::string Describe(const ProxyHeader& header) {
  const auto endpoint = [&](const ProxyEndpoint& of) {
    char text[INET6_ADDRSTRLEN] = {};
    inet_ntop(header.family == Family::kIpv4 ? AF_INET : AF_INET6, of.bytes, text, sizeof(text));
    return std::string(text) + "," + std::to_string(of.port);
  };
  const std::string version = "v" + std::to_string(header.version) + " ";
  switch (header.family) {
    case Family::kNone:
      EXPECT_EQ(header.source, ProxyEndpoint());
      return version + "none";
    case Family::kUnix:
      EXPECT_EQ(header.source, ProxyEndpoint());
      return version + "unix";
    default:
      return version + endpoint(header.source) + " " + endpoint(header.destination);
  }
}

struct Good {
  std::string header;
  std::string_view meaning;
};

void ExpectGood(const Good& each) {
  // What follows is the client's.
  for (const std::string_view behind : {"", "GET / HTTP/1.1\r\n\r\n", "\r\n", "PROXY "}) {
    const Outcome outcome = Parse(each.header + std::string(behind));
    ASSERT_EQ(outcome.result, Result::kDone) << each.header << each.meaning;
    EXPECT_EQ(outcome.header.header_bytes, each.header.size());
    EXPECT_EQ(Describe(outcome.header), each.meaning);
  }
  for (size_t cut = 0; cut < each.header.size(); ++cut) {
    EXPECT_EQ(ParseOnce(std::string_view(each.header).substr(0, cut)).result, Result::kNeedMore)
        << each.meaning << " cut at " << cut;
  }
}

TEST(ProxyHeaderV1, NamesTheClient) {
  const Good kCases[] = {
      {"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", "v1 192.0.2.1,56324 198.51.100.7,443"},
      {"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "v1 0.0.0.0,0 255.255.255.255,65535"},
      {"PROXY TCP6 2001:db8::1 ::1 56324 443\r\n", "v1 2001:db8::1,56324 ::1,443"},
      {"PROXY TCP6 ::ffff:192.0.2.1 :: 1 2\r\n", "v1 ::ffff:192.0.2.1,1 ::,2"},
      {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
       "65535 65535\r\n",
       "v1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,65535 "
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,65535"},
      {"PROXY UNKNOWN\r\n", "v1 none"},
      // The longest line there may be: 107 bytes.
      {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
       "v1 none"},
      {"PROXY UNKNOWN anything, \n at all\r\n", "v1 none"},
  };
  EXPECT_EQ(kCases[6].header.size(), kHeaderV1BytesMax);
  for (const Good& each : kCases) ExpectGood(each);
}

TEST(ProxyHeaderV1, RefusesWhatIsNotAsSpecified) {
  constexpr std::string_view kLines[] = {
      "PROXY ",
      "PROXY  TCP4 192.0.2.1 198.51.100.7 1 2",
      "PROXY tcp4 192.0.2.1 198.51.100.7 1 2",
      "PROXY TCP5 192.0.2.1 198.51.100.7 1 2",
      "PROXY UDP4 192.0.2.1 198.51.100.7 1 2",
      "PROXY UNKNOWNX",
      "PROXY TCP4",
      "PROXY TCP4 192.0.2.1",
      "PROXY TCP4 192.0.2.1 198.51.100.7",
      "PROXY TCP4 192.0.2.1 198.51.100.7 1",
      "PROXY TCP4 192.0.2.1 198.51.100.7 1 ",
      "PROXY TCP4 192.0.2.1 198.51.100.7 1 2 ",
      "PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3",
      "PROXY TCP4  192.0.2.1 198.51.100.7 1 2",
      "PROXY TCP4 192.0.2.1  198.51.100.7 1 2",
      "PROXY TCP4\t192.0.2.1 198.51.100.7 1 2",
      "PROXY TCP4 192.0.2.256 198.51.100.7 1 2",
      "PROXY TCP4 192.0.02.1 198.51.100.7 1 2",
      "PROXY TCP4 192.0.2 198.51.100.7 1 2",
      "PROXY TCP4 2001:db8::1 198.51.100.7 1 2",
      "PROXY TCP4 192.0.2.1 2001:db8::1 1 2",
      "PROXY TCP6 192.0.2.1 ::1 1 2",
      "PROXY TCP6 [::1] ::1 1 2",
      "PROXY TCP6 fe80::1%lo ::1 1 2",
      "PROXY TCP4 192.0.2.1 198.51.100.7 01 2",
      "PROXY TCP4 192.0.2.1 198.51.100.7 1 65536",
      "PROXY TCP4 192.0.2.1 198.51.100.7 -1 2",
      "PROXY TCP4 192.0.2.1 198.51.100.7 1 100000",
      "PROXY TCP4 192.0.2.1 198.51.100.7 1 2\n",
      std::string_view("PROXY TCP4 192.0.2.1\0 198.51.100.7 1 2", 38),
  };
  for (const std::string_view line : kLines) {
    EXPECT_EQ(Parse(std::string(line) + "\r\n").result, Result::kBadLine) << line;
  }
}

TEST(ProxyHeaderV1, RefusesALineThatDoesNotEnd) {
  const std::string line = "PROXY UNKNOWN " + std::string(200, 'x');
  EXPECT_EQ(Parse(line.substr(0, kHeaderV1BytesMax - 1)).result, Result::kNeedMore);
  EXPECT_EQ(Parse(line.substr(0, kHeaderV1BytesMax)).result, Result::kTooLong);
  // Its end lies one byte too far.
  EXPECT_EQ(Parse(line.substr(0, kHeaderV1BytesMax - 1) + "\r\n").result, Result::kTooLong);
  EXPECT_EQ(Parse(line.substr(0, kHeaderV1BytesMax - 2) + "\r\n").result, Result::kDone);
}

TEST(ProxyHeader, RefusesWhatBeginsWithNone) {
  for (const std::string_view bytes :
       {"GET / HTTP/1.1\r\n\r\n", "PROXZ", "proxy TCP4 ", "\r\n\r\nGET", "\r\r", "\x16\x03\x01"}) {
    EXPECT_EQ(Parse(bytes).result, Result::kNoHeader) << bytes;
  }
  EXPECT_EQ(ParseOnce("").result, Result::kNeedMore);
  EXPECT_EQ(ParseOnce("P").result, Result::kNeedMore);
  EXPECT_EQ(ParseOnce("G").result, Result::kNoHeader);
}

TEST(ProxyHeaderV2, NamesTheClient) {
  const std::string unix_block(216, 'u');
  const Good kCases[] = {
      {HeaderV2(0x21, 0x11, kIpv4Block), "v2 192.0.2.1,56324 198.51.100.7,443"},
      {HeaderV2(0x21, 0x21, kIpv6Block), "v2 2001:db8::1,56324 2001:db8::2,443"},
      {HeaderV2(0x21, 0x31, unix_block), "v2 unix"},
      {HeaderV2(0x21, 0x00, ""), "v2 none"},
      {HeaderV2(0x21, 0x00, "whatever"), "v2 none"},
      // LOCAL: the block is discarded, its family ignored.
      {HeaderV2(0x20, 0x00, ""), "v2 none"},
      {HeaderV2(0x20, 0x11, kIpv4Block), "v2 none"},
      {HeaderV2(0x20, 0xFF, "whatever"), "v2 none"},
      // Extensions are skipped: ALPN, none, a unique id, one that is not assigned.
      {HeaderV2(0x21, 0x11, kIpv4Block + Tlv(0x01, "h2") + Tlv(0x04, "")),
       "v2 192.0.2.1,56324 198.51.100.7,443"},
      {HeaderV2(0x21, 0x31, unix_block + Tlv(0x05, std::string(128, 'i')) + Tlv(0xE7, "x")),
       "v2 unix"},
      {WithChecksum(HeaderV2(
           0x21, 0x21, kIpv6Block + Tlv(0x02, "host.example") + Tlv(0x03, std::string(4, '\0')))),
       "v2 2001:db8::1,56324 2001:db8::2,443"},
  };
  for (const Good& each : kCases) ExpectGood(each);
}

struct Bad {
  std::string header;
  Result result;
};

TEST(ProxyHeaderV2, RefusesWhatIsNotAsSpecified) {
  const std::string checksum = Tlv(0x03, std::string(4, '\0'));
  std::string damaged = WithChecksum(HeaderV2(0x21, 0x11, kIpv4Block + checksum));
  damaged[17] ^= 1;
  const Bad kCases[] = {
      // Version and command.
      {HeaderV2(0x11, 0x11, kIpv4Block), Result::kBadCommand},
      {HeaderV2(0x31, 0x11, kIpv4Block), Result::kBadCommand},
      {HeaderV2(0x22, 0x11, kIpv4Block), Result::kBadCommand},
      {HeaderV2(0x2F, 0x11, kIpv4Block), Result::kBadCommand},
      {HeaderV2(0x01, 0x11, kIpv4Block), Result::kBadCommand},
      // Datagrams, families and transports that do not exist.
      {HeaderV2(0x21, 0x12, kIpv4Block), Result::kBadFamily},
      {HeaderV2(0x21, 0x22, kIpv6Block), Result::kBadFamily},
      {HeaderV2(0x21, 0x32, std::string(216, 'u')), Result::kBadFamily},
      {HeaderV2(0x21, 0x01, ""), Result::kBadFamily},
      {HeaderV2(0x21, 0x10, kIpv4Block), Result::kBadFamily},
      {HeaderV2(0x21, 0x13, kIpv4Block), Result::kBadFamily},
      {HeaderV2(0x21, 0x41, kIpv4Block), Result::kBadFamily},
      {HeaderV2(0x21, 0xFF, kIpv4Block), Result::kBadFamily},
      // Shorter than its addresses.
      {HeaderV2(0x21, 0x11, ""), Result::kBadLength},
      {HeaderV2(0x21, 0x11, kIpv4Block.substr(0, 11)), Result::kBadLength},
      {HeaderV2(0x21, 0x21, kIpv4Block), Result::kBadLength},
      {HeaderV2(0x21, 0x21, kIpv6Block.substr(0, 35)), Result::kBadLength},
      {HeaderV2(0x21, 0x31, std::string(215, 'u')), Result::kBadLength},
      // Extensions that reach beyond the end.
      {HeaderV2(0x21, 0x11, kIpv4Block + "\x01"), Result::kBadLength},
      {HeaderV2(0x21, 0x11, kIpv4Block + std::string("\x01\x00", 2)), Result::kBadLength},
      {HeaderV2(0x21, 0x11, kIpv4Block + std::string("\x01\x00\x01", 3)), Result::kBadLength},
      {HeaderV2(0x21, 0x11, kIpv4Block + "\x01\xFF\xFFxxxx"), Result::kBadLength},
      {HeaderV2(0x21, 0x11, kIpv4Block + Tlv(0x04, "a") + std::string("\x01\x00\x02x", 4)),
       Result::kBadLength},
      // The checksum.
      {HeaderV2(0x21, 0x11, kIpv4Block + checksum), Result::kBadChecksum},
      {damaged, Result::kBadChecksum},
      {HeaderV2(0x21, 0x11, kIpv4Block + Tlv(0x03, "abc")), Result::kBadLength},
      // The bound.
      {HeaderV2(0x21, 0x11, "", 0xFFFF), Result::kTooLong},
      {HeaderV2(0x20, 0x00, "", static_cast<int>(kHeaderV2BytesMax - 15)), Result::kTooLong},
  };
  for (size_t i = 0; i < std::size(kCases); ++i) {
    EXPECT_EQ(Parse(kCases[i].header).result, kCases[i].result) << "case " << i;
  }
}

TEST(ProxyHeaderV2, MayTakeItsWholeBound) {
  const std::string filler =
      Tlv(0x04, std::string(kHeaderV2BytesMax - 16 - kIpv4Block.size() - 3, '\0'));
  ExpectGood({HeaderV2(0x21, 0x11, kIpv4Block + filler), "v2 192.0.2.1,56324 198.51.100.7,443"});
}

TEST(ProxyHeaderV2, FindsEveryDamagedBitByItsChecksum) {
  const std::string good = WithChecksum(
      HeaderV2(0x21, 0x11, kIpv4Block + Tlv(0x01, "h2") + Tlv(0x03, std::string(4, '\0'))));
  ASSERT_EQ(Parse(good).result, Result::kDone);
  // Behind the fixed part, and not in the heads of the extensions: those say what is checked.
  for (size_t at = 16; at < 16 + kIpv4Block.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = good;
      damaged[at] = static_cast<char>(damaged[at] ^ 1 << bit);
      EXPECT_EQ(ParseOnce(damaged).result, Result::kBadChecksum) << at << "." << bit;
    }
  }
}

TEST(ProxyHeader, HasAReasonForEveryRefusal) {
  for (int i = 0; i <= static_cast<int>(Result::kBadChecksum); ++i) {
    EXPECT_NE(ProxyHeaderReason(static_cast<Result>(i)), "unknown") << i;
  }
}

}  // namespace
}  // namespace ringmaster::proxy
