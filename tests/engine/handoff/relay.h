#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/descriptor_passing.h"
#include "engine/handoff/batch.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"

namespace ringmaster {

// One end of a hand-off's channel in a test's hand, which says what it likes.
inline std::optional<ReceivedDescriptors> TakeMessage(int channel) {
  ReceivedDescriptors message = ReceiveDescriptors(channel, HandoffBatch::kMessageBytesMax);
  if (message.bytes.empty()) return std::nullopt;
  return message;
}

inline bool Pass(int channel, const ReceivedDescriptors& message) {
  std::vector<int> fds;
  for (const UniqueFd& fd : message.fds) fds.push_back(fd.get());
  return SendDescriptors(channel, message.bytes, fds);
}

struct BatchHeader {
  uint64_t version = HandoffBatch::kVersion;
  uint64_t sequence = 1;
  uint64_t count = 0;
  bool more = false;

  std::string Encode() const {
    std::string bytes;
    StateWriter out(bytes);
    out.Unsigned(version);
    out.Unsigned(sequence);
    out.Unsigned(count);
    out.Bool(more);
    return bytes;
  }
  static BatchHeader Decode(std::string_view bytes) {
    StateReader in(bytes);
    BatchHeader header;
    header.version = in.Unsigned();
    header.sequence = in.Unsigned();
    header.count = in.Unsigned();
    header.more = in.Bool();
    return header;
  }
};

// An answer, or the giver's word.
inline std::string Verdict(uint64_t sequence, std::string_view each) {
  std::string bytes;
  StateWriter out(bytes);
  out.Unsigned(sequence);
  out.Bytes(each);
  return bytes;
}

}  // namespace ringmaster
