#include "engine/config/json_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/config/json_syntax.h"

namespace ringmaster::config {
namespace {

TEST(ParseJson, RemembersWhereEachValueStood) {
  const std::string text =
      "{\n"
      "  \"a\" : [1,\n"
      "     {\"b\\\"}\": \"x\\\\\"},\n"
      "\t-2.5e3, true],\r\n"
      "  \"c\": null }\n";
  JsonValue root;
  ASSERT_EQ(ParseJson(text, root).message, "");
  ASSERT_EQ(root.members.size(), 2u);
  EXPECT_EQ(root.members[0].key_position.line, 2u);
  EXPECT_EQ(root.members[0].key_position.column, 3u);
  const JsonValue& array = root.members[0].value;
  EXPECT_EQ(array.position.column, 9u);
  ASSERT_EQ(array.items.size(), 4u);
  EXPECT_EQ(array.items[0].position.line, 2u);
  EXPECT_EQ(array.items[0].position.column, 10u);
  EXPECT_EQ(array.items[1].members[0].key, "b\"}");
  EXPECT_EQ(array.items[1].members[0].key_position.line, 3u);
  EXPECT_EQ(array.items[1].members[0].value.string, "x\\");
  EXPECT_EQ(array.items[1].members[0].value.raw, "\"x\\\\\"");
  EXPECT_EQ(array.items[1].raw, "{\"b\\\"}\": \"x\\\\\"}");
  EXPECT_EQ(array.items[2].raw, "-2.5e3");
  EXPECT_EQ(array.items[2].kind, JsonValue::Kind::kNumber);
  EXPECT_EQ(array.items[2].position.line, 4u);
  EXPECT_EQ(array.items[3].boolean, true);
  EXPECT_EQ(root.members[1].value.kind, JsonValue::Kind::kNull);
  EXPECT_EQ(root.members[1].value.position.line, 5u);
}

TEST(ParseJson, TellsIntegersFromOtherNumbers) {
  JsonValue root;
  ASSERT_EQ(ParseJson("[0, -7, 9223372036854775807, 9223372036854775808, 5.0]", root).message, "");
  EXPECT_EQ(root.items[1].integer, -7);
  EXPECT_EQ(root.items[2].integer, INT64_MAX);
  EXPECT_EQ(root.items[3].kind, JsonValue::Kind::kNumber);
  EXPECT_EQ(root.items[4].kind, JsonValue::Kind::kNumber);
}

struct SyntaxCase {
  std::string_view text;
  uint32_t line;
  uint32_t column;
  std::string_view message;
};

const SyntaxCase kSyntaxCases[] = {
    {"", 0, 0, "holds no JSON; the smallest configuration is {}"},
    {" \n\t\r\n", 0, 0, "holds no JSON"},
    {"{", 1, 2, "expected a key in double quotes, found the end of the text"},
    {"{\n\"a\": 1\n\"b\": 2\n}", 3, 1, "expected \",\" or \"}\", found \"\"\""},
    {"{\n\"a\": 1,\n}", 2, 7, "a comma before \"}\"; leave it out"},
    {"[1,\n 2,]", 2, 3, "a comma before \"]\"; leave it out"},
    {"{\"a\" 1}", 1, 6, "expected \":\" behind the key, found \"1\""},
    {"{a: 1}", 1, 2, "expected a key in double quotes, found \"a\""},
    {"{'a': 1}", 1, 2, "JSON strings stand in double quotes"},
    {"{\"a\": 'b'}", 1, 7, "JSON strings stand in double quotes"},
    {"{\"a\": yes}", 1, 7, "expected a value, found \"yes\""},
    {"{\"a\": True}", 1, 7, "expected a value, found \"True\""},
    {"{\"a\": }", 1, 7, "expected a value, found \"}\""},
    {"{\"a\": 5s}", 1, 7, "5s is no number; a value with a unit stands in double quotes"},
    {"{\"a\": 16KiB}", 1, 7, "16KiB is no number"},
    {"{\"a\": 0660}", 1, 7, "0660 is no number"},
    {"{\"a\": +1}", 1, 7, "expected a value, found \"+\""},
    {"{\"a\": 1.}", 1, 7, "1. is no number"},
    {"{\"a\": .5}", 1, 7, "expected a value, found \".\""},
    {"{\"a\": -}", 1, 7, "- is no number"},
    {"{\"a\": 1e}", 1, 7, "1e is no number"},
    {"{\"a\": 99999999999999999999}", 1, 7, "a number too large"},
    {"{\"a\": 1e999}", 1, 7, "a number too large"},
    {"{} // the end", 1, 4, "found a comment; JSON has none"},
    {"{\n # note\n}", 2, 2, "found a comment; JSON has none"},
    {"{}\n{}", 2, 1, "expected nothing behind the last bracket, found \"{\""},
    {"{} x", 1, 4, "expected nothing behind the last bracket, found \"x\""},
    {"{\"a\": \"b\n\"}", 1, 7, "does not end on its line"},
    {"{\"a\": \"b", 1, 7, "the string that begins here does not end"},
    {"{\"a\": \"\tb\"}", 1, 8, "control character 0x09 in a string; write it as \\u0009"},
    {"{\"a\": \"C:\\dir\"}", 1, 10, "unknown escape in a string"},
    {"{\"a\": \"\\u12g4\"}", 1, 8, "four hexadecimal digits"},
    {"{\"a\": \"\\ud800\"}", 1, 8, "half of a surrogate pair"},
    {"{\"a\": \"\\udc00\"}", 1, 8, "half of a surrogate pair"},
    {"{\"a\": \"\\ud800\\u0041\"}", 1, 8, "half of a surrogate pair"},
    {"{\"a\": \"\xff\"}", 1, 8, "byte 0xff is not UTF-8"},
    {"{\"a\": \"\xc0\x80\"}", 1, 8, "byte 0xc0 is not UTF-8"},
    {"{\"a\": \"\xed\xa0\x80\"}", 1, 8, "byte 0xed is not UTF-8"},
    {"\xef\xbb\xbf{}", 1, 1, "byte order mark"},
    {"[1 2]", 1, 4, "expected \",\" or \"]\", found \"2\""},
    {"}", 1, 1, "expected a value, found \"}\""},
};

TEST(ParseJson, SaysWhereAndWhyATextIsNoJson) {
  for (const SyntaxCase& test : kSyntaxCases) {
    JsonValue root;
    const JsonError error = ParseJson(test.text, root);
    EXPECT_THAT(error.message, testing::HasSubstr(std::string(test.message))) << test.text;
    EXPECT_EQ(error.position.line, test.line) << test.text;
    EXPECT_EQ(error.position.column, test.column) << test.text;
  }
}

TEST(ParseJson, RefusesATextThatIsTooDeep) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  JsonValue root;
  EXPECT_EQ(ParseJson(nested(kJsonDepthMax), root).message, "");
  const JsonError error = ParseJson("\n" + nested(kJsonDepthMax + 1), root);
  EXPECT_THAT(error.message, testing::HasSubstr("nested deeper than 32 levels"));
  EXPECT_EQ(error.position.line, 2u);
  EXPECT_THAT(ParseJson(std::string(100000, '['), root).message,
              testing::HasSubstr("nested deeper"));
}

TEST(ParseJson, RefusesATextThatIsTooLarge) {
  JsonValue root;
  EXPECT_EQ(ParseJson("{" + std::string(kJsonBytesMax - 2, ' ') + "}", root).message, "");
  EXPECT_THAT(ParseJson("{" + std::string(kJsonBytesMax - 1, ' ') + "}", root).message,
              testing::HasSubstr("at most 1048576 are read"));
}

TEST(FindJsonSyntaxError, FindsNothingInJson) {
  for (std::string_view text :
       {"{}", " [ ] ", "0", "-0.5e-3", "\"\\ud83d\\ude00 \xf0\x9f\x98\x80 \\n\\/\"",
        "{\"a\":[true,false,null,{\"b\":\"\"}]}", "18446744073709551615", "-9223372036854775808"}) {
    JsonValue root;
    EXPECT_EQ(ParseJson(text, root).message, "") << text;
    EXPECT_EQ(FindJsonSyntaxError(text).message, "") << text;
  }
}

// Cutting a valid text anywhere leaves no valid one; each piece must be explained, with a line.
TEST(FindJsonSyntaxError, ExplainsEveryCutOfAText) {
  const std::string text =
      "{\"a\": [1, -2.5, \"x\\u00e9\xc3\xa9\", true, null],\n \"b\": {\"c\": false}}";
  for (size_t bytes = 1; bytes < text.size(); ++bytes) {
    JsonValue root;
    const JsonError error = ParseJson(text.substr(0, bytes), root);
    EXPECT_THAT(error.message, testing::StartsWith("not valid JSON: ")) << text.substr(0, bytes);
    EXPECT_GT(error.position.line, 0u);
  }
}

}  // namespace
}  // namespace ringmaster::config
