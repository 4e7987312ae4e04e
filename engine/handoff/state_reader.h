#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ringmaster {

// Reads what a StateWriter of another process wrote. Never beyond its end: from the first value
// that is not there, or that cannot be right, everything is 0 or empty and ok() is false, so a
// reader may ask for all it wants and look once.
//
//   const uint64_t score = in.Unsigned();
//   const std::string_view name = in.Bytes();  // points into what is read
//   if (!in.ok()) return false;
class StateReader {
 public:
  // `bytes` outlive the reader and what it returns.
  explicit StateReader(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  // Everything was read, and all of it was right.
  bool finished() const { return ok_ && rest_.empty(); }
  size_t bytes_left() const { return rest_.size(); }

  uint64_t Unsigned() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      // The tenth byte has one bit to give.
      if (shift == 63 && byte > 1) break;
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    Fail();
    return 0;
  }
  // At most `max`; more is a failure.
  uint64_t UnsignedUpTo(uint64_t max) {
    const uint64_t value = Unsigned();
    if (value <= max) return value;
    Fail();
    return 0;
  }
  int64_t Signed() {
    const uint64_t value = Unsigned();
    return static_cast<int64_t>(value >> 1 ^ (~(value & 1) + 1));
  }
  bool Bool() { return UnsignedUpTo(1) != 0; }
  std::string_view Bytes() {
    const uint64_t count = Unsigned();
    if (!ok_ || count > rest_.size()) {
      Fail();
      return {};
    }
    const std::string_view bytes = rest_.substr(0, static_cast<size_t>(count));
    rest_.remove_prefix(static_cast<size_t>(count));
    return bytes;
  }

  struct Part;
  // What StateWriter::Part wrote. A failure gives an empty part whose reader fails too.
  Part TakePart();

  // What was read makes no sense.
  void Fail() {
    ok_ = false;
    rest_ = {};
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

struct StateReader::Part {
  uint32_t version = 0;
  StateReader state;
};

inline StateReader::Part StateReader::TakePart() {
  Part part{static_cast<uint32_t>(UnsignedUpTo(UINT32_MAX)), StateReader(Bytes())};
  if (!ok_) part.state.Fail();
  return part;
}

}  // namespace ringmaster
