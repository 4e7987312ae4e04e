#pragma once

#include <cstdint>
#include <string_view>

#include "engine/connection/address.h"
#include "engine/limits/address_handle.h"

namespace ringmaster {

// Why the door refuses a connection; each has its counter. The names of the limits are those of the
// options.
enum class Refusal : uint8_t {
  kNone,
  kGone,            // it has closed already, and nobody can say whose it was; not counted
  kDenied,          // in `deny`, or not in `allow`
  kProxyUntrusted,  // proxy_protocol, and not from trusted_proxies
  kAddressMax,
  kAddressRate,
  kListenerRate,
  kServerRate,
  kWorkerMax,
  kListenerMax,
  kServerMax,
};
// For the log: "connections_max of its address".
std::string_view RefusalName(Refusal refusal);

// A connection that was accepted and for which nothing has been allocated yet.
struct Arrival {
  int fd = -1;
  uint16_t listener = 0;
  PeerAddress peer;  // unspecified where nothing has asked for it
  AddressHandle address = kNoAddressHandle;
};

}  // namespace ringmaster
