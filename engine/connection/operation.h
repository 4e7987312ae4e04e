#pragma once

#include <cstdint>

namespace ringmaster {

// The operation byte of UserData: who gets a completion.
enum Operation : uint8_t {
  kOperationNone = 0,
  // Of a connection; slot and generation name it.
  kOperationReceive,
  kOperationReceiveTimeout,  // linked; never completes by itself
  kOperationSend,
  kOperationSendTimeout,
  kOperationFileRead,
  kOperationConnect,
  kOperationConnectTimeout,
  kOperationUpdateTimeout,
  kOperationCancel,
  // Of the worker.
  kOperationAccept,        // slot = position of the listener
  kOperationAcceptCancel,  // slot = position of the listener
  kOperationDiscard,       // slot = place in the farewell
  kOperationClose,         // slot = descriptor, for the crash message only
  kOperationControl,
  kOperationHandoff,  // slot = HandoffSide
  kOperationOrphan,   // slot = poll or cancel
  kOperationWake,
};

constexpr bool IsOfConnection(Operation operation) {
  return operation >= kOperationReceive && operation <= kOperationCancel;
}

}  // namespace ringmaster
