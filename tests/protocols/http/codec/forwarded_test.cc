#include "protocols/http/codec/forwarded.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ringmaster::http {
namespace {

// "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", "unknown", "hidden", "malformed".
std::string Describe(const ForwardedNode& node) {
  char text[INET6_ADDRSTRLEN] = {};
  std::string result;
  switch (node.kind) {
    case ForwardedNode::Kind::kMalformed:
      EXPECT_EQ(node, ForwardedNode());
      return "malformed";
    case ForwardedNode::Kind::kUnknown:
      result = "unknown";
      break;
    case ForwardedNode::Kind::kObfuscated:
      result = "hidden";
      break;
    case ForwardedNode::Kind::kIpv4:
      result = inet_ntop(AF_INET, node.bytes, text, sizeof(text));
      break;
    case ForwardedNode::Kind::kIpv6:
      result = "[" + std::string(inet_ntop(AF_INET6, node.bytes, text, sizeof(text))) + "]";
      break;
  }
  return node.port == 0 ? result : result + ":" + std::to_string(node.port);
}

// From the left, as the field reads.
std::string Describe(const ForwardedChain& chain) {
  std::string result;
  for (size_t i = chain.size(); i-- > 0;) {
    result += Describe(chain.FromRight(i));
    if (i > 0) result += " ";
  }
  return result;
}

// In memory that ends where the field ends, so that reading on is seen by a sanitizer.
template <typename Add>
std::string ParseValues(const std::vector<std::string_view>& values, Add add) {
  ForwardedChain chain;
  for (const std::string_view value : values) {
    const auto copy = std::make_unique<char[]>(value.size());
    value.copy(copy.get(), value.size());
    add(chain, std::string_view(copy.get(), value.size()));
  }
  return Describe(chain);
}
std::string Forwarded(const std::vector<std::string_view>& values) {
  return ParseValues(
      values, [](ForwardedChain& chain, std::string_view value) { chain.AddForwarded(value); });
}
std::string XForwardedFor(const std::vector<std::string_view>& values) {
  return ParseValues(
      values, [](ForwardedChain& chain, std::string_view value) { chain.AddXForwardedFor(value); });
}

struct Case {
  std::string_view field;
  std::string_view nodes;
};

TEST(Forwarded, ReadsTheExamplesOfTheRfc) {
  constexpr Case kCases[] = {
      {R"(for="_gazonk")", "hidden"},
      {R"(For="[2001:db8:cafe::17]:4711")", "[2001:db8:cafe::17]:4711"},
      {"for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"},
      {"for=192.0.2.43, for=198.51.100.17", "192.0.2.43 198.51.100.17"},
      {R"(for=192.0.2.43, for="[2001:db8:cafe::17]")", "192.0.2.43 [2001:db8:cafe::17]"},
      {R"(for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown)",
       "192.0.2.43 [2001:db8:cafe::17] unknown"},
      {"for=_hidden, for=_SEVKISEK", "hidden hidden"},
      {R"(for="192.0.2.43:47011")", "192.0.2.43:47011"},
  };
  for (const Case& each : kCases) EXPECT_EQ(Forwarded({each.field}), each.nodes) << each.field;
}

TEST(Forwarded, KnowsTheGrammarOfElements) {
  constexpr Case kCases[] = {
      // A pair or an element may be left out; blanks may stand around separators.
      {"", ""},
      {", ,\t,", ""},
      {"for=192.0.2.1,,for=192.0.2.2,", "192.0.2.1 192.0.2.2"},
      {";;for=192.0.2.1;;proto=https;", "192.0.2.1"},
      {" for=192.0.2.1 ; proto=https , for=192.0.2.2 ", "192.0.2.1 192.0.2.2"},
      // An element that does not say for whom.
      {"proto=https", "unknown"},
      {R"(by="_x";host="a,b;c";proto=https)", "unknown"},
      // Other parameters may hold what separates elsewhere.
      {R"(host="a, for=192.0.2.9";for=192.0.2.1)", "192.0.2.1"},
      {R"(ext="a\"b, for=192.0.2.9";for=192.0.2.1)", "192.0.2.1"},
      {R"(for="192\.0.2.1")", "192.0.2.1"},
      {R"(FOR=192.0.2.1;fOr2=x)", "192.0.2.1"},
      // Malformed: up to the next comma.
      {"for=192.0.2.1;for=192.0.2.2", "malformed"},
      {"for", "malformed"},
      {"for=", "malformed"},
      {"=192.0.2.1", "malformed"},
      {"for =192.0.2.1", "malformed"},
      {"for= 192.0.2.1", "malformed"},
      {"for=192.0.2.1 proto=http", "malformed"},
      {R"(for="192.0.2.1"x)", "malformed"},
      {R"(for="")", "malformed"},
      {"for=[2001:db8::1]", "malformed"},
      {"for=192.0.2.1:80", "malformed"},
      {"for=x, for=192.0.2.1", "malformed 192.0.2.1"},
      {"@@@;for=192.0.2.9, for=192.0.2.1", "malformed 192.0.2.1"},
      // A quotation mark that is never closed swallows what follows; nobody can say where it ends.
      {R"(for=192.0.2.1, for="192.0.2.2, for=192.0.2.3)", "192.0.2.1 malformed"},
      {R"(for="192.0.2.2\)", "malformed"},
  };
  for (const Case& each : kCases) EXPECT_EQ(Forwarded({each.field}), each.nodes) << each.field;
}

TEST(Forwarded, KnowsTheGrammarOfNodes) {
  constexpr Case kCases[] = {
      {"192.0.2.1", "192.0.2.1"},
      {"192.0.2.1:1", "192.0.2.1:1"},
      {"192.0.2.1:65535", "192.0.2.1:65535"},
      {"192.0.2.1:00080", "192.0.2.1:80"},
      {"192.0.2.1:_port", "192.0.2.1"},
      {"[::]", "[::]"},
      {"[2001:db8::1]", "[2001:db8::1]"},
      {"[2001:db8::1]:_p-1.x", "[2001:db8::1]"},
      {"[::ffff:192.0.2.1]:9", "[::ffff:192.0.2.1]:9"},
      {"unknown", "unknown"},
      {"UNKNOWN:4711", "unknown:4711"},
      {"_a", "hidden"},
      {"_a.b_c-9:80", "hidden:80"},
      {"", "malformed"},
      {":80", "malformed"},
      {"192.0.2.1:", "malformed"},
      {"192.0.2.1:65536", "malformed"},
      {"192.0.2.1:000080", "malformed"},
      {"192.0.2.1:-1", "malformed"},
      {"192.0.2.1:8a", "malformed"},
      {"192.0.2.1:_", "malformed"},
      {"192.0.2", "malformed"},
      {"192.0.2.256", "malformed"},
      {"192.0.02.1", "malformed"},
      {"192.0.2.1.1", "malformed"},
      {"2001:db8::1", "malformed"},
      {"[2001:db8::1", "malformed"},
      {"[2001:db8::1]80", "malformed"},
      {"[2001:db8::1%eth0]", "malformed"},
      {"[192.0.2.1]", "malformed"},
      {"[]", "malformed"},
      {"_", "malformed"},
      {"_a b", "malformed"},
      {"localhost", "malformed"},
      {std::string_view("192.0.2.1\0", 10), "malformed"},
  };
  for (const Case& each : kCases) {
    EXPECT_EQ(Describe(ParseForwardedNode(each.field)), each.nodes) << each.field;
  }
}

TEST(XForwardedFor, TakesAddressesAsProxiesWriteThem) {
  constexpr Case kCases[] = {
      {"192.0.2.1", "192.0.2.1"},
      {"192.0.2.1, 198.51.100.7,203.0.113.9", "192.0.2.1 198.51.100.7 203.0.113.9"},
      {"192.0.2.1:4711", "192.0.2.1:4711"},
      {"2001:db8::1, ::1", "[2001:db8::1] [::1]"},
      {"[2001:db8::1]:80, [::1]", "[2001:db8::1]:80 [::1]"},
      {"unknown, 192.0.2.1", "unknown 192.0.2.1"},
      {" \t192.0.2.1 , ,, 192.0.2.2\t", "192.0.2.1 192.0.2.2"},
      {"", ""},
      {R"("192.0.2.1")", "malformed"},
      {"192.0.2.1 192.0.2.2", "malformed"},
      {"for=192.0.2.1", "malformed"},
      {"<script>, 192.0.2.1", "malformed 192.0.2.1"},
  };
  for (const Case& each : kCases) EXPECT_EQ(XForwardedFor({each.field}), each.nodes) << each.field;
}

TEST(Forwarded, JoinsFieldLinesInTheirOrder) {
  EXPECT_EQ(Forwarded({"for=192.0.2.1", "for=192.0.2.2, for=192.0.2.3"}),
            "192.0.2.1 192.0.2.2 192.0.2.3");
  EXPECT_EQ(XForwardedFor({"192.0.2.1", "192.0.2.2"}), "192.0.2.1 192.0.2.2");
  // An open quotation mark does not reach into the line that a proxy added.
  EXPECT_EQ(Forwarded({R"(for="192.0.2.1)", "for=192.0.2.2"}), "malformed 192.0.2.2");
}

TEST(Forwarded, RemembersTheRightmostNodesOfALongChain) {
  std::string forwarded;
  std::string x_forwarded_for;
  std::string rightmost;
  for (int i = 0; i < 100; ++i) {
    const std::string address = "192.0.2." + std::to_string(i);
    forwarded += (i > 0 ? ", for=" : "for=") + address;
    x_forwarded_for += (i > 0 ? ", " : "") + address;
    if (i >= 100 - static_cast<int>(ForwardedChain::kNodesMax)) {
      rightmost += (rightmost.empty() ? "" : " ") + address;
    }
  }
  EXPECT_EQ(Forwarded({forwarded}), rightmost);
  EXPECT_EQ(XForwardedFor({x_forwarded_for}), rightmost);
}

TEST(Forwarded, RefusesAValueThatIsTooLongToBeANode) {
  EXPECT_EQ(Forwarded({"for=_" + std::string(255, 'a')}), "hidden");
  EXPECT_EQ(Forwarded({"for=_" + std::string(256, 'a')}), "malformed");
  EXPECT_EQ(Forwarded({"for=_" + std::string(100'000, 'a') + ", for=192.0.2.1"}),
            "malformed 192.0.2.1");
  EXPECT_EQ(Forwarded({"host=" + std::string(100'000, 'a') + ";for=192.0.2.1"}), "192.0.2.1");
}

// What a stranger writes in front of what a proxy appends may hide the proxy's word (the peer then
// stands for the client), and never replaces it.
TEST(Forwarded, CannotBeSpoofedByWhatStandsInFront) {
  const std::string_view strangers[] = {
      "for=203.0.113.66",  R"(for="203.0.113.66)",   R"(for=203.0.113.66;x=")", R"(x="\)",
      "for=203.0.113.66;", R"(for=203.0.113.66, x)", R"(",for=203.0.113.66)",   R"(a="b"c="d)",
  };
  const std::pair<std::string_view, std::string> proxies[] = {
      {"for=192.0.2.1", "192.0.2.1"},
      {R"(for="[2001:db8::1]:80";proto=https)", "[2001:db8::1]:80"},
      {R"(by="[2001:db8::2]";for="192.0.2.1:80")", "192.0.2.1:80"},
  };
  for (const std::string_view stranger : strangers) {
    for (const auto& [proxy, client] : proxies) {
      ForwardedChain chain;
      chain.AddForwarded(std::string(stranger) + ", " + std::string(proxy));
      ASSERT_GT(chain.size(), 0u);
      const std::string last = Describe(chain.FromRight(0));
      EXPECT_TRUE(last == client || last == "malformed")
          << stranger << " | " << proxy << ": " << last;
    }
  }
}

}  // namespace
}  // namespace ringmaster::http
