#pragma once

#include <exception>

#include "engine/connection/connection.h"
#include "engine/worker/worker.h"

namespace ringmaster {

// Every call from the engine into a session goes through here: a handler that throws costs its own
// connection, never the worker.
template <typename Call>
void Connection::Guard(Call&& call) {
  // For the watchdog: whom the handler serves that holds the loop.
  const Worker::Delivering delivering(*worker_, *this);
  try {
    call();
  } catch (const std::exception& exception) {
    OnHandlerException(exception.what());
  } catch (...) {
    OnHandlerException("an exception of unknown type");
  }
}

}  // namespace ringmaster
