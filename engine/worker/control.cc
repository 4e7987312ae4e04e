#include <cerrno>

#include "engine/base/log.h"
#include "engine/connection/operation.h"
#include "engine/process/control_message.h"
#include "engine/worker/connection_report.h"
#include "engine/worker/orphan.h"
#include "engine/worker/worker.h"

// What the master asks of a worker.

namespace ringmaster {

void Worker::ArmControl() {
  ring_->SubmitRead(environment_.control_fd, control_bytes_, sizeof(control_bytes_), 0,
                    UserData(kOperationControl, 0, 0));
}

void Worker::OnControl(int32_t result) {
  if (result <= 0) {
    if (result == -EINTR || result == -EAGAIN) {
      ArmControl();
      return;
    }
    OnMasterGone();
    return;
  }
  const ControlPacket packet = *ControlPacket::Read(control_bytes_, static_cast<size_t>(result));
  switch (packet.message) {
    case ControlMessage::kStop:
      Stop();
      break;
    case ControlMessage::kStopNow:
      StopNow();
      break;
    case ControlMessage::kServe:
      Serve();
      break;
    case ControlMessage::kResume:
      Resume();
      break;
    case ControlMessage::kTakeBack:
      TakeBack();
      break;
    case ControlMessage::kHandOver:
      BeginHandOver();
      break;
    case ControlMessage::kAdopt:
      BeginAdoption();
      break;
    case ControlMessage::kRetire:
      Retire();
      break;
    case ControlMessage::kList:
      BeginReport(packet.argument);
      break;
    case ControlMessage::kKill:
      Answer(Kill(packet.argument) ? ControlMessage::kKilled : ControlMessage::kNoConnection,
             packet.argument);
      break;
    default:
      break;
  }
  if (!Stopped()) ArmControl();
}

void Worker::RequestReload() {
  if (orphan_ != nullptr) {
    log::Get().warn("no reload: the master of worker {} is gone", index());
    return;
  }
  Answer(ControlMessage::kReload, 0);
}

// A master that does not read has given up waiting for this answer too.
void Worker::Answer(ControlMessage message, uint64_t argument) {
  static_cast<void>(ControlPacket{message, argument}.Send(environment_.control_fd));
}

bool Worker::Kill(uint64_t connection_id) {
  Connection* const connection = Find(connection_id);
  if (connection == nullptr) return false;
  connection->Kill();
  return true;
}

}  // namespace ringmaster
