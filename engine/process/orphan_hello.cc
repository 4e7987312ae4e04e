#include "engine/process/orphan_hello.h"

#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"

namespace ringmaster {

std::string OrphanHello::Write() const {
  std::string bytes;
  StateWriter(bytes).Part(kVersion, [this](StateWriter& out) {
    out.Unsigned(index);
    out.Unsigned(generation);
    out.Unsigned(connection_prefix);
    out.Unsigned(connections);
    out.Unsigned(served.size());
    for (const pid_t pid : served) out.Unsigned(static_cast<uint64_t>(pid));
    out.Unsigned(listeners.size());
    for (const std::string& key : listeners) out.Bytes(key);
  });
  return bytes;
}

std::optional<OrphanHello> OrphanHello::Read(std::string_view bytes) {
  StateReader whole(bytes);
  StateReader::Part part = whole.TakePart();
  if (!whole.finished() || part.version != kVersion) return std::nullopt;
  StateReader& in = part.state;
  OrphanHello hello;
  hello.index = static_cast<uint32_t>(in.UnsignedUpTo(UINT32_MAX));
  hello.generation = static_cast<uint32_t>(in.UnsignedUpTo(UINT32_MAX));
  hello.connection_prefix = static_cast<uint16_t>(in.UnsignedUpTo(UINT16_MAX));
  hello.connections = in.Unsigned();
  hello.served.resize(in.UnsignedUpTo(kListSizeMax));
  for (pid_t& pid : hello.served) pid = static_cast<pid_t>(in.UnsignedUpTo(INT32_MAX));
  hello.listeners.resize(in.UnsignedUpTo(kListSizeMax));
  for (std::string& key : hello.listeners) key = in.Bytes();
  if (!in.finished()) return std::nullopt;
  return hello;
}

}  // namespace ringmaster
