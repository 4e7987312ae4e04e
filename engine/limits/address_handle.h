#pragma once

#include <cstdint>

namespace ringmaster {

// Where an address stands in the AddressTable: what a connection keeps (32 bits) from Admit to
// Leave.
using AddressHandle = uint32_t;
// Of a connection that is not counted by address: limits are off, it is exempt, comes through a
// unix socket, or found no room. Every function of the table takes it and then limits nothing.
inline constexpr AddressHandle kNoAddressHandle = UINT32_MAX;

}  // namespace ringmaster
