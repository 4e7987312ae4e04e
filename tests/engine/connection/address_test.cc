#include "engine/connection/address.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstddef>
#include <cstring>
#include <string>

namespace ringmaster {
namespace {

TEST(Address, ReadsBackWhatItWrites) {
  for (std::string_view text :
       {"0.0.0.0:8080", "127.0.0.1:0", "255.255.255.255:65535", "[::1]:8080", "[::]:1",
        "[2001:db8::1]:443", "unix:/run/app.sock", "unix:relative.sock", "unix:@abstract"}) {
    const absl::StatusOr<Address> address = Address::Parse(text);
    ASSERT_TRUE(address.ok()) << text << ": " << address.status();
    EXPECT_EQ(address->ToString(), text);
  }
}

TEST(Address, FillsTheSockaddrInNetworkOrder) {
  const Address address = *Address::Parse("192.0.2.1:258");
  const auto* ipv4 = reinterpret_cast<const sockaddr_in*>(address.data());
  EXPECT_EQ(address.size(), sizeof(sockaddr_in));
  EXPECT_EQ(ntohl(ipv4->sin_addr.s_addr), 0xc0000201u);
  EXPECT_EQ(ntohs(ipv4->sin_port), 258);
  EXPECT_EQ(address.port(), 258);
}

TEST(Address, PassesAnAbstractNameWithoutATrailingNul) {
  const Address address = *Address::Parse("unix:@name");
  const auto* unix_address = reinterpret_cast<const sockaddr_un*>(address.data());
  EXPECT_EQ(address.size(), offsetof(sockaddr_un, sun_path) + 5);
  EXPECT_EQ(std::string(unix_address->sun_path, 5), std::string("\0name", 5));
  EXPECT_TRUE(address.is_unix());
  EXPECT_EQ(address.unix_path(), "");
  EXPECT_EQ(address.port(), 0);
}

TEST(Address, TakesAUnixPathOfAtMost107Bytes) {
  const std::string longest = "unix:" + std::string(107, 'x');
  ASSERT_TRUE(Address::Parse(longest).ok());
  EXPECT_EQ(Address::Parse(longest)->unix_path().size(), 107u);
  EXPECT_FALSE(Address::Parse(longest + "x").ok());
}

TEST(Address, SaysWhatIsWrong) {
  const struct {
    std::string_view text;
    std::string_view reason;
  } kCases[] = {
      {"", "the port is missing"},
      {"8080", "the port is missing"},
      {"127.0.0.1", "the port is missing"},
      {":8080", "the host is missing"},
      {"127.0.0.1:", "the port is a number from 0 to 65535, got \"\""},
      {"127.0.0.1:65536", "the port is a number"},
      {"127.0.0.1:-1", "the port is a number"},
      {"127.0.0.1:+1", "the port is a number"},
      {"127.0.0.1:80 ", "the port is a number"},
      {"127.0.0.1:http", "got \"http\""},
      {"localhost:80", "names are not looked up"},
      {"127.0.0.256:80", "no IPv4 address"},
      {"127.1:80", "no IPv4 address"},
      {"::1:80", "stands in brackets"},
      {"[::1:80", "ends with \"]\" and a port behind it"},
      {"[::1]80", "ends with \"]\" and a port behind it"},
      {"[::1]", "ends with \"]\" and a port behind it"},
      {"[::g]:80", "\"::g\" is no IPv6 address"},
      {"[]:80", "no IPv6 address"},
      {"[:80", "ends with \"]\" and a port behind it"},
      {"unix:", "the path is empty"},
      {"unix:@", "the path is empty"},
      {std::string_view("unix:/a\0b", 9), "NUL in the path"},
      {std::string_view("127.0.0.1\0x:80", 14), "no IPv4 address"},
  };
  for (const auto& [text, reason] : kCases) {
    const absl::StatusOr<Address> address = Address::Parse(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(address.status().message()), testing::HasSubstr(std::string(reason)));
  }
}

TEST(Address, ComparesByValue) {
  EXPECT_TRUE(*Address::Parse("[::1]:80") == *Address::Parse("[0:0::1]:80"));
  EXPECT_FALSE(*Address::Parse("127.0.0.1:80") == *Address::Parse("127.0.0.1:81"));
  EXPECT_FALSE(*Address::Parse("unix:/a") == *Address::Parse("unix:@a"));
}

TEST(PeerAddress, ShowsEachFamily) {
  sockaddr_storage storage = {};
  std::memcpy(&storage, Address::Parse("192.0.2.1:4711")->data(), sizeof(sockaddr_in));
  EXPECT_EQ(PeerAddress::Of(storage).ToString(), "192.0.2.1:4711");
  EXPECT_EQ(PeerAddress::Of(storage).Host(), "192.0.2.1");
  std::memcpy(&storage, Address::Parse("[2001:db8::1]:4711")->data(), sizeof(sockaddr_in6));
  EXPECT_EQ(PeerAddress::Of(storage).ToString(), "[2001:db8::1]:4711");
  EXPECT_EQ(PeerAddress::Of(storage).Host(), "2001:db8::1");
  storage = {};
  storage.ss_family = AF_UNIX;
  EXPECT_EQ(PeerAddress::Of(storage).ToString(), "unix");
}

}  // namespace
}  // namespace ringmaster
