#include "engine/process/definition_plan.h"

#include <bit>
#include <cstdint>
#include <utility>

#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"

namespace ringmaster {
namespace {

// Raise it when a value is added or changes its meaning.
constexpr uint32_t kPlanVersion = 1;
constexpr uint64_t kListenersMax = 1024;

// Both directions walk the same values in the same order.
class Writing {
 public:
  explicit Writing(StateWriter& out) : out_(out) {}
  void operator()(const std::string& value) { out_.Bytes(value); }
  void operator()(bool value) { out_.Bool(value); }
  void operator()(int value) { out_.Signed(value); }
  void operator()(uint32_t value) { out_.Unsigned(value); }
  void operator()(Duration value) { out_.Signed(value.count()); }
  void operator()(double value) { out_.Unsigned(std::bit_cast<uint64_t>(value)); }

 private:
  StateWriter& out_;
};

class Reading {
 public:
  explicit Reading(StateReader& in) : in_(in) {}
  void operator()(std::string& value) { value = in_.Bytes(); }
  void operator()(bool& value) { value = in_.Bool(); }
  void operator()(int& value) { value = static_cast<int>(in_.Signed()); }
  void operator()(uint32_t& value) { value = static_cast<uint32_t>(in_.UnsignedUpTo(UINT32_MAX)); }
  void operator()(Duration& value) { value = Duration(in_.Signed()); }
  void operator()(double& value) { value = std::bit_cast<double>(in_.Unsigned()); }

 private:
  StateReader& in_;
};

// Stands for one that only the other program has.
Protocol& NobodysProtocol() {
  class Nobodys final : public Protocol {
   public:
    std::string_view name() const override { return "another program's"; }
    std::unique_ptr<Session> NewSession(Connection&) override { return nullptr; }
  };
  static Nobodys protocol;
  return protocol;
}

template <typename Walk, typename Rate>
void WalkRate(Walk& walk, Rate& rate) {
  walk(rate.per_second);
  walk(rate.burst);
}

template <typename Walk, typename Options>
void WalkOptions(Walk& walk, Options& options) {
  walk(options.name);
  walk(options.workers);
  walk(options.pin_workers);
  walk(options.worker_connections_max);
  walk(options.connections_max);
  WalkRate(walk, options.accept_rate);
  walk(options.address.connections_max);
  WalkRate(walk, options.address.accept_rate);
  WalkRate(walk, options.address.request_rate);
  WalkRate(walk, options.address.message_rate);
  walk(options.address.table_entries);
  walk(options.handler_timeout);
  walk(options.handler_kill_timeout);
  walk(options.admin.address);
  walk(options.admin.token);
  walk(options.ready_timeout);
  walk(options.drain_timeout);
  walk(options.drain_spread);
  walk(options.stop_timeout);
  walk(options.pid_file);
  walk(options.control_socket);
  walk(options.log_level);
  walk(options.log_format);
  walk(options.log_file);
}

template <typename Walk, typename Listener>
void WalkListener(Walk& walk, Listener& listener) {
  walk(listener.backlog);
  walk(listener.unix_mode);
  walk(listener.unix_owner);
  walk(listener.unix_group);
  walk(listener.connections_max);
  WalkRate(walk, listener.accept_rate);
}

}  // namespace

std::string WritePlan(const ServerDefinition& server) {
  std::string plan;
  StateWriter out(plan);
  out.Part(kPlanVersion, [&server](StateWriter& part) {
    Writing walk(part);
    WalkOptions(walk, server.options);
    part.Bool(server.admin_protocol != nullptr);
    part.Unsigned(server.listeners().size());
    for (const auto& listener : server.listeners()) {
      part.Bytes(listener->address.ToString());
      WalkListener(walk, *listener);
    }
  });
  return plan;
}

absl::StatusOr<std::unique_ptr<ServerDefinition>> ReadPlan(std::string_view plan) {
  StateReader in(plan);
  StateReader::Part part = in.TakePart();
  if (!in.finished()) return absl::InvalidArgumentError("the plan is cut short");
  if (part.version != kPlanVersion) {
    return absl::InvalidArgumentError("the plan is of another release");
  }
  auto server = std::make_unique<ServerDefinition>();
  Reading walk(part.state);
  WalkOptions(walk, server->options);
  if (part.state.Bool()) server->admin_protocol = &NobodysProtocol();
  const uint64_t count = part.state.UnsignedUpTo(kListenersMax);
  for (uint64_t i = 0; i < count; ++i) {
    ListenerDefinition listener;
    absl::StatusOr<Address> address = Address::Parse(part.state.Bytes());
    WalkListener(walk, listener);
    if (!part.state.ok()) break;
    if (!address.ok()) return address.status();
    listener.address = *std::move(address);
    server->Listen(std::move(listener));
  }
  if (!part.state.finished() || server->listeners().empty()) {
    return absl::InvalidArgumentError("the plan makes no sense");
  }
  return server;
}

}  // namespace ringmaster
