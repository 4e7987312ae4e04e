#include "protocols/http/service/exchange.h"

#include <unistd.h>

#include <utility>

namespace ringmaster::http {

OutputPiece& OutputPiece::operator=(OutputPiece&& other) noexcept {
  bytes = std::move(other.bytes);
  shared = other.shared;
  owner = std::move(other.owner);
  std::swap(fd, other.fd);
  offset = other.offset;
  count = other.count;
  return *this;
}

OutputPiece::~OutputPiece() {
  if (fd >= 0) close(fd);
}

}  // namespace ringmaster::http
