#include "engine/listener/door.h"

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/listener/farewell.h"
#include "engine/ring/ring.h"
#include "engine/worker/worker.h"

namespace ringmaster {
namespace {

Counter& CounterOf(WorkerCounters& counters, Refusal refusal) {
  switch (refusal) {
    case Refusal::kDenied:
      return counters.refused_denied;
    case Refusal::kProxyUntrusted:
      return counters.refused_proxy_untrusted;
    case Refusal::kAddressMax:
      return counters.refused_address_max;
    case Refusal::kAddressRate:
      return counters.refused_address_rate;
    case Refusal::kListenerRate:
      return counters.refused_listener_rate;
    case Refusal::kServerRate:
      return counters.refused_server_rate;
    case Refusal::kWorkerMax:
      return counters.refused_worker_max;
    case Refusal::kListenerMax:
      return counters.refused_listener_max;
    case Refusal::kServerMax:
      return counters.refused_server_max;
    case Refusal::kNone:
    case Refusal::kGone:
      break;
  }
  CHECK(false);
}

// Who is not wanted at all hears nothing and costs nothing more.
bool DeservesGoodbye(Refusal refusal) {
  return refusal != Refusal::kDenied && refusal != Refusal::kProxyUntrusted;
}

}  // namespace

std::string_view RefusalName(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone:
      return "none";
    case Refusal::kGone:
      return "it is gone";
    case Refusal::kDenied:
      return "its address is denied or not allowed";
    case Refusal::kProxyUntrusted:
      return "it is no trusted proxy";
    case Refusal::kAddressMax:
      return "connections_max of its address";
    case Refusal::kAddressRate:
      return "accept_rate of its address";
    case Refusal::kListenerRate:
      return "accept_rate of the listener";
    case Refusal::kServerRate:
      return "accept_rate of the server";
    case Refusal::kWorkerMax:
      return "worker_connections_max";
    case Refusal::kListenerMax:
      return "connections_max of the listener";
    case Refusal::kServerMax:
      return "connections_max of the server";
  }
  return "unknown";
}

Door::Door(Worker& worker, const ServerDefinition& server, SharedLimits* limits)
    : worker_(worker),
      options_(server.options),
      limits_(limits),
      server_rate_(server.options.accept_rate) {
  if (limits_ != nullptr) {
    addresses_ = limits_->Addresses(worker.index(), worker.counters().address_table_full);
  }
  for (const auto& definition : server.listeners()) {
    Rules rules;
    rules.definition = definition.get();
    rules.rate = Gcra(definition->accept_rate);
    rules.needs_peer = !definition->allow.empty() || !definition->deny.empty() ||
                       definition->proxy_protocol || addresses_ != nullptr;
    rules.judges = rules.needs_peer || rules.rate.limited() || server_rate_.limited();
    rules.counts = definition->connections_max > 0 || options_.connections_max > 0;
    rules_.push_back(rules);
  }
}

Refusal Door::JudgeByRules(Arrival& arrival) {
  const uint32_t listener = arrival.listener;
  const Rules& rules = rules_[listener];
  const ListenerDefinition& definition = *rules.definition;
  if (rules.needs_peer) {
    arrival.peer = worker_.ring().PeerOf(arrival.fd);
    // A health check connects and resets: that is no refusal, and no stranger.
    if (arrival.peer.family == AF_UNSPEC) return Refusal::kGone;
  }
  if (definition.proxy_protocol) {
    if (!definition.trusted_proxies.Contains(arrival.peer)) return Refusal::kProxyUntrusted;
  } else {
    const Refusal refusal = JudgeClient(rules, arrival.peer, arrival.address);
    if (refusal != Refusal::kNone) return refusal;
  }
  const TimePoint now = worker_.now();
  if (rules.rate.limited() &&
      !limits_->AllowNew(SharedLimits::ListenerGate(listener), rules.rate, now)) {
    return Refusal::kListenerRate;
  }
  if (server_rate_.limited() && !limits_->AllowNew(SharedLimits::kServerGate, server_rate_, now)) {
    return Refusal::kServerRate;
  }
  return Refusal::kNone;
}

bool Door::IsListed(const ListenerDefinition& definition, const PeerAddress& client) {
  return !definition.deny.Contains(client) &&
         (definition.allow.empty() || definition.allow.Contains(client));
}

Refusal Door::JudgeClient(const Rules& rules, const PeerAddress& client, AddressHandle& address) {
  if (!IsListed(*rules.definition, client)) return Refusal::kDenied;
  if (addresses_ == nullptr) return Refusal::kNone;
  const AddressTable::Admission admission = addresses_->Admit(client, worker_.now());
  if (admission.verdict == AddressTable::Verdict::kTooMany) return Refusal::kAddressMax;
  if (admission.verdict == AddressTable::Verdict::kTooFast) return Refusal::kAddressRate;
  address = admission.handle;
  return Refusal::kNone;
}

Refusal Door::Room(uint32_t listener) const {
  if (worker_.AtConnectionLimit()) return Refusal::kWorkerMax;
  const Rules& rules = rules_[listener];
  if (!rules.counts) return Refusal::kNone;
  const uint32_t listener_max = rules.definition->connections_max;
  if (listener_max > 0 && limits_->count(SharedLimits::ListenerGate(listener)) >= listener_max) {
    return Refusal::kListenerMax;
  }
  const uint32_t server_max = options_.connections_max;
  if (server_max > 0 && limits_->count(SharedLimits::kServerGate) >= server_max) {
    return Refusal::kServerMax;
  }
  return Refusal::kNone;
}

Refusal Door::TakePlace(uint32_t listener) {
  if (worker_.AtConnectionLimit()) return Refusal::kWorkerMax;
  const Rules& rules = rules_[listener];
  if (!rules.counts) return Refusal::kNone;
  const uint32_t worker = worker_.index();
  const uint32_t listener_gate = SharedLimits::ListenerGate(listener);
  if (!limits_->Enter(listener_gate, rules.definition->connections_max, worker)) {
    return Refusal::kListenerMax;
  }
  if (!limits_->Enter(SharedLimits::kServerGate, options_.connections_max, worker)) {
    limits_->Leave(listener_gate, worker);
    return Refusal::kServerMax;
  }
  return Refusal::kNone;
}

void Door::TakePlaceAnyway(uint32_t listener) {
  if (!rules_[listener].counts) return;
  limits_->Enter(SharedLimits::ListenerGate(listener), 0, worker_.index());
  limits_->Enter(SharedLimits::kServerGate, 0, worker_.index());
}

AddressHandle Door::TakeOver(uint32_t listener, const PeerAddress& peer) {
  TakePlaceAnyway(listener);
  return addresses_ == nullptr ? kNoAddressHandle : addresses_->Readmit(peer, worker_.now());
}

void Door::Leave(uint32_t listener, AddressHandle address) {
  if (addresses_ != nullptr) addresses_->Leave(address);
  if (!rules_[listener].counts) return;
  limits_->Leave(SharedLimits::ListenerGate(listener), worker_.index());
  limits_->Leave(SharedLimits::kServerGate, worker_.index());
}

Refusal Door::Readdress(uint32_t listener, AddressHandle& address, const PeerAddress& client) {
  AddressHandle moved = kNoAddressHandle;
  const Refusal refusal = JudgeClient(rules_[listener], client, moved);
  if (refusal != Refusal::kNone) {
    CountRefusal(refusal, client);
    return refusal;
  }
  if (addresses_ != nullptr) addresses_->Leave(address);
  address = moved;
  return Refusal::kNone;
}

bool Door::LetsIn(uint32_t listener, const PeerAddress& client) {
  if (IsListed(*rules_[listener].definition, client)) return true;
  CountRefusal(Refusal::kDenied, client);
  return false;
}

void Door::Refuse(const Arrival& arrival, Refusal refusal) {
  if (refusal == Refusal::kGone) {
    worker_.farewell().Say(arrival.fd, {});
    return;
  }
  if (addresses_ != nullptr) addresses_->Leave(arrival.address);
  PeerAddress peer = arrival.peer;
  if (peer.family == AF_UNSPEC) peer = worker_.ring().PeerOf(arrival.fd);
  CountRefusal(refusal, peer);
  const std::string_view goodbye =
      DeservesGoodbye(refusal) ? rules_[arrival.listener].definition->protocol->RefusalGoodbye()
                               : std::string_view();
  worker_.farewell().Say(arrival.fd, goodbye);
}

void Door::CountRefusal(Refusal refusal, const PeerAddress& peer) {
  CounterOf(worker_.counters(), refusal).Add();
  uint64_t left_out = 0;
  if (!log_budget_.Admit(worker_.now(), left_out)) return;
  if (left_out > 0) log::Get().info("{} more refused connections were not logged", left_out);
  log::Get().info("connection of {} refused: {}", peer.ToString(), RefusalName(refusal));
}

uint32_t Door::GateOf(uint32_t listener, Refusal limit) {
  return limit == Refusal::kServerMax ? SharedLimits::kServerGate
                                      : SharedLimits::ListenerGate(listener);
}

void Door::AddWaiting(uint32_t listener, Refusal limit, int change) {
  if (IsShared(limit)) limits_->AddWaiting(GateOf(listener, limit), worker_.index(), change);
}

bool Door::OthersWait(uint32_t listener, Refusal limit) const {
  return IsShared(limit) && limits_->OthersWait(GateOf(listener, limit), worker_.index());
}

}  // namespace ringmaster
