#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"

namespace ringmaster {

// An application's context that says how to save and load itself (state_writer.h has an example).
// `Load` is called on a default-constructed one; false, or a throw: this state cannot be used, and
// the connection stays where it was.
template <typename Context>
concept SavedContext = requires(Context& context, const Context& saved, StateWriter& out,
                                StateReader& in, uint32_t version) {
  { Context::kStateVersion } -> std::convertible_to<uint32_t>;
  saved.Save(out);
  { context.Load(in, version) } -> std::same_as<bool>;
};

// Whether a connection with such a context can move to another process: nothing to save, or a type
// that knows how. Others drain where they are.
template <typename Context>
inline constexpr bool kContextMoves = std::is_void_v<Context> || SavedContext<Context>;
// (An if constexpr, because std::is_empty of void is ill-formed.)
template <typename Context>
requires(!std::is_void_v<Context> &&
         std::is_empty_v<Context>) inline constexpr bool kContextMoves<Context> = true;

template <typename Context>
void SaveContext(const Context& context, StateWriter& out) {
  if constexpr (SavedContext<Context>) {
    out.Part(Context::kStateVersion, [&](StateWriter& part) { context.Save(part); });
  } else {
    out.Part(0, [](StateWriter&) {});
  }
}

// `in` stands where SaveContext wrote, perhaps for an older or a newer version of the type.
template <typename Context>
bool LoadContext(Context& context, StateReader& in) {
  StateReader::Part part = in.TakePart();
  if (!in.ok()) return false;
  if constexpr (SavedContext<Context>) {
    return context.Load(part.state, part.version) && part.state.ok();
  } else {
    return true;
  }
}

}  // namespace ringmaster
