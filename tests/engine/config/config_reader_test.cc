#include "engine/config/config_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ringmaster::config {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

std::string Message(const ConfigDocument& document) {
  return std::string(document.status().message());
}

TEST(ConfigObject, ReadsTypedValuesAndKeepsDefaultsForAbsentKeys) {
  ConfigDocument document("a.json", R"({"on": true, "count": 7, "size": "2KiB", "wait": "5s",
      "name": "x", "list": ["a", "b"], "at": "127.0.0.1:80"})");
  ConfigObject root(document.root());
  bool on = false;
  uint16_t count = 0;
  uint32_t size = 0;
  uint32_t plain = 99;
  Duration wait = seconds(1);
  std::string name;
  std::vector<std::string> list;
  Address address;
  root.Read("on", on);
  root.Read("count", count);
  root.ReadBytes("size", size, 0, 4096);
  root.ReadBytes("plain", plain, 0, 4096);
  root.Read("wait", wait);
  root.Read("name", name);
  root.Read("list", list);
  root.Read("at", address);
  root.Finish();
  EXPECT_TRUE(document.ok()) << Message(document);
  EXPECT_TRUE(on);
  EXPECT_EQ(count, 7);
  EXPECT_EQ(size, 2048u);
  EXPECT_EQ(plain, 99u);
  EXPECT_EQ(wait, seconds(5));
  EXPECT_EQ(name, "x");
  EXPECT_THAT(list, ElementsAre("a", "b"));
  EXPECT_EQ(address.ToString(), "127.0.0.1:80");
}

// Reads `"key": <text>` with `read` and returns the message, which begins behind "a.json:1: key: ".
template <typename Read>
std::string MessageOf(std::string_view text, Read read) {
  ConfigDocument document("a.json", "{\"key\": " + std::string(text) + "}");
  ConfigObject root(document.root());
  read(root);
  root.Finish();
  const std::string message = Message(document);
  const std::string prefix = "a.json:1: key: ";
  EXPECT_THAT(message, testing::StartsWith(prefix)) << text;
  return message.substr(std::min(message.size(), prefix.size()));
}

TEST(ConfigReader, SaysWhatABooleanIs) {
  const auto read = [](ConfigObject& root) {
    bool out = false;
    root.Read("key", out);
    EXPECT_FALSE(out);
  };
  EXPECT_EQ(MessageOf("1", read), "expected true or false, got 1");
  EXPECT_EQ(MessageOf("\"true\"", read), "expected true or false, got \"true\"");
}

TEST(ConfigReader, SaysTheRangeOfAnInteger) {
  const auto read = [](ConfigObject& root) {
    uint16_t out = 11;
    root.Read("key", out, 1, 1024);
    EXPECT_EQ(out, 11);
  };
  for (std::string_view text :
       {"0", "1025", "-1", "5.0", "1e2", "18446744073709551615", "\"5\"", "true", "65537"}) {
    EXPECT_EQ(MessageOf(text, read),
              "expected an integer from 1 to 1024, got " + std::string(text));
  }
  EXPECT_EQ(MessageOf("[]", read), "expected an integer from 1 to 1024, got an array");
  EXPECT_EQ(MessageOf("{}", read), "expected an integer from 1 to 1024, got an object");
  EXPECT_EQ(MessageOf("null", read),
            "expected an integer from 1 to 1024, got null (leave the key out for its default)");
}

TEST(ConfigReader, SaysHowADurationIsWritten) {
  const auto read = [](ConfigObject& root) {
    Duration out = seconds(3);
    root.Read("key", out);
    EXPECT_EQ(out, seconds(3));
  };
  EXPECT_EQ(MessageOf("75", read),
            "expected a duration such as \"75s\", got 75; write \"75s\" or \"75ms\"");
  EXPECT_EQ(MessageOf("\"75\"", read),
            "expected a duration such as \"75s\", got \"75\"; write \"75s\" or \"75ms\"");
  EXPECT_EQ(MessageOf("0", read),
            "expected a duration such as \"75s\", got 0; write \"0s\" to turn it off");
  EXPECT_THAT(MessageOf("\"1.5s\"", read), HasSubstr("units are \"us\", \"ms\", \"s\", \"m\""));
  EXPECT_THAT(MessageOf("\"5 sec\"", read), HasSubstr("got \"5 sec\"; units are"));
  EXPECT_THAT(MessageOf("-5", read), HasSubstr("got -5"));
}

TEST(ConfigReader, RefusesADurationBelowItsLeast) {
  EXPECT_EQ(MessageOf("\"5ms\"",
                      [](ConfigObject& root) {
                        Duration out = seconds(3);
                        root.Read("key", out, Duration(seconds(1)));
                      }),
            "expected a duration of at least \"1s\", got \"5ms\"");
}

TEST(ConfigReader, SaysHowASizeIsWritten) {
  const auto read = [](ConfigObject& root) {
    uint64_t out = 5;
    root.ReadBytes("key", out, 256, 1 << 20);
    EXPECT_EQ(out, 5u);
  };
  for (std::string_view text : {"-1", "1.5", "\"1KB\"", "\"\"", "true"}) {
    EXPECT_THAT(MessageOf(text, read), HasSubstr("expected a size such as \"16KiB\", \"1MiB\" or"));
  }
  EXPECT_EQ(MessageOf("255", read), "expected a size from \"256B\" to \"1MiB\", got 255");
  EXPECT_EQ(MessageOf("\"2MiB\"", read), "expected a size from \"256B\" to \"1MiB\", got \"2MiB\"");
}

TEST(ConfigReader, ListsTheWordsOfAChoice) {
  constexpr std::pair<std::string_view, int> kChoices[] = {{"low", 1}, {"high", 2}};
  const auto read = [&](ConfigObject& root) {
    int out = 9;
    root.ReadChoice("key", out, kChoices);
    EXPECT_EQ(out, 9);
  };
  EXPECT_EQ(MessageOf("\"High\"", read), "expected \"low\" or \"high\", got \"High\"");
  EXPECT_EQ(MessageOf("1", read), "expected \"low\" or \"high\", got 1");
  ConfigDocument document("a.json", R"({"key": "high"})");
  int out = 0;
  EXPECT_TRUE(ConfigObject(document.root()).ReadChoice("key", out, kChoices));
  EXPECT_EQ(out, 2);
}

TEST(ConfigReader, RefusesEmptyStringsAndControlCharacters) {
  const auto read = [](ConfigObject& root) {
    std::string out = "old";
    root.Read("key", out);
    EXPECT_EQ(out, "old");
  };
  EXPECT_EQ(MessageOf("\"\"", read), "expected a string that is not empty, got \"\"");
  EXPECT_EQ(MessageOf("5", read), "expected a string that is not empty, got 5");
  EXPECT_EQ(MessageOf("\"a\\u0000b\"", read),
            "expected a string without control characters, got \"a\\u0000b\"");
}

TEST(ConfigReader, SaysWhatAnAddressIs) {
  const auto read = [](ConfigObject& root) {
    Address out;
    root.Read("key", out);
  };
  EXPECT_THAT(MessageOf("8080", read), HasSubstr("expected an address such as \"0.0.0.0:8080\""));
  EXPECT_THAT(MessageOf("\"localhost:80\"", read), HasSubstr("names are not looked up"));
}

TEST(ConfigReader, ShortensALongWrongValueBetweenCharacters) {
  std::string text = "\"";
  for (int i = 0; i < 100; ++i) text += "é";
  text += "\"";
  const std::string message = MessageOf(text, [](ConfigObject& root) {
    bool out = false;
    root.Read("key", out);
  });
  EXPECT_LT(message.size(), 100u);
  EXPECT_THAT(message, testing::EndsWith("é…"));
}

TEST(ConfigReader, NamesTheElementOfAList) {
  ConfigDocument document("a.json", "{\"list\": [\"a\",\n 5]}");
  std::vector<std::string> list = {"old"};
  ConfigObject(document.root()).Read("list", list);
  EXPECT_EQ(Message(document), "a.json:2: list[1]: expected a string that is not empty, got 5");
  EXPECT_THAT(list, ElementsAre("old"));
}

TEST(ConfigObject, RefusesAnUnknownKeyAndProposesTheNearest) {
  ConfigDocument document("a.json", "{\"outer\": {\n \"timeuot\": 1,\n \"xyz\": 2}}");
  ConfigObject root(document.root());
  ConfigObject outer(*root.Get("outer"));
  outer.Get("timeout");
  outer.Get("name");
  outer.Finish();
  root.Finish();
  EXPECT_EQ(Message(document),
            "a.json:2: outer.timeuot: unknown key; did you mean \"timeout\"?\n"
            "a.json:3: outer.xyz: unknown key; known here: \"timeout\" or \"name\"");
}

TEST(ConfigDocument, RefusesARepeatedKeyAnywhere) {
  ConfigDocument document("a.json", "{\"a\": [{\"b\": 1,\n\"c\": 2,\n\"\\u0062\": 3}]}");
  EXPECT_EQ(Message(document),
            "a.json:3: a[0].b: this key stands already in line 1; keep one of them");
}

TEST(ConfigDocument, RefusesARootThatIsNoObject) {
  ConfigDocument document("a.json", "\n[1]");
  ConfigObject root(document.root());
  root.Finish();
  EXPECT_EQ(Message(document), "a.json:2:1: expected an object, got an array");
}

TEST(ConfigDocument, ReportsOnlyTheSyntaxOfATextThatIsNoJson) {
  ConfigDocument document("a.json", "{\n\"a\": 1,\n}");
  ConfigObject root(document.root());
  root.Finish();
  EXPECT_EQ(Message(document), "a.json:2:7: not valid JSON: a comma before \"}\"; leave it out");
  ConfigDocument empty("a.json", "");
  EXPECT_EQ(Message(empty), "a.json: holds no JSON; the smallest configuration is {}");
}

TEST(ConfigDocument, ListsErrorsInTheOrderOfTheTextAndAtMostTwenty) {
  std::string text = "{\"last\": 1";
  for (int i = 0; i < 30; ++i) text += ",\n\"k" + std::to_string(i) + "\": 1";
  ConfigDocument document("a.json", text + "}");
  ConfigObject root(document.root());
  root.Finish();
  EXPECT_EQ(document.errors().size(), ConfigDocument::kErrorsMax);
  const std::string message = Message(document);
  EXPECT_THAT(message, testing::StartsWith("a.json:1: last: unknown key"));
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 19);
}

TEST(ConfigDocument, CollectsTheKeysItsReadersKnow) {
  ConfigDocument document("a.json", R"({"list": [{"a": 1}, {}]})");
  ConfigObject root(document.root());
  for (const ConfigValue& item : root.Get("list")->Items()) {
    ConfigObject object(item);
    object.Get("a");
    object.Get("b");
  }
  EXPECT_THAT(document.known_keys(), ElementsAre("list", "list[].a", "list[].b"));
}

}  // namespace
}  // namespace ringmaster::config
