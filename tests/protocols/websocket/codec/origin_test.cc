#include "protocols/websocket/codec/origin.h"

#include <gtest/gtest.h>

#include "tests/protocols/websocket/codec/head_for_test.h"

namespace ringmaster::websocket {
namespace {

using Verdict = OriginVerdict;

OriginPolicy PolicyOf(const std::vector<std::string>& entries,
                      MissingOrigin missing = MissingOrigin::kDefault) {
  auto policy = OriginPolicy::FromEntries(entries, missing);
  EXPECT_TRUE(policy.ok()) << policy.status().ToString();
  return policy.ok() ? *std::move(policy) : OriginPolicy();
}

TEST(Origin, ComparesSchemeHostAndPort) {
  const OriginPolicy policy =
      PolicyOf({"https://game.example", "http://localhost:3000", "http://[2001:DB8:0::1]:8080",
                "https://xn--bcher-kva.example"});
  const std::vector<std::pair<std::string_view, Verdict>> cases = {
      {"https://game.example", Verdict::kAllowed},
      {"https://game.example:443", Verdict::kAllowed},
      {"HTTPS://GAME.Example", Verdict::kAllowed},
      {"http://localhost:3000", Verdict::kAllowed},
      {"http://[2001:db8::1]:8080", Verdict::kAllowed},
      {"https://xn--bcher-kva.example", Verdict::kAllowed},
      {"http://game.example", Verdict::kNotListed},
      {"https://game.example:8443", Verdict::kNotListed},
      {"http://localhost", Verdict::kNotListed},
      {"https://game.example.evil.com", Verdict::kNotListed},
      {"https://evilgame.example", Verdict::kNotListed},
      {"https://evil.com", Verdict::kNotListed},
      {"https://sub.game.example", Verdict::kNotListed},
      {"https://game.example.", Verdict::kNotListed},
      {"https://gamexexample", Verdict::kNotListed},
      {"http://[2001:db8::2]:8080", Verdict::kNotListed},
      {"null", Verdict::kNull},
      {"Null", Verdict::kMalformed},
      {"", Verdict::kMalformed},
      {"game.example", Verdict::kMalformed},
      {"https://", Verdict::kMalformed},
      {"://game.example", Verdict::kMalformed},
      {"https:game.example", Verdict::kMalformed},
      {"https://game.example/", Verdict::kMalformed},
      {"https://game.example/path", Verdict::kMalformed},
      {"https://game.example?q", Verdict::kMalformed},
      {"https://game.example#f", Verdict::kMalformed},
      {"https://user@game.example", Verdict::kMalformed},
      {"https://evil.com@game.example", Verdict::kMalformed},
      {"https://evil.com\\game.example", Verdict::kMalformed},
      {"https://evil.com https://game.example", Verdict::kMalformed},
      {"https://game.example, https://game.example", Verdict::kMalformed},
      {"https://game.example:", Verdict::kMalformed},
      {"https://game.example:0", Verdict::kMalformed},
      {"https://game.example:0443", Verdict::kMalformed},
      {"https://game.example:443x", Verdict::kMalformed},
      {"https://game.example:65536", Verdict::kMalformed},
      {"https://game.example:4294967739", Verdict::kMalformed},
      {"https://game..example", Verdict::kMalformed},
      {"https://.game.example", Verdict::kMalformed},
      {"https://[::1", Verdict::kMalformed},
      {"https://[::1]x", Verdict::kMalformed},
      {"https://[game.example]", Verdict::kMalformed},
      {"https://g\xC3\xA4me.example", Verdict::kMalformed},
      {"https://*", Verdict::kMalformed},
      {"1https://game.example", Verdict::kMalformed},
      {std::string_view("https://game.example\0", 21), Verdict::kMalformed},
  };
  for (const auto& [origin, verdict] : cases) {
    EXPECT_EQ(policy.CheckOrigin(origin, "game.example"), verdict) << origin;
  }
}

TEST(Origin, AWildcardStandsForWholeLabels) {
  const OriginPolicy policy = PolicyOf({"https://*.Example.com", "http://*.dev.example:8080"});
  for (const char* good : {"https://a.example.com", "https://a.b.example.com",
                           "https://A.EXAMPLE.COM:443", "http://x.dev.example:8080"}) {
    EXPECT_EQ(policy.CheckOrigin(good, ""), Verdict::kAllowed) << good;
  }
  for (const char* bad :
       {"https://example.com", "https://evilexample.com", "https://a.example.com.evil.com",
        "http://a.example.com", "https://a.example.com:8443", "http://x.dev.example",
        "http://x.dev.example:80800", "https://example.com.", "https://a.example.com."}) {
    EXPECT_NE(policy.CheckOrigin(bad, ""), Verdict::kAllowed) << bad;
  }
  EXPECT_EQ(policy.CheckOrigin("https://.example.com", ""), Verdict::kMalformed);
  EXPECT_EQ(policy.CheckOrigin("https://*.example.com", ""), Verdict::kMalformed);
}

TEST(Origin, AStarIsEveryOriginButNull) {
  const OriginPolicy policy = PolicyOf({"*"});
  EXPECT_EQ(policy.CheckOrigin("https://anyone.example", ""), Verdict::kAllowed);
  EXPECT_EQ(policy.CheckOrigin("null", ""), Verdict::kNull);
  EXPECT_EQ(policy.CheckOrigin("https://anyone.example/", ""), Verdict::kMalformed);
  EXPECT_EQ(PolicyOf({"*", "null"}).CheckOrigin("null", ""), Verdict::kAllowed);
}

TEST(Origin, WithoutAListOnlyTheSameOriginIsAllowed) {
  const OriginPolicy policy;
  EXPECT_EQ(policy.CheckOrigin("http://game.example", "game.example"), Verdict::kAllowed);
  EXPECT_EQ(policy.CheckOrigin("http://game.example", "GAME.example:80"), Verdict::kAllowed);
  EXPECT_EQ(policy.CheckOrigin("http://127.0.0.1:8080", "127.0.0.1:8080"), Verdict::kAllowed);
  EXPECT_EQ(policy.CheckOrigin("http://[::1]:8080", "[0::1]:8080"), Verdict::kAllowed);
  EXPECT_EQ(policy.CheckOrigin("http://game.example:8080", "game.example"),
            Verdict::kNotSameOrigin);
  EXPECT_EQ(policy.CheckOrigin("https://game.example", "game.example"), Verdict::kNotSameOrigin);
  EXPECT_EQ(policy.CheckOrigin("http://evil.com", "game.example"), Verdict::kNotSameOrigin);
  EXPECT_EQ(policy.CheckOrigin("http://game.example", ""), Verdict::kNotSameOrigin);
  EXPECT_EQ(policy.CheckOrigin("null", "null"), Verdict::kNull);
}

TEST(Origin, BehindATlsProxyTheSameOriginIsHttps) {
  const std::vector<std::string> none;
  const auto https =
      OriginPolicy::FromEntries(none, MissingOrigin::kDefault, SameOriginScheme::kHttps);
  EXPECT_EQ(https->CheckOrigin("https://game.example", "game.example"), Verdict::kAllowed);
  EXPECT_EQ(https->CheckOrigin("https://game.example", "game.example:443"), Verdict::kAllowed);
  EXPECT_EQ(https->CheckOrigin("http://game.example", "game.example"), Verdict::kNotSameOrigin);
  const auto either =
      OriginPolicy::FromEntries(none, MissingOrigin::kDefault, SameOriginScheme::kEither);
  EXPECT_EQ(either->CheckOrigin("https://game.example", "game.example"), Verdict::kAllowed);
  EXPECT_EQ(either->CheckOrigin("http://game.example", "game.example"), Verdict::kAllowed);
  EXPECT_EQ(either->CheckOrigin("ftp://game.example", "game.example"), Verdict::kNotSameOrigin);
}

TEST(Origin, AMissingOneFollowsThePolicy) {
  const http::RequestHead head = MakeHead({{"Host", "game.example"}});
  const std::vector<std::string> list = {"https://game.example"};
  EXPECT_EQ(OriginPolicy().Check(head), Verdict::kAllowed);
  EXPECT_EQ(PolicyOf({}, MissingOrigin::kDeny).Check(head), Verdict::kMissing);
  EXPECT_EQ(PolicyOf(list).Check(head), Verdict::kMissing);
  EXPECT_EQ(PolicyOf({"*"}).Check(head), Verdict::kMissing);
  EXPECT_EQ(PolicyOf(list, MissingOrigin::kAllow).Check(head), Verdict::kAllowed);
}

TEST(Origin, ARepeatedOneIsRefusedEvenIfBothAreListed) {
  const http::RequestHead head =
      MakeHead({{"Origin", "https://game.example"}, {"origin", "https://game.example"}});
  EXPECT_EQ(PolicyOf({"https://game.example"}).Check(head), Verdict::kRepeated);
  EXPECT_EQ(PolicyOf({"*"}).Check(head), Verdict::kRepeated);
}

TEST(Origin, AMalformedEntryIsAnErrorThatNamesIt) {
  for (const char* bad :
       {"", "game.example", "https://game.example/", "https://game.example/play",
        "wss://game.example", "*.example.com", "https://*", "https://*.", "https://*example.com",
        "https://a.*.example.com", "https://game.example.", "https://user@game.example",
        "https://game.example:0", "https://game.example:99999", "https://", "https://*.[::1]",
        "NULL", "**", "https://a.example,https://b.example"}) {
    const auto policy =
        OriginPolicy::FromEntries(std::vector<std::string>{"https://ok.example", bad});
    ASSERT_FALSE(policy.ok()) << bad;
    const std::string message(policy.status().message());
    EXPECT_NE(message.find("\"" + std::string(bad) + "\""), std::string::npos) << message;
    EXPECT_NE(message.find("scheme://host"), std::string::npos) << message;
  }
}

TEST(Origin, TheEnvironmentWinsOverTheConfiguration) {
  const std::vector<std::string> entries = {"https://config.example"};
  const auto check = [&](const char* environment, std::string_view origin) {
    const auto policy = OriginPolicy::FromEnvironmentOr(environment, entries);
    EXPECT_TRUE(policy.ok());
    return policy->CheckOrigin(origin, "");
  };
  EXPECT_EQ(check(nullptr, "https://config.example"), Verdict::kAllowed);
  EXPECT_EQ(check("  ", "https://config.example"), Verdict::kAllowed);
  const char* two = "https://a.example, https://b.example:8443";
  EXPECT_EQ(check(two, "https://a.example"), Verdict::kAllowed);
  EXPECT_EQ(check(two, "https://b.example:8443"), Verdict::kAllowed);
  EXPECT_EQ(check(two, "https://config.example"), Verdict::kNotListed);
  for (const char* bad : {",", "https://a.example,nonsense"}) {
    const auto policy = OriginPolicy::FromEnvironmentOr(bad, entries);
    ASSERT_FALSE(policy.ok());
    EXPECT_EQ(policy.status().message().find(kAllowedOriginsVariable), 0u);
  }
}

}  // namespace
}  // namespace ringmaster::websocket
