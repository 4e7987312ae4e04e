#include "protocols/http/service/pending_response.h"

#include <string>
#include <utility>

#include "engine/connection/connection.h"
#include "protocols/http/service/exchange.h"
#include "protocols/http/service/http_session.h"
#include "protocols/http/service/response.h"

namespace ringmaster::http {

PendingResponse::PendingResponse(PendingResponse&& other) noexcept { *this = std::move(other); }

PendingResponse& PendingResponse::operator=(PendingResponse&& other) noexcept {
  if (this == &other) return *this;
  AnswerIfForgotten();
  link_ = std::move(other.link_);
  sequence_ = other.sequence_;
  return *this;
}

PendingResponse::~PendingResponse() { AnswerIfForgotten(); }

PendingExchange* PendingResponse::FindSlot() const {
  if (link_ == nullptr || link_->session == nullptr) return nullptr;
  return link_->session->FindSlot(sequence_);
}

bool PendingResponse::alive() const { return FindSlot() != nullptr; }

bool PendingResponse::With(absl::FunctionRef<void(Response&)> answer) {
  PendingExchange* const slot = FindSlot();
  if (slot == nullptr) return false;
  std::string fields;
  Response response(*link_->session, *link_->connection, slot->exchange, fields);
  answer(response);
  return true;
}

void PendingResponse::PauseBody() {
  if (alive()) link_->session->PauseBody(*link_->connection);
}

void PendingResponse::ResumeBody() {
  if (alive()) link_->session->ResumeBody(*link_->connection);
}

void PendingResponse::AnswerIfForgotten() noexcept {
  try {
    With([](Response& response) { response.Abandon(); });
  } catch (...) {
    // No memory for a 500 either. While an answer is owed no deadline runs that would end this.
    if (FindSlot() != nullptr) link_->connection->Abort(CloseReason::kNoMemory);
  }
  link_.reset();
}

}  // namespace ringmaster::http
