#include "protocols/http/service/pending_response.h"

#include <utility>

#include "engine/worker/worker.h"
#include "protocols/http/service/http_session.h"
#include "protocols/http/service/response.h"

namespace ringmaster::http {

PendingResponse::PendingResponse(PendingResponse&& other) noexcept { *this = std::move(other); }

PendingResponse& PendingResponse::operator=(PendingResponse&& other) noexcept {
  if (this == &other) return *this;
  AnswerIfForgotten();
  worker_ = std::exchange(other.worker_, nullptr);
  connection_id_ = other.connection_id_;
  sequence_ = other.sequence_;
  return *this;
}

PendingResponse::~PendingResponse() { AnswerIfForgotten(); }

HttpSession* PendingResponse::FindSession() const {
  if (worker_ == nullptr) return nullptr;
  Connection* const connection = worker_->Find(connection_id_);
  // The session is another one when the connection was upgraded since.
  return connection == nullptr ? nullptr : dynamic_cast<HttpSession*>(connection->session());
}

PendingExchange* PendingResponse::FindSlot() const {
  HttpSession* const session = FindSession();
  return session == nullptr ? nullptr : session->FindSlot(sequence_);
}

bool PendingResponse::alive() const { return FindSlot() != nullptr; }

bool PendingResponse::With(absl::FunctionRef<void(Response&)> answer) {
  PendingExchange* const slot = FindSlot();
  if (slot == nullptr) return false;
  std::string fields;
  Response response(*FindSession(), *worker_->Find(connection_id_), slot->exchange, fields);
  answer(response);
  return true;
}

void PendingResponse::PauseBody() {
  if (HttpSession* session = FindSession()) session->PauseBody(*worker_->Find(connection_id_));
}

void PendingResponse::ResumeBody() {
  if (HttpSession* session = FindSession()) session->ResumeBody(*worker_->Find(connection_id_));
}

void PendingResponse::AnswerIfForgotten() noexcept {
  try {
    With([](Response& response) { response.Abandon(); });
  } catch (...) {
    // Out of memory for a 500: the connection's timeouts end it.
  }
  worker_ = nullptr;
}

}  // namespace ringmaster::http
