#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocols/http/codec/request_head_parser.h"

// Parsing a head in every cut at once, for the tests of the parser.

namespace ringmaster::http {

inline constexpr HeadResult kDone = HeadResult::kDone;
inline constexpr HeadResult kIncomplete = HeadResult::kIncomplete;
inline constexpr HeadResult kBad = HeadResult::kBadRequest;

// What a caller can see of an outcome.
struct HeadOutcome {
  HeadResult result = kIncomplete;
  std::string seen;

  bool operator==(const HeadOutcome&) const = default;
};

inline std::string Describe(const RequestHead& head) {
  std::string text;
  for (std::string_view part : {head.method, head.target, head.path, head.query, head.host}) {
    text.append(part).append("|");
  }
  text += std::to_string(head.version_minor) + (head.keep_alive ? "K" : "C") +
          (head.expect_continue ? "E" : "-") + std::to_string(static_cast<int>(head.body_framing)) +
          "/" + std::to_string(head.content_length) + "/" + std::to_string(head.head_bytes);
  for (uint32_t i = 0; i < head.field_count; i++) {
    text.append("\n").append(head.fields[i].name).append("=").append(head.fields[i].value);
  }
  return text;
}

// Feeds growing prefixes of `bytes`, each in memory of its own, so that a view kept from an earlier
// call is a use after free. Stops at the first outcome; `ends` must increase.
inline HeadOutcome Feed(std::string_view bytes, const std::vector<size_t>& ends,
                        const HeadLimits& limits) {
  static RequestHead head;
  RequestHeadParser parser;
  for (size_t end : ends) {
    auto copy = std::make_unique<char[]>(end + 1);
    bytes.copy(copy.get(), end);
    const HeadResult result = parser.Parse({copy.get(), end}, limits, head);
    if (result == kDone) return {result, Describe(head)};
    if (result != kIncomplete) return {result, ""};
  }
  return {};
}

// The outcome of `bytes`, after checking that it is the same whole, in two pieces and byte by byte.
inline HeadOutcome Parse(std::string_view bytes, const HeadLimits& limits = {}) {
  const HeadOutcome whole = Feed(bytes, {bytes.size()}, limits);
  std::vector<size_t> every;
  for (size_t i = 1; i <= bytes.size(); i++) every.push_back(i);
  EXPECT_EQ(Feed(bytes, every, limits), whole) << "byte by byte: " << bytes;
  if (bytes.size() < 2000) {
    for (size_t i = 0; i <= bytes.size(); i++) {
      EXPECT_EQ(Feed(bytes, {i, bytes.size()}, limits), whole) << "cut at " << i << ": " << bytes;
    }
  }
  return whole;
}

inline HeadResult Result(std::string_view bytes, const HeadLimits& limits = {}) {
  return Parse(bytes, limits).result;
}

inline std::string WithField(std::string_view line) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(line) + "\r\n\r\n";
}
inline std::string WithTarget(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n";
}
inline std::string WithHost(std::string_view host) {
  return "GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n";
}

}  // namespace ringmaster::http
