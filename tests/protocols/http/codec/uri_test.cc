#include "protocols/http/codec/uri.h"

#include <gtest/gtest.h>

#include <string>

#include "protocols/http/codec/cookie.h"
#include "protocols/http/codec/media_type.h"

namespace ringmaster::http {
namespace {

TEST(DecodePath, ResolvesDotSegmentsAndNeverLeavesTheRoot) {
  const struct {
    std::string_view path, decoded;
  } kCases[] = {
      {"/", "/"},
      {"/a/b", "/a/b"},
      {"/a/", "/a/"},
      {"//a", "//a"},
      {"/.", "/"},
      {"/..", "/"},
      {"/../..", "/"},
      {"/../a", "/a"},
      {"/a/..", "/"},
      {"/a/../b", "/b"},
      {"/a/./b", "/a/b"},
      {"/a/b/..", "/a/"},
      {"/a/b/.", "/a/b/"},
      {"/a/b/../../..", "/"},
      {"/%2e%2e/a", "/a"},
      {"/a/%2E./b", "/b"},
      {"/a/.%2e/b", "/b"},
      {"/...", "/..."},
      {"/.a", "/.a"},
      {"/a..", "/a.."},
      {"/%41", "/A"},
      {"/%20", "/ "},
      {"/%c3%a4", "/\xc3\xa4"},
      {"/a+b", "/a+b"},
      {"/%25", "/%"},
      {"/%2525", "/%25"},
      {"/a//../b", "/a/b"},
      {"/a/..//b", "//b"},
      {"/./././a", "/a"},
      {"/a/../../../etc/passwd", "/etc/passwd"},
  };
  for (const auto& c : kCases) {
    std::string out = "old";
    EXPECT_TRUE(DecodePath(c.path, out)) << c.path;
    EXPECT_EQ(out, c.decoded) << c.path;
    if (IsPlainPath(c.path)) {
      EXPECT_EQ(c.path, c.decoded);
    }
  }
  EXPECT_TRUE(IsPlainPath("/a/b.c"));
  EXPECT_FALSE(IsPlainPath("/a/%41"));
}

TEST(DecodePath, RefusesBadEscapesNulAndHiddenSlashes) {
  for (std::string_view path : {"/%", "/%4", "/%zz", "/%4g", "/%00", "/a%2fb", "/a%2F..%2F", "/%5c",
                                "", "a", "/%-1", "/% 1"}) {
    std::string out;
    EXPECT_FALSE(DecodePath(path, out)) << path;
  }
}

TEST(Query, WalksPairsInOrder) {
  QueryIterator query("a=1&&b&c=2=3&=x");
  auto next = query.Next();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->name, "a");
  EXPECT_EQ(next->value, "1");
  EXPECT_EQ(query.Next()->name, "b");
  EXPECT_EQ(query.Next()->value, "2=3");
  EXPECT_EQ(query.Next()->name, "");
  EXPECT_FALSE(query.Next());
}

TEST(Query, FindsDecodedValues) {
  EXPECT_EQ(FindQueryParameter("a=1&b=x+y%21", "b"), "x y!");
  EXPECT_EQ(FindQueryParameter("%61=1", "a"), "1");
  EXPECT_EQ(FindQueryParameter("a=%", "a"), std::nullopt);
  EXPECT_EQ(FindQueryParameter("", "a"), std::nullopt);
}

TEST(PercentDecode, IsStrict) {
  EXPECT_EQ(PercentDecode("a+%2B"), "a++");
  EXPECT_EQ(PercentDecode("%2"), std::nullopt);
}

TEST(Cookie, WalksPairsAndUnquotes) {
  EXPECT_EQ(FindCookie("a=1; b=2;c=\"3\"; d", "b"), "2");
  EXPECT_EQ(FindCookie("a=1; b=2;c=\"3\"; d", "c"), "3");
  EXPECT_EQ(FindCookie("a=1; =9; b=x=y", "b"), "x=y");
  EXPECT_EQ(FindCookie("a=1", "A"), std::nullopt);
  EXPECT_EQ(FindCookie("", "a"), std::nullopt);
  EXPECT_EQ(FindCookie("a=", "a"), "");
}

TEST(MediaType, GoesByTheExtensionInAnyCase) {
  EXPECT_EQ(MediaTypeOf("a/b.HTML"), "text/html; charset=utf-8");
  EXPECT_EQ(MediaTypeOf("a.tar.gz"), "application/gzip");
  EXPECT_EQ(MediaTypeOf("a.html/b"), "application/octet-stream");
  EXPECT_EQ(MediaTypeOf("none"), "application/octet-stream");
}

}  // namespace
}  // namespace ringmaster::http
