#include "protocols/http/codec/request_head_parser.h"

#include <algorithm>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "protocols/http/codec/authority.h"
#include "protocols/http/codec/characters.h"
#include "protocols/http/codec/request_target.h"

namespace ringmaster::http {
namespace {

const char* SkipWhile(CharacterClass wanted, const char* p, const char* end) {
  while (p != end && Is(wanted, *p)) p++;
  return p;
}

// The first byte in [p, end) that no field value may carry: a control other than HTAB, or DEL.
const char* SkipValue(const char* p, const char* end) {
#if defined(__SSE2__)
  const __m128i last_control = _mm_set1_epi8(0x1f);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  while (end - p >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
    const __m128i bad = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), control),
                                     _mm_cmpeq_epi8(bytes, del));
    const int mask = _mm_movemask_epi8(bad);
    if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
    p += 16;
  }
#endif
  return SkipWhile(kValueChar, p, end);
}

// `lower` is in lower case and as long as `name`. Setting bit 5 maps no other tchar onto a letter
// or onto '-' (0x0d would be, and is no tchar).
template <size_t kBytes>
bool NameIs(std::string_view name, const char (&lower)[kBytes]) {
  constexpr size_t kLength = kBytes - 1;
  for (size_t i = 0; i < kLength; i++) {
    if ((name[i] | 0x20) != lower[i]) return false;
  }
  return true;
}

// The digits alone, and no more than 64 bits of them. Signs, blanks, lists and "" are refused: two
// readers that disagree about any of these see two different requests.
bool ParseContentLength(std::string_view value, uint64_t& length) {
  if (value.empty()) return false;
  uint64_t result = 0;
  for (char c : value) {
    if (!IsDigit(c)) return false;
    const uint64_t digit = static_cast<uint64_t>(c - '0');
    if (result > (UINT64_MAX - digit) / 10) return false;
    result = result * 10 + digit;
  }
  length = result;
  return true;
}

// "chunked" and nothing else is served. RFC 9112 section 6.3: chunked must come last, and once,
// else 400; in front of it codings that nobody here implements: 501 (section 6.1).
HeadResult CheckTransferEncoding(std::string_view value) {
  if (EqualsIgnoreCase(value, "chunked")) return HeadResult::kDone;
  uint32_t count = 0;
  uint32_t chunked_at = 0;
  bool valid = true;
  ForEachListElement(value, [&](std::string_view element) {
    count++;
    valid = valid && chunked_at == 0 && IsToken(element);
    if (EqualsIgnoreCase(element, "chunked")) chunked_at = count;
    return valid;
  });
  const bool chunked_is_last = valid && chunked_at == count;
  return chunked_is_last ? HeadResult::kNotImplemented : HeadResult::kBadRequest;
}

}  // namespace

HeadResult RequestHeadParser::Parse(std::string_view data, const HeadLimits& limits,
                                    RequestHead& head) {
  const bool resumed = resuming();
  HeadResult result = Walk(data, limits, head);
  if (result == HeadResult::kIncomplete) return result;
  state_ = State();
  if (result == HeadResult::kDone && resumed) {
    // Views taken in earlier calls are gone; take them all again, from where the bytes are now.
    result = Walk(data, limits, head);
    state_ = State();
  }
  return result;
}

HeadResult RequestHeadParser::Walk(std::string_view data, const HeadLimits& limits,
                                   RequestHead& head) {
  const char* const begin = data.data();
  const char* const end = begin + std::min<size_t>(data.size(), limits.head_bytes_max);
  const uint32_t fields_max = std::min(limits.fields_max, RequestHead::kFieldsMax);
  const char* p = begin + state_.position;
  const char* component = begin + state_.component;
  auto incomplete = [&](Phase phase) {
    state_.phase = phase;
    state_.position = static_cast<uint32_t>(p - begin);
    state_.component = static_cast<uint32_t>(component - begin);
    if (data.size() < limits.head_bytes_max) return HeadResult::kIncomplete;
    return phase <= Phase::kTarget ? HeadResult::kTargetTooLong : HeadResult::kFieldsTooLarge;
  };

  switch (state_.phase) {
    case Phase::kStart:
      if (p == end) return incomplete(Phase::kStart);
      if (*p == '\r') {
        if (p + 1 == end) return incomplete(Phase::kStart);
        if (p[1] != '\n') return HeadResult::kBadRequest;
        p += 2;
      }
      component = p;
      [[fallthrough]];

    case Phase::kMethod:
      p = SkipWhile(kTokenChar, p, end);
      if (p - component > kMethodBytesMax) return HeadResult::kNotImplemented;
      if (p == end) return incomplete(Phase::kMethod);
      if (*p != ' ' || p == component) return HeadResult::kBadRequest;
      head.method = {component, p};
      component = ++p;
      [[fallthrough]];

    case Phase::kTarget: {
      if (state_.query == 0) {
        p = SkipWhile(kPathChar, p, end);
        if (p != end && *p == '?') state_.query = static_cast<uint32_t>(++p - component);
      }
      if (state_.query != 0) p = SkipWhile(kQueryChar, p, end);
      if (p - component > limits.target_bytes_max) return HeadResult::kTargetTooLong;
      if (p == end) return incomplete(Phase::kTarget);
      if (*p != ' ' || p == component) return HeadResult::kBadRequest;
      if (state_.phase == Phase::kTarget) {
        // The method was read in an earlier call, whose bytes may be gone.
        const char* line = *begin == '\r' ? begin + 2 : begin;
        head.method = {line, component - 1};
      }
      head.target = {component, p};
      if (!SplitRequestTarget(state_.query, head)) return HeadResult::kBadRequest;
      state_.absolute_form = *component != '/' && *component != '*';
      component = ++p;
      [[fallthrough]];
    }

    case Phase::kVersion: {
      constexpr std::string_view kVersion11 = "HTTP/1.1\r\n";
      p = component;
      if (end - p >= 10 && memcmp(p, kVersion11.data(), 10) == 0) [[likely]] {
        state_.version_minor = 1;
        p += 10;
      } else {
        for (size_t i = 0; i < kVersion11.size(); i++, p++) {
          if (p == end) return incomplete(Phase::kVersion);
          const bool is_digit_place = i == 5 || i == 7;
          if (is_digit_place ? !IsDigit(*p) : *p != kVersion11[i]) return HeadResult::kBadRequest;
          if (i == 7 && component[5] != '1') return HeadResult::kVersionNotSupported;
        }
        // RFC 9110 section 2.5: a higher minor version is served as the highest one known.
        state_.version_minor = component[7] == '0' ? 0 : 1;
      }
      [[fallthrough]];
    }

    case Phase::kFieldStart:
    next_field:
      if (p == end) return incomplete(Phase::kFieldStart);
      if (*p == '\r') {
        if (p + 1 == end) return incomplete(Phase::kFieldStart);
        if (p[1] != '\n') return HeadResult::kBadRequest;
        return Finish(static_cast<size_t>(p + 2 - begin), head);
      }
      if (state_.field_count >= fields_max) {
        return Is(kTokenChar, *p) ? HeadResult::kFieldsTooLarge : HeadResult::kBadRequest;
      }
      component = p;
      [[fallthrough]];

    case Phase::kName:
      // A line that begins with a blank (obsolete folding, or a blank before the first field) and a
      // blank in front of the colon both end here: neither is a tchar.
      p = SkipWhile(kTokenChar, p, end);
      if (p == end) return incomplete(Phase::kName);
      if (*p != ':' || p == component) return HeadResult::kBadRequest;
      state_.name_end = static_cast<uint32_t>(p - begin);
      p++;
      [[fallthrough]];

    case Phase::kValue: {
      p = SkipValue(p, end);
      if (p == end) return incomplete(Phase::kValue);
      if (*p != '\r') return HeadResult::kBadRequest;
      if (p + 1 == end) return incomplete(Phase::kValue);
      if (p[1] != '\n') return HeadResult::kBadRequest;
      const char* const name_end = begin + state_.name_end;
      const std::string_view name(component, name_end);
      const std::string_view value = TrimBlanks({name_end + 1, p});
      head.fields[state_.field_count++] = {name, value};
      const HeadResult result = TakeField(name, value, head);
      if (result != HeadResult::kDone) return result;
      p += 2;
      goto next_field;
    }
  }
  __builtin_unreachable();
}

// Acts on the fields that decide about framing and the connection. kDone: go on.
HeadResult RequestHeadParser::TakeField(std::string_view name, std::string_view value,
                                        RequestHead& head) {
  switch (name.size()) {
    case 4:
      if (!NameIs(name, "host")) break;
      if (state_.has_host || !IsValidAuthority(value)) return HeadResult::kBadRequest;
      state_.has_host = true;
      // RFC 9112 section 3.2.2: the authority of an absolute-form target wins.
      if (!state_.absolute_form) head.host = value;
      break;
    case 6:
      if (!NameIs(name, "expect") || state_.version_minor == 0) break;
      if (!EqualsIgnoreCase(value, "100-continue")) return HeadResult::kExpectationFailed;
      state_.expect_continue = true;
      break;
    case 10:
      if (!NameIs(name, "connection")) break;
      ForEachListElement(value, [this](std::string_view option) {
        if (EqualsIgnoreCase(option, "close")) state_.close = true;
        if (EqualsIgnoreCase(option, "keep-alive")) state_.keep_alive = true;
        return true;
      });
      break;
    case 14:
      if (!NameIs(name, "content-length")) break;
      if (state_.has_content_length || state_.has_transfer_encoding ||
          !ParseContentLength(value, state_.content_length)) {
        return HeadResult::kBadRequest;
      }
      state_.has_content_length = true;
      break;
    case 17:
      if (!NameIs(name, "transfer-encoding")) break;
      // RFC 9112 section 6.1: HTTP/1.0 knows no transfer codings, so its framing must be faulty.
      if (state_.has_transfer_encoding || state_.has_content_length || state_.version_minor == 0) {
        return HeadResult::kBadRequest;
      }
      state_.has_transfer_encoding = true;
      return CheckTransferEncoding(value);
    default:
      break;
  }
  return HeadResult::kDone;
}

HeadResult RequestHeadParser::Finish(size_t head_bytes, RequestHead& head) {
  const State& s = state_;
  if (!s.has_host && s.version_minor != 0) return HeadResult::kBadRequest;
  head.version_minor = s.version_minor;
  head.keep_alive = !s.close && (s.version_minor != 0 || s.keep_alive);
  head.expect_continue = s.expect_continue;
  head.body_framing = s.has_transfer_encoding ? BodyFraming::kChunked
                      : s.has_content_length  ? BodyFraming::kContentLength
                                              : BodyFraming::kNone;
  head.content_length = s.content_length;
  head.head_bytes = static_cast<uint32_t>(head_bytes);
  head.field_count = s.field_count;
  return HeadResult::kDone;
}

}  // namespace ringmaster::http
