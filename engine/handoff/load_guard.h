#pragma once

#include <exception>
#include <string_view>

namespace ringmaster {

class Connection;

// Logs that what another process has saved of `connection` could not be loaded. At a bounded rate:
// a mistake in the release that just came is met by every connection that is to move.
void LogLoadFailure(const Connection& connection, std::string_view what);

// `load()`, which runs an application's code (saved_context.h); what it throws is a no.
template <typename Load>
bool LoadGuarded(const Connection& connection, Load&& load) {
  try {
    return load();
  } catch (const std::exception& exception) {
    LogLoadFailure(connection, exception.what());
  } catch (...) {
    LogLoadFailure(connection, "an exception of unknown type");
  }
  return false;
}

}  // namespace ringmaster
