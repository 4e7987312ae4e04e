#include "protocols/http/service/http_session.h"
#include "protocols/http/service/saved_session.h"
#include "protocols/http/service/service.h"

// Moving to another process. What a request head, or content of a known length, has brought so far
// stands in the connection's remainder and moves with it: a new session reads it from its first
// byte. What is left to say is what must not be done twice, and the count of requests.
//
// Left out: waiting_ (true, as in a new session, costs one call), the parser, needed_bytes_ and the
// options of a route whose content is awaited (found again with the head, as the new routes have
// them), stopping_ (it was the other process that stopped). Of the options of the route that was
// asked last nothing is known: until the next head begins, the listener's are in force.

namespace ringmaster::http {
namespace {

constexpr uint32_t kStateVersion = 1;

}  // namespace

// Not while an answer is owed, or content is given to somebody; nor on the way out.
bool HttpSession::CanMove(const Connection& connection) const {
  return connection.open() && !gone_ && !last_request_ && pipeline_ == nullptr && body_ == nullptr;
}

void HttpSession::Save(const Connection&, StateWriter& out) const {
  out.Bytes(kSavedTag);
  out.Unsigned(static_cast<uint64_t>(SavedKind::kRequests));
  out.Part(kStateVersion, [this](StateWriter& part) {
    part.Unsigned(next_sequence_);
    part.Bool(admitted_);
    part.Bool(continued_);
  });
}

std::unique_ptr<HttpSession> HttpSession::Restore(Service& service, Connection& connection,
                                                  StateReader::Part saved) {
  auto session = std::make_unique<HttpSession>(service, connection);
  session->next_sequence_ = static_cast<uint32_t>(saved.state.UnsignedUpTo(UINT32_MAX));
  session->admitted_ = saved.state.Bool();
  session->continued_ = saved.state.Bool();
  if (saved.version == 0 || !saved.state.ok()) return nullptr;
  return session;
}

}  // namespace ringmaster::http
