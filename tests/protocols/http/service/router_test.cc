#include "protocols/http/service/router.h"

#include <gtest/gtest.h>

#include <string>

namespace ringmaster::http {
namespace {

TEST(Router, PrefersTheExactPathAndThenTheMoreSpecificPattern) {
  Router router;
  PathEntry* const exact = *router.Entry("/users/list");
  PathEntry* const rest = *router.Entry("/users/*rest");
  PathEntry* const id = *router.Entry("/users/:id");
  PathEntry* const photo = *router.Entry("/users/:id/photo");
  PathParameters parameters;
  EXPECT_EQ(router.FindExact("/users/list"), exact);
  EXPECT_EQ(router.FindPattern("/users/7", parameters), id);
  ASSERT_EQ(parameters.count, 1);
  EXPECT_EQ(parameters.values[0].name, "id");
  EXPECT_EQ(parameters.values[0].value, "7");
  EXPECT_EQ(router.FindPattern("/users/7/photo", parameters), photo);
  EXPECT_EQ(router.FindPattern("/users/7/x", parameters), rest);
  EXPECT_EQ(parameters.values[0].value, "7/x");
  EXPECT_EQ(router.FindPattern("/users/", parameters), rest);
  EXPECT_EQ(parameters.values[0].value, "");
  EXPECT_EQ(router.FindPattern("/users", parameters), nullptr);
  EXPECT_EQ(router.FindExact("/users/7"), nullptr);
}

TEST(Router, RefusesPatternsThatCannotWork) {
  Router router;
  for (std::string_view pattern : {"", "a", "/:", "/*rest/a", "/:a/:a", "/a/../b", "/a%20b", "/./a",
                                   "/:a/:b/:c/:d/:e/:f/:g/:h/:i"}) {
    EXPECT_FALSE(router.Entry(pattern).ok()) << pattern;
  }
}

TEST(Router, GivesTheSamePatternTheSameEntry) {
  Router router;
  EXPECT_EQ(*router.Entry("/a/:b"), *router.Entry("/a/:b"));
  EXPECT_EQ(*router.Entry("/a"), *router.Entry("/a"));
}

TEST(PathEntry, ListsItsMethods) {
  PathEntry entry;
  entry.by_method[static_cast<int>(Method::kPost)] = std::make_unique<Route>();
  Router::UpdateAllow(entry);
  EXPECT_EQ(entry.allow, "POST, OPTIONS");
  entry.any = std::make_unique<Route>();
  Router::UpdateAllow(entry);
  EXPECT_EQ(entry.allow, "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS");
  EXPECT_EQ(entry.Find(Method::kTrace), nullptr);
}

TEST(MethodOf, IsCaseSensitive) {
  EXPECT_EQ(MethodOf("GET"), Method::kGet);
  EXPECT_EQ(MethodOf("get"), Method::kOther);
  EXPECT_EQ(MethodOf(""), Method::kOther);
  for (int i = 0; i < kMethodCount - 1; i++) {
    EXPECT_EQ(MethodOf(MethodName(static_cast<Method>(i))), static_cast<Method>(i));
  }
}

}  // namespace
}  // namespace ringmaster::http
