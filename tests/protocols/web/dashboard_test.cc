#include "protocols/web/dashboard/dashboard.h"

#include <gtest/gtest.h>

#include <string>

namespace ringmaster::web {
namespace {

int Count(std::string_view text, std::string_view part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST(Dashboard, IsOneDocumentThatNamesNoOther) {
  const std::string_view page = DashboardPage();
  EXPECT_TRUE(page.starts_with("<!doctype html>"));
  EXPECT_TRUE(page.ends_with("</html>\n"));
  EXPECT_EQ(Count(page, " src="), 0);
  EXPECT_EQ(Count(page, "rel=\"stylesheet\""), 0);
  EXPECT_EQ(Count(page, "https://"), 0);
  // The name of an XML namespace; nobody loads it.
  EXPECT_EQ(Count(page, "http://"), Count(page, "http://www.w3.org/2000/svg"));
}

TEST(Dashboard, IsSentWithAPolicyThatNamesEachOfItsStylesAndScripts) {
  const std::string_view page = DashboardPage();
  const std::string_view policy = DashboardPolicy();
  EXPECT_TRUE(policy.starts_with("default-src 'none'; connect-src 'self';"));
  EXPECT_NE(policy.find("frame-ancestors 'none'"), std::string_view::npos);
  EXPECT_EQ(policy.find("unsafe"), std::string_view::npos);
  EXPECT_EQ(Count(policy, "'sha256-"), Count(page, "<style>") + Count(page, "<script>"));
  EXPECT_GT(Count(page, "<script>"), 0);
}

// Inline attributes would be refused by the policy, and silently so.
TEST(Dashboard, HasNoInlineStyleAndNoInlineHandler) {
  const std::string_view page = DashboardPage();
  EXPECT_EQ(Count(page, " style=\""), 0);
  EXPECT_EQ(Count(page, " onclick"), 0);
}

}  // namespace
}  // namespace ringmaster::web
