#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/http/codec/head_limits.h"
#include "protocols/http/codec/request_head.h"

namespace ringmaster::http {

// Errors are the status to answer with; then the connection must close, for nobody knows where the
// next request would begin.
enum class HeadResult : uint16_t {
  kIncomplete = 0,
  kDone = 1,
  kBadRequest = 400,
  kTargetTooLong = 414,
  kExpectationFailed = 417,
  kFieldsTooLarge = 431,
  kNotImplemented = 501,       // a transfer coding or a method length that nobody implements
  kVersionNotSupported = 505,  // HTTP/2.0 and the like
};

// Parses one request head, strictly by RFC 9112, for a server that fears request smuggling.
//
// `data` begins at the first byte of the head and only grows between calls (it may move); what
// stands behind the head is not looked at. The outcome is a function of the bytes alone, however
// they were cut: each error belongs to one byte, and is reported as soon as that byte is there.
// Bytes once validated are not validated again, except that a head which came in pieces is walked a
// second time when it is complete, because `head` holds views and the pieces may have moved.
//
// One empty line in front of the request line is skipped (RFC 9112 section 2.2).
//
// `head` is scratch until kDone; it may be shared by all parsers of a thread. The parser itself
// holds nothing between heads and may be kept only while a head is incomplete.
class RequestHeadParser {
 public:
  HeadResult Parse(std::string_view data, const HeadLimits& limits, RequestHead& head);

  // True between a kIncomplete and the answer that follows it.
  bool resuming() const { return state_.position != 0; }
  void Reset() { state_ = State(); }

 private:
  enum class Phase : uint8_t { kStart, kMethod, kTarget, kVersion, kFieldStart, kName, kValue };
  struct State {
    Phase phase = Phase::kStart;
    uint8_t version_minor = 1;
    bool absolute_form = false;
    bool has_host = false;
    bool has_content_length = false;
    bool has_transfer_encoding = false;
    bool close = false;
    bool keep_alive = false;
    bool expect_continue = false;
    uint32_t field_count = 0;
    uint32_t position = 0;   // everything in front of it is validated
    uint32_t component = 0;  // where the method, target or field name under way begins
    uint32_t name_end = 0;   // in kValue: where the name of this field ends
    uint32_t query = 0;      // where the query begins, 0 = no question mark seen
    uint64_t content_length = 0;
  };

  HeadResult Walk(std::string_view data, const HeadLimits& limits, RequestHead& head);
  HeadResult TakeField(std::string_view name, std::string_view value, RequestHead& head);
  HeadResult Finish(size_t head_bytes, RequestHead& head);

  State state_;
};

}  // namespace ringmaster::http
