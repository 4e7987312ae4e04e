#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

namespace ringmaster::simulation {

// Bytes on their way through a socket, oldest first.
class ByteQueue {
 public:
  size_t size() const { return bytes_.size() - begin_; }
  bool empty() const { return size() == 0; }
  void Append(std::string_view bytes) { bytes_.append(bytes); }
  // Moves up to `bytes_max` bytes from the front to `out` and returns how many.
  size_t Take(char* out, size_t bytes_max) {
    const size_t bytes = std::min(bytes_max, size());
    std::memcpy(out, bytes_.data() + begin_, bytes);
    begin_ += bytes;
    // Compact only when most of the string is behind us, so that taking stays linear.
    if (begin_ >= 4096 && begin_ * 2 >= bytes_.size()) {
      bytes_.erase(0, begin_);
      begin_ = 0;
    } else if (begin_ == bytes_.size()) {
      Clear();
    }
    return bytes;
  }
  void Clear() {
    bytes_.clear();
    begin_ = 0;
  }

 private:
  std::string bytes_;
  size_t begin_ = 0;
};

}  // namespace ringmaster::simulation
