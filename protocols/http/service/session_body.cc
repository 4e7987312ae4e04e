#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/worker/worker.h"
#include "protocols/http/service/body_progress.h"
#include "protocols/http/service/http_session.h"
#include "protocols/http/service/response.h"
#include "protocols/http/service/service.h"

// Requests with content, and routes that are not plain. Three ways:
//   known length, collected   stays in the connection's input until it is whole; nothing is copied
//   chunked, collected        decoded into BodyProgress::collected
//   streaming route           given to the callbacks as it arrives

namespace ringmaster::http {

size_t HttpSession::ReadContent(Connection& connection, const RequestHead& head, http::Route& route,
                                std::string_view input) {
  const bool streaming = route.streaming_handler != nullptr;
  const bool has_length = head.body_framing == BodyFraming::kContentLength;
  if (route.options.body_required && head.body_framing == BodyFraming::kNone) {
    Refuse(connection, &head, 411);
    return input.size();
  }
  if (has_length && head.content_length > route.options.body_bytes_max) {
    Refuse(connection, &head, 413);
    return input.size();
  }
  const size_t behind = input.size() - head.head_bytes;
  // Also sent when content is here already, although RFC 9110 section 10.1.1 lets a server leave it
  // out then: what the peer sees must not depend on how its bytes were cut.
  const bool send_continue = head.expect_continue && !continued_ &&
                             head.body_framing != BodyFraming::kNone &&
                             !(has_length && head.content_length == 0);
  // The 100 must not come in front of an earlier answer.
  if (send_continue && NeedsBarrier(connection)) return 0;
  if (streaming || head.body_framing == BodyFraming::kChunked) {
    Complete(connection);
    BeginBody(connection, head, route, input.substr(0, head.head_bytes), send_continue);
    return head.head_bytes;
  }
  const uint64_t length = has_length ? head.content_length : 0;
  if (length > behind) {
    if (needed_bytes_ == 0) {
      needed_bytes_ = head.head_bytes + length;
      UseOptions(connection, route);
      if (send_continue) {
        SendContinue(connection);
        continued_ = true;
      }
    }
    Expect(connection, Wait::kBody);
    return 0;
  }
  if (send_continue) SendContinue(connection);
  Complete(connection);
  if (!route_options_) UseOptions(connection, route);
  bytes_behind_ = behind > length;
  PathEntry* entry = nullptr;
  Request request = NewRequest(connection, head);
  FindEntry(head, entry, request.path_);
  request.body_ = input.substr(head.head_bytes, length);
  NewExchange(connection, &head);
  Dispatch(connection, route, request);
  return head.head_bytes + length;
}

void HttpSession::SendContinue(Connection& connection) {
  connection.Send("HTTP/1.1 100 Continue\r\n\r\n");
}

void HttpSession::BeginBody(Connection& connection, const RequestHead& head, http::Route& route,
                            std::string_view head_bytes, bool send_continue) {
  UseOptions(connection, route);
  body_ = std::make_unique<BodyProgress>();
  body_->chunked = head.body_framing == BodyFraming::kChunked;
  body_->streaming = route.streaming_handler != nullptr;
  body_->bytes_left = head.body_framing == BodyFraming::kContentLength ? head.content_length : 0;
  body_->limits.body_bytes_max = route.options.body_bytes_max;
  body_->limits.trailer_bytes_max = service_->options().trailer_bytes_max;
  if (!body_->streaming) {
    body_->head = head_bytes;
    if (send_continue) SendContinue(connection);
    return;
  }
  Exchange& exchange = NewExchange(connection, &head);
  body_->sequence = exchange.sequence;
  // Answered before it sent the content, a peer that waits for a 100 may leave it out or send it:
  // the connection cannot be used any further.
  const bool close = std::exchange(exchange.close, exchange.close || send_continue);
  Request request = NewRequest(connection, head);
  PathEntry* entry = nullptr;
  FindEntry(head, entry, request.path_);
  connection.CountMessage();
  connection.worker().counters().protocol[service_->counter_slots().requests].Add();
  Response response(*this, connection, exchange, service_->scratch().fields);
  in_handler_ = true;
  route.streaming_handler(request, response, body_->stream);
  if (response.deferred_) {
    exchange.close = close;
    if (PendingExchange* slot = FindSlot(exchange.sequence)) {
      slot->exchange.close = close;
      if (send_continue && slot->exchange.phase == Exchange::Phase::kUnanswered) {
        SendContinue(connection);
      }
    }
  }
  AfterHandler(connection, response);
  if (body_ != nullptr && !body_->chunked && body_->bytes_left == 0) FinishBody(connection);
}

size_t HttpSession::ReadBody(Connection& connection, std::string_view input) {
  if (!body_->chunked) {
    const size_t taken = static_cast<size_t>(std::min<uint64_t>(body_->bytes_left, input.size()));
    body_->bytes_left -= taken;
    bytes_behind_ = taken < input.size();
    TakeContent(input.substr(0, taken));
    if (body_->bytes_left == 0) {
      FinishBody(connection);
    } else if (connection.open()) {
      Expect(connection, Wait::kBody);
    }
    return taken;
  }
  std::string_view rest = input;
  // A callback may pause the input or end the connection: then the rest waits, or nobody wants it.
  while (connection.receiving()) {
    const ChunkedDecoder::Event event = body_->decoder.Next(rest, body_->limits);
    switch (event) {
      case ChunkedDecoder::Event::kData:
        TakeContent(body_->decoder.data());
        break;
      case ChunkedDecoder::Event::kNeedMore:
        Expect(connection, Wait::kBody);
        return input.size();
      case ChunkedDecoder::Event::kEnd:
        bytes_behind_ = !rest.empty();
        FinishBody(connection);
        return input.size() - rest.size();
      default:
        RefuseBody(connection, static_cast<int>(event), CloseReason::kProtocolError);
        return input.size();
    }
  }
  return input.size() - rest.size();
}

void HttpSession::TakeContent(std::string_view piece) {
  if (!body_->streaming) {
    body_->collected.append(piece);
  } else if (body_->stream.on_data != nullptr && !piece.empty()) {
    body_->stream.on_data(piece);
  }
}

void HttpSession::FinishBody(Connection& connection) {
  Complete(connection);
  const std::unique_ptr<BodyProgress> body = std::move(body_);
  if (!body->streaming) {
    DispatchCollected(connection, *body);
    return;
  }
  if (body->stream.on_end != nullptr) body->stream.on_end(body->decoder.trailers());
  CloseIfIdle(connection);
}

void HttpSession::DispatchCollected(Connection& connection, BodyProgress& body) {
  RequestHead& head = service_->scratch().head;
  RequestHeadParser parser;
  CHECK(parser.Parse(body.head, service_->options().head, head) == HeadResult::kDone);
  if (service_->options().client_address != ClientAddressSource::kPeer) {
    FindClient(connection, head);
  }
  PathEntry* entry = nullptr;
  Request request = NewRequest(connection, head);
  CHECK(FindEntry(head, entry, request.path_));
  request.body_ = body.collected;
  request.decoder_ = &body.decoder;
  NewExchange(connection, &head);
  Dispatch(connection, *entry->Find(request.method_), request);
}

void HttpSession::RefuseBody(Connection& connection, int status, CloseReason reason) {
  const std::unique_ptr<BodyProgress> body = std::move(body_);
  ReportHeld(connection);
  if (!body->streaming) {
    Refuse(connection, nullptr, status, reason);
    return;
  }
  Complete(connection);
  last_request_ = true;
  if (PendingExchange* slot = FindSlot(body->sequence)) {
    slot->exchange.close = true;
    if (slot->exchange.phase == Exchange::Phase::kUnanswered) {
      std::string fields;
      Response(*this, connection, slot->exchange, fields).Error(status);
      return;
    }
  }
  connection.CloseAfterFlush(reason, Linger::kYes);
}

}  // namespace ringmaster::http
