#pragma once

#include <cstdint>
#include <string>
#include <string_view>

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
    std::string part;
    StateWriter inner(part);
    write(inner);
    Unsigned(version);
    Bytes(part);
  }

 private:
  std::string& out_;
};

}  // namespace ringmaster
