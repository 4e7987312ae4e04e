#pragma once

#include <cstdint>

#include "engine/limits/cidr_set.h"
#include "engine/limits/rate_limit.h"

namespace ringmaster {

// What one client address may use, over all workers. An IPv6 client owns a whole network, so
// addresses are counted by prefix. 0 = no limit.
struct AddressLimits {
  uint32_t connections_max = 0;
  RateLimit accept_rate;   // new connections
  RateLimit request_rate;  // see StreamOptions
  RateLimit message_rate;
  uint8_t ipv4_prefix_bits = 32;
  uint8_t ipv6_prefix_bits = 64;
  // Never counted and never refused by these limits: health checks, load balancers.
  CidrSet exempt;
  // Addresses that are remembered at a time; a power of two. One that finds no room is admitted
  // and counted in address_table_full.
  uint32_t table_entries = 64 * 1024;

  bool limited() const {
    return connections_max > 0 || accept_rate.limited() || request_rate.limited() ||
           message_rate.limited();
  }
  bool operator==(const AddressLimits&) const = default;
};

}  // namespace ringmaster
