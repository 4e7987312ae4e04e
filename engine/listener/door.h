#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/base/log_budget.h"
#include "engine/limits/address_table.h"
#include "engine/limits/gcra.h"
#include "engine/limits/shared_limits.h"
#include "engine/listener/arrival.h"
#include "engine/server.h"

namespace ringmaster {

class Worker;

// The door of one worker: may this connection come in, and is there room for it? Everything here
// happens before a connection is allocated. In this order, so that whoever a narrow limit refuses
// uses up nothing of a wider one (one address that hammers must not eat the accept rate of all):
//
//     allow, deny, trusted proxy ─ address: connections, rate ─ rate of listener, of server Judge
//     ─ room in worker, listener, server TakePlace
//
// Each of these that is not configured costs a branch; the peer's address is asked for only where
// an address decides. Outbound connections do not come through the door: of these limits only
// worker_connections_max counts them.
//
// Behind the PROXY protocol the socket's peer is the proxy: then the address rules wait for
// Readdress.
class Door {
 public:
  // `limits` as SharedLimits of the server, or nullptr where no limit needs it.
  Door(Worker& worker, const ServerDefinition& server, SharedLimits* limits);
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  // What does not depend on room. kNone: counted for its address and in the rates; Refuse or Leave
  // gives its address back.
  Refusal Judge(Arrival& arrival) {
    return rules_[arrival.listener].judges ? JudgeByRules(arrival) : Refusal::kNone;
  }
  // Room for one more: kNone, and it is reserved, or the limit that leaves none.
  Refusal TakePlace(uint32_t listener);
  // For what was let in before the server began to stop: reserved, limit or not.
  void TakePlaceAnyway(uint32_t listener);
  // For a connection that another worker has had: its place, and its address counted.
  AddressHandle TakeOver(uint32_t listener, const PeerAddress& peer);
  // What TakePlace would say now.
  Refusal Room(uint32_t listener) const;
  // A place that was taken and an address that was counted, when the connection is gone.
  void Leave(uint32_t listener, AddressHandle address);

  // The connection turns out to come from `client`: its count moves there, or it is refused, by
  // deny, allow and the limits of the address; then nothing has changed.
  Refusal Readdress(uint32_t listener, AddressHandle& address, const PeerAddress& client);

  // Whether allow and deny let `client` in; a refusal is counted and logged.
  bool LetsIn(uint32_t listener, const PeerAddress& client);

  // Counts, logs at a bounded rate, says the protocol's goodbye and closes. No place was taken.
  void Refuse(const Arrival& arrival, Refusal refusal);
  void CountRefusal(Refusal refusal, const PeerAddress& peer);

  // Waiting for room that another worker may make.
  static bool IsShared(Refusal refusal) {
    return refusal == Refusal::kListenerMax || refusal == Refusal::kServerMax;
  }
  void AddWaiting(uint32_t listener, Refusal limit, int change);
  bool OthersWait(uint32_t listener, Refusal limit) const;

  AddressTable* addresses() { return addresses_.get(); }

 private:
  struct Rules {
    const ListenerDefinition* definition;
    Gcra rate;
    bool judges = false;      // Judge has something to do
    bool needs_peer = false;  // ... with the peer's address
    bool counts = false;      // TakePlace has more to look at than the worker
  };
  Refusal JudgeByRules(Arrival& arrival);
  static bool IsListed(const ListenerDefinition& definition, const PeerAddress& client);
  Refusal JudgeClient(const Rules& rules, const PeerAddress& client, AddressHandle& address);
  static uint32_t GateOf(uint32_t listener, Refusal limit);

  Worker& worker_;
  const ServerOptions& options_;
  SharedLimits* const limits_;
  const Gcra server_rate_;
  std::vector<Rules> rules_;
  std::unique_ptr<AddressTable> addresses_;
  LogBudget log_budget_;
};

}  // namespace ringmaster
