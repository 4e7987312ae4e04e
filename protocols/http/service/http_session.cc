#include "protocols/http/service/http_session.h"

#include <utility>

#include "engine/worker/worker.h"
#include "protocols/http/codec/uri.h"
#include "protocols/http/service/body_progress.h"
#include "protocols/http/service/response.h"
#include "protocols/http/service/service.h"

namespace ringmaster::http {

// One per connection, idle ones included.
static_assert(sizeof(HttpSession) <= 128);

HttpSession::HttpSession(Service& service, Connection& connection)
    : service_(&service), default_options_(&connection.shared_options()) {}

HttpSession::~HttpSession() = default;

size_t HttpSession::OnInput(Connection& connection, std::span<char> input) {
  const std::string_view bytes(input.data(), input.size());
  size_t consumed = 0;
  while (consumed < bytes.size() && connection.receiving()) {
    const std::string_view rest = bytes.substr(consumed);
    if (body_ != nullptr) {
      consumed += ReadBody(connection, rest);
      ReportHeld(connection);
      continue;
    }
    if (last_request_) return bytes.size();
    // Another head begins: until here the bounds of the route that was asked last were in force.
    if (route_options_ && needed_bytes_ == 0) [[unlikely]]
      UseListenerOptions(connection);
    const size_t taken = ReadRequest(connection, rest);
    consumed += taken;
    if (taken == 0 || gone_) break;
  }
  // Also when no byte of the content has come yet: a peer that sends none has the same deadline.
  // Content that came whole is past this already and pays nothing.
  if (!gone_ && body_ != nullptr && connection.open()) Expect(connection, Wait::kBody);
  return consumed;
}

size_t HttpSession::ReadRequest(Connection& connection, std::string_view input) {
  if (input.size() < needed_bytes_) return 0;
  RequestHead& head = service_->scratch().head;
  const HeadResult result = parser_.Parse(input, service_->options().head, head);
  if (result != HeadResult::kDone) [[unlikely]] {
    if (result == HeadResult::kIncomplete) {
      // An empty line alone begins no request: some clients send one behind a body.
      if (input != "\r\n") Expect(connection, Wait::kHeader);
      return 0;
    }
    Refuse(connection, nullptr, static_cast<int>(result));
    return input.size();
  }
  if (service_->options().client_address != ClientAddressSource::kPeer) [[unlikely]] {
    FindClient(connection, head);
    if (!IsLetIn(connection)) return RefuseClient(connection, head, input);
  }
  PathEntry* entry = nullptr;
  std::string_view path;
  if (!FindEntry(head, entry, path)) {
    Refuse(connection, &head, 400);
    return input.size();
  }
  http::Route* const route = entry == nullptr ? nullptr : entry->Find(MethodOf(head.method));
  if (connection.request_rated() || (route != nullptr && route->rated)) [[unlikely]] {
    const RateVerdict verdict = TakeRequest(connection, route);
    if (!verdict.allowed()) return RefuseRate(connection, head, verdict, input);
  }
  // Without a route of its own a path that upgrades answers everything, OPTIONS apart, which asks
  // what it can.
  if (entry != nullptr && entry->upgrade != nullptr &&
      (head.Find("upgrade") || (route == nullptr && MethodOf(head.method) != Method::kOptions))) {
    return Upgrade(connection, head, *entry);
  }
  if (route == nullptr) return AnswerUnrouted(connection, head, entry, path, input);
  bytes_behind_ = input.size() > head.head_bytes;
  if (head.body_framing != BodyFraming::kNone || !route->plain) [[unlikely]] {
    return ReadContent(connection, head, *route, input);
  }
  Complete(connection);
  NewExchange(connection, &head);
  Request request = NewRequest(connection, head);
  request.path_ = path;
  Dispatch(connection, *route, request);
  return head.head_bytes;
}

// The entry of the head's path, nullptr when there is none. False: the path cannot be decoded.
bool HttpSession::FindEntry(const RequestHead& head, PathEntry*& entry, std::string_view& path) {
  Service::Scratch& scratch = service_->scratch();
  scratch.parameters.count = 0;
  path = head.path;
  entry = service_->router().FindExact(path);
  if (entry != nullptr || path.front() != '/') return true;
  if (!IsPlainPath(path)) {
    if (!DecodePath(path, scratch.path)) return false;
    path = scratch.path;
    entry = service_->router().FindExact(path);
    if (entry != nullptr) return true;
  }
  entry = service_->router().FindPattern(path, scratch.parameters);
  return true;
}

Request HttpSession::NewRequest(Connection& connection, const RequestHead& head) const {
  Request request;
  request.connection_ = &connection;
  request.service_ = service_;
  request.head_ = &head;
  request.parameters_ = &service_->scratch().parameters;
  request.path_ = head.path;
  request.client_ = service_->scratch().client;
  request.method_ = MethodOf(head.method);
  return request;
}

Exchange& HttpSession::NewExchange(Connection& connection, const RequestHead* head) {
  Exchange& exchange = service_->scratch().exchange;
  exchange = Exchange();
  exchange.sequence = next_sequence_++;
  exchange.started_at = connection.worker().now();
  service_->scratch().fields.clear();
  const uint32_t requests_max = service_->options().requests_per_connection_max;
  exchange.last_of_client = head != nullptr && !head->keep_alive;
  exchange.close = head == nullptr || exchange.last_of_client || stopping_ ||
                   (requests_max != 0 && next_sequence_ >= requests_max);
  if (head != nullptr) {
    exchange.head_request = head->method == "HEAD";
    exchange.http10 = head->version_minor == 0;
    exchange.method = head->method;
    exchange.target = head->target;
    exchange.client = service_->scratch().client;
  }
  return exchange;
}

void HttpSession::Dispatch(Connection& connection, http::Route& route, Request& request) {
  connection.CountMessage();
  connection.worker().counters().protocol[service_->counter_slots().requests].Add();
  Service::Scratch& scratch = service_->scratch();
  Response response(*this, connection, scratch.exchange, scratch.fields);
  in_handler_ = true;
  route.handler(request, response);
  AfterHandler(connection, response);
}

void HttpSession::AfterHandler(Connection& connection, Response& response) {
  if (response.exchange_ != nullptr) {
    // A handler that set a status or fields and nothing else meant an answer without content; one
    // that did nothing at all is faulty.
    if (response.started_ || response.touched_) {
      response.End();
    } else {
      response.Error(500);
    }
  }
  in_handler_ = false;
  if (service_->scratch().exchange.close) {
    last_request_ = true;
    if (pipeline_ == nullptr) {
      const CloseReason reason = stopping_ ? CloseReason::kServerStopping : CloseReason::kLocal;
      // What may still come would reset the connection, and the answer might be lost on its way.
      const bool ended =
          service_->scratch().exchange.last_of_client && !bytes_behind_ && body_ == nullptr;
      connection.CloseAfterFlush(reason, ended ? Linger::kNo : Linger::kYes);
    }
  } else if (pipeline_ != nullptr &&
             pipeline_->slots.size() >= service_->options().pipelined_requests_max) {
    HoldInput(connection, kHoldPipeline);
  }
}

size_t HttpSession::AnswerUnrouted(Connection& connection, const RequestHead& head,
                                   PathEntry* entry, std::string_view path,
                                   std::string_view input) {
  const size_t behind = input.size() - head.head_bytes;
  // Content that nobody asked for is not read, and the connection is closed: going on when it
  // happens to be here already would let the outcome depend on where the bytes were cut.
  const bool has_content = head.has_content();
  Complete(connection);
  Exchange& exchange = NewExchange(connection, &head);
  Service::Scratch& scratch = service_->scratch();
  Request request = NewRequest(connection, head);
  request.path_ = path;
  exchange.close = exchange.close || has_content || request.method_ == Method::kConnect;
  bytes_behind_ = behind > 0 || has_content;
  Response response(*this, connection, exchange, scratch.fields);
  if (request.method_ == Method::kConnect) {
    response.Error(501);
  } else if (head.path == "*") {
    response.Status(204).Header("Allow", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS").End();
  } else if (entry == nullptr && service_->not_found != nullptr) {
    in_handler_ = true;
    service_->not_found(request, response);
  } else if (entry == nullptr) {
    response.Error(404);
  } else if (request.method_ == Method::kOptions) {
    response.Status(204).Header("Allow", entry->allow).End();
  } else if (request.method_ == Method::kOther) {
    response.Error(501);
  } else {
    response.Header("Allow", entry->allow).Error(405);
  }
  AfterHandler(connection, response);
  return has_content ? input.size() : head.head_bytes;
}

size_t HttpSession::Upgrade(Connection& connection, const RequestHead& head, PathEntry& entry) {
  // The route writes to the connection itself, so everything before must have been answered.
  if (NeedsBarrier(connection)) return 0;
  Complete(connection);
  Exchange& exchange = NewExchange(connection, &head);
  Service::Scratch& scratch = service_->scratch();
  in_handler_ = true;
  std::optional<UpgradeRefusal> refusal = ReaddressToClient(connection);
  if (!refusal) {
    refusal =
        entry.upgrade->Upgrade(connection, head, service_->GenerationLine(connection.worker()));
  }
  if (!refusal) {
    gone_ = true;
    connection.worker().counters().protocol[service_->counter_slots().upgrades].Add();
    return head.head_bytes;
  }
  exchange.close = true;
  bytes_behind_ = true;
  scratch.fields = refusal->extra_fields;
  Response response(*this, connection, exchange, scratch.fields);
  response.Status(refusal->status).Text(refusal->reason + "\n");
  AfterHandler(connection, response);
  return head.head_bytes;
}

void HttpSession::Refuse(Connection& connection, const RequestHead* head, int status,
                         CloseReason reason) {
  Complete(connection);
  Exchange& exchange = NewExchange(connection, head);
  exchange.close = true;
  last_request_ = true;
  Response response(*this, connection, exchange, service_->scratch().fields);
  response.Error(status);
  // Behind other requests: Advance closes when it has been sent.
  if (pipeline_ == nullptr) connection.CloseAfterFlush(reason, Linger::kYes);
}

bool HttpSession::NeedsBarrier(Connection& connection) {
  if (pipeline_ == nullptr) return false;
  HoldInput(connection, kHoldBarrier);
  return true;
}

// An item is incomplete: from its first byte on it has so long to become complete.
void HttpSession::Expect(Connection& connection, Wait wait) {
  waiting_ = true;
  connection.SetWait(wait);
}

// The head, or the content, is complete.
void HttpSession::Complete(Connection& connection) {
  needed_bytes_ = 0;
  admitted_ = false;
  continued_ = false;
  if (waiting_) {
    waiting_ = false;
    connection.ClearWait();
  }
}

void HttpSession::UseOptions(Connection& connection, const http::Route& route) {
  if (!route.options.stream) return;
  route_options_ = true;
  connection.SetOptions(*route.options.stream);
}

void HttpSession::UseListenerOptions(Connection& connection) {
  route_options_ = false;
  connection.SetOptions(*default_options_);
}

void HttpSession::OnInputEnd(Connection& connection, size_t) {
  input_ended_ = true;
  last_request_ = true;
  // A request that is incomplete now stays so. What a streaming route holds of it goes first; it
  // may answer 500 in its destructor.
  std::unique_ptr<BodyProgress> incomplete = std::move(body_);
  incomplete.reset();
  CloseIfIdle(connection);
}

void HttpSession::OnTimeout(Connection& connection, CloseReason reason) {
  if (reason != CloseReason::kHeaderTimeout && reason != CloseReason::kBodyTimeout &&
      reason != CloseReason::kBodyRate) {
    return;
  }
  if (body_ != nullptr) {
    RefuseBody(connection, 408, reason);
  } else if (pipeline_ == nullptr) {
    Refuse(connection, nullptr, 408, reason);
  }
}

void HttpSession::OnStop(Connection& connection) {
  stopping_ = true;
  CloseIfIdle(connection);
  if (pipeline_ == nullptr) return;
  Exchange& last = pipeline_->slots.back().exchange;
  if (last.phase == Exchange::Phase::kUnanswered) {
    last.close = true;
    last_request_ = true;
  }
}

void HttpSession::OnException(Connection& connection, std::string_view) {
  if (gone_ || !connection.open()) return;
  Exchange* exchange = nullptr;
  if (in_handler_) {
    in_handler_ = false;
    PendingExchange* const slot = FindSlot(service_->scratch().exchange.sequence);
    exchange = slot == nullptr ? &service_->scratch().exchange : &slot->exchange;
  } else if (body_ != nullptr && body_->streaming) {
    PendingExchange* const slot = FindSlot(body_->sequence);
    exchange = slot == nullptr ? nullptr : &slot->exchange;
  }
  if (exchange == nullptr || exchange->phase == Exchange::Phase::kDone) return;
  exchange->close = true;
  std::string fields;
  Response(*this, connection, *exchange, fields).Abandon();
}

void HttpSession::OnClosed(Connection&, CloseReason) {
  // First, so that a PendingResponse destroyed by what follows finds nothing to answer.
  gone_ = true;
  const std::unique_ptr<BodyProgress> body = std::move(body_);
  const std::unique_ptr<Pipeline> pipeline = std::move(pipeline_);
}

}  // namespace ringmaster::http
