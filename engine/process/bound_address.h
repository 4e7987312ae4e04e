#pragma once

#include <string>

namespace ringmaster {

// Where a socket is bound, in the form of Address::ToString(); "?" for what is no socket.
std::string BoundAddress(int fd);

}  // namespace ringmaster
