#include "engine/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace ringmaster {

absl::Status ServerDefinition::Listen(std::string_view address, Protocol& protocol,
                                      const StreamOptions& stream) {
  absl::StatusOr<Address> parsed = Address::Parse(address);
  if (!parsed.ok()) return parsed.status();
  ListenerDefinition listener;
  listener.address = *parsed;
  listener.protocol = &protocol;
  listener.stream = stream;
  Listen(std::move(listener));
  return absl::OkStatus();
}

void ServerDefinition::Listen(ListenerDefinition listener) {
  listeners_.push_back(std::make_unique<ListenerDefinition>(std::move(listener)));
}

absl::Status ServerDefinition::Validate() const {
  if (!error_.ok()) return error_;
  for (const auto& listener : listeners_) {
    if (listener->protocol == nullptr) continue;  // whoever serves it does so without sessions
    if (listener->proxy_protocol != listener->protocol->NamesPeer()) {
      return absl::InvalidArgumentError(
          "proxy_protocol and what the listener speaks do not agree: add it with proxy::Listen");
    }
  }
  for (const auto& validator : validators) {
    if (absl::Status status = validator(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

std::vector<std::string> ListenerKeys(const ServerDefinition& server) {
  std::vector<std::string> keys;
  for (const auto& listener : server.listeners()) {
    const std::string address = listener->address.ToString();
    std::string key = address;
    for (int i = 2; std::find(keys.begin(), keys.end(), key) != keys.end(); ++i) {
      key = fmt::format("{} ({})", address, i);
    }
    keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace ringmaster
