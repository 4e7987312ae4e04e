#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <string>

#include "tools/ringmaster/config/server_config_reader.h"
#include "tools/ringmaster/demo/page.h"

namespace ringmaster {
namespace {

TEST(DemoPage, IsTheFileByteForByte) {
  std::ifstream file(RINGMASTER_DEMO_DIR "/demo/page.html", std::ios::binary);
  ASSERT_TRUE(file);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(demo::Page(), bytes);
  EXPECT_TRUE(demo::Page().starts_with("<!doctype html>"));
}

TEST(DemoPage, LoadsNothingFromElsewhere) {
  const std::string page(demo::Page());
  // Names of XML namespaces are no addresses to load from; everything else that looks like one is.
  const std::regex address("(src|href)=\"(?!data:)|@import|url\\(|//[a-z]+\\.[a-z]+");
  std::smatch match;
  std::string without_namespace =
      std::regex_replace(page, std::regex("http://www.w3.org/2000/svg"), "");
  EXPECT_FALSE(std::regex_search(without_namespace, match, address)) << match.str();
}

TEST(DemoPage, HasNoInlineEventHandlers) {
  const std::string page(demo::Page());
  EXPECT_FALSE(std::regex_search(page, std::regex("<[a-z][^>]*\\son[a-z]+=")));
}

TEST(DemoConfiguration, IsValidOnThisMachine) {
  const auto config = config::LoadServerConfig(RINGMASTER_DEMO_DIR "/demo.json");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->listeners[0].definition.address.ToString(), "127.0.0.1:8080");
  EXPECT_EQ(config->generation_header, "X-Generation");
  const config::RouteConfig* echo = nullptr;
  for (const config::RouteConfig& route : config->routes) {
    if (route.path == "/ws") echo = &route;
  }
  ASSERT_NE(echo, nullptr);
  const config::RequestLimits limits = echo->LimitsFor(config->listeners[0]);
  EXPECT_EQ(limits.message_bytes_max, 16u << 20);
  EXPECT_EQ(limits.message_fragments_max, 65536u);
}

}  // namespace
}  // namespace ringmaster
