#pragma once

#include <exception>

#include "engine/connection/connection.h"

namespace ringmaster {

// Every call from the engine into a session goes through here: a handler that throws costs its own
// connection, never the worker.
template <typename Call>
void Connection::Guard(Call&& call) {
  try {
    call();
  } catch (const std::exception& exception) {
    OnHandlerException(exception.what());
  } catch (...) {
    OnHandlerException("an exception of unknown type");
  }
}

}  // namespace ringmaster
