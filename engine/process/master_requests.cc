#include <fmt/format.h>

#include <charconv>
#include <iterator>
#include <utility>

#include "engine/base/log.h"
#include "engine/connection/connection_id.h"
#include "engine/process/master.h"
#include "engine/stats/shared_status.h"

// What the control socket asks of the master (control_server.h lists it).

namespace ringmaster {

std::optional<std::string> Master::OnRequest(uint64_t client, std::string_view request) {
  if (request == "status" || request == "status json" || request == "status json buckets") {
    if (SharedStatus::Get() == nullptr) return "error the server is starting\n";
    const StatusSnapshot status = StatusSnapshot::Take(*SharedStatus::Get(), MonotonicNow());
    if (request == "status") return StatusTable(status);
    return StatusJson(status, {.buckets = request.ends_with("buckets")});
  }
  if (request == "stop") return OnStopRequest(StopStage::kGraceful);
  if (request == "stop now") return OnStopRequest(StopStage::kNow);
  if (request == "reload") return OnReloadRequest();
  if (request == "upgrade") return OnUpgradeRequest(client);
  if (request.starts_with("reload log ")) return ReloadLog(request.substr(11));
  if (request == "connections") {
    inquiry_.Add(client);
    return std::nullopt;
  }
  if (request.starts_with("kill ")) return OnKillRequest(client, request.substr(5));
  return fmt::format("error unknown request \"{}\"\n", request);
}

std::string Master::OnStopRequest(StopStage stage) {
  BeginStop(stage);
  Duration at_most = kStopNowTimeout + (admin_ ? kStopNowTimeout : Duration::zero());
  if (stop_stage_ == StopStage::kGraceful) at_most += options().stop_timeout;
  return fmt::format("ok {}\n",
                     std::chrono::duration_cast<std::chrono::seconds>(at_most).count() + 1);
}

std::string Master::OnReloadRequest() {
  if (stop_stage_ != StopStage::kNone) return "error the server is stopping\n";
  if (!all_ready_) return "error the server is starting\n";
  if (reload_->running()) {
    return fmt::format(
        "error a reload to generation {} is under way; try again when it has ended\n",
        reload_->number());
  }
  if (upgrade_check_.running() || upgrade_ready_) {
    return "error an upgrade is under way; try again when it has ended\n";
  }
  RequestReload("the reload command");
  return fmt::format("ok {}\n", reload_->number());
}

// Answered when the new program has shown whether it can, before it takes over.
std::optional<std::string> Master::OnUpgradeRequest(uint64_t client) {
  if (stop_stage_ != StopStage::kNone) return "error the server is stopping\n";
  if (!all_ready_) return "error the server is starting\n";
  upgrade_clients_.push_back(client);
  RequestUpgrade("the upgrade command");
  return std::nullopt;
}

// "NUMBER FROM": how the attempt with this number goes, and its lines from FROM on.
std::string Master::ReloadLog(std::string_view arguments) const {
  uint32_t number = 0;
  size_t from = 0;
  const char* const end = arguments.data() + arguments.size();
  const auto first = std::from_chars(arguments.data(), end, number);
  const auto second = std::from_chars(std::min(first.ptr + 1, end), end, from);
  if (first.ec != std::errc() || second.ec != std::errc()) return "error which reload?\n";
  if (number != reload_->number()) {
    return fmt::format("error the reload to generation {} is over, another one came behind it\n",
                       number);
  }
  const bool done = current_->number == number;
  std::string answer = fmt::format("{}\n", reload_->running() ? "running"
                                           : done             ? "done"
                                                              : "abandoned");
  const std::vector<std::string>& lines = reload_->lines();
  for (size_t i = from; i < lines.size(); ++i) answer += lines[i] + '\n';
  return answer;
}

void Master::ContinueInquiry(TimePoint now) {
  if (inquiry_.Done(now)) {
    const std::string answer = inquiry_.TakeAnswer(now);
    for (const uint64_t client : inquiry_.TakeClients()) control_->Answer(client, answer);
  }
  if (inquiry_.running() || !inquiry_.waiting()) return;
  std::vector<uint32_t> workers;
  for (const WorkerSlot& slot : fleet_->slots()) workers.push_back(slot.index());
  const ControlPacket question{ControlMessage::kList, inquiry_.Begin(workers, now)};
  for (const WorkerSlot& slot : fleet_->slots()) {
    if (!slot.Send(question)) inquiry_.OnGone(slot.index());
  }
}

// Connections move from worker to worker and keep their ids, so all are asked.
std::optional<std::string> Master::OnKillRequest(uint64_t client, std::string_view id_text) {
  const std::optional<uint64_t> id = ParseConnectionId(id_text);
  if (!id) return fmt::format("error \"{}\" is no connection's id\n", id_text);
  std::vector<uint32_t> asked;
  for (const WorkerSlot& slot : fleet_->slots()) {
    if (slot.Send({ControlMessage::kKill, *id})) asked.push_back(slot.index());
  }
  if (asked.empty()) {
    return fmt::format("error there is no connection {}: no worker runs\n", id_text);
  }
  kills_.push_back(
      {client, *id, std::move(asked), MonotonicNow() + ConnectionInquiry::kPatience.count()});
  return std::nullopt;
}

void Master::OnKillAnswer(const WorkerSlot& slot, uint64_t id, bool killed) {
  const auto answered = [&](PendingKill& kill) {
    if (kill.id != id) return false;
    std::erase(kill.asked, slot.index());
    if (!killed && !kill.asked.empty()) return false;
    const std::string text = FormatConnectionId(id);
    control_->Answer(kill.client, killed ? fmt::format("killed {}\n", text)
                                         : fmt::format("error there is no connection {}\n", text));
    return true;
  };
  std::erase_if(kills_, answered);
}

void Master::GiveUpKills(TimePoint now) {
  const auto given_up = [&](const PendingKill& kill) {
    if (now < kill.deadline) return false;
    control_->Answer(kill.client,
                     fmt::format("error worker {} is busy: no answer; if it has connection {} it "
                                 "closes it when it goes on\n",
                                 fmt::join(kill.asked, ", "), FormatConnectionId(kill.id)));
    return true;
  };
  std::erase_if(kills_, given_up);
}

}  // namespace ringmaster
