#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace ringmaster {

// Writes the state of something that is to live on in another process: a connection, a session, an
// application's context. Plain values one behind the other, without names: the reader asks for the
// same ones in the same order (state_reader.h), and a version number says which ones those are.
//
//   struct Player {
//     std::string name;
//     uint64_t score = 0;
//
//     static constexpr uint32_t kStateVersion = 2;  // 1 had no score
//     void Save(StateWriter& out) const {
//       out.Bytes(name);
//       out.Unsigned(score);
//     }
//     bool Load(StateReader& in, uint32_t version) {
//       name = in.Bytes();
//       if (version >= 2) score = in.Unsigned();
//       return true;
//     }
//   };
//
// Integers are little-endian base 128 (LEB128), signed ones zigzag; bytes have their length in
// front. May throw std::bad_alloc.
class StateWriter {
 public:
  // Appends to `out`, which outlives the writer.
  explicit StateWriter(std::string& out) : out_(out) {}

  void Unsigned(uint64_t value) {
    while (value >= 0x80) {
      out_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out_.push_back(static_cast<char>(value));
  }
  void Signed(int64_t value) {
    Unsigned(static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63));
  }
  void Bool(bool value) { out_.push_back(value ? 1 : 0); }
  void Bytes(std::string_view bytes) {
    Unsigned(bytes.size());
    out_.append(bytes);
  }

  // A part that its reader may leave out, and whose reader sees nothing beyond it: a version, and
  // what `write(StateWriter&)` writes.
  template <typename Write>
  void Part(uint32_t version, Write&& write) {
    Unsigned(version);
    Sized(std::forward<Write>(write));
  }

  // What `write(StateWriter&)` writes, as Bytes would.
  template <typename Write>
  void Sized(Write&& write) {
    const size_t begin = out_.size();
    out_.append(kLengthBytes, '\0');
    write(*this);
    size_t length = out_.size() - begin - kLengthBytes;
    // Written behind what it counts, so in its full width.
    for (size_t i = 0; i < kLengthBytes; ++i, length >>= 7) {
      const uint8_t more = i + 1 < kLengthBytes ? 0x80 : 0;
      out_[begin + i] = static_cast<char>((length & 0x7f) | more);
    }
  }

  // What Bytes would append behind the count, for who has many of them in pieces.
  std::string& appended() { return out_; }

 private:
  static constexpr size_t kLengthBytes = 5;  // up to 32 GiB

  std::string& out_;
};

}  // namespace ringmaster
