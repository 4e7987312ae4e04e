#include "protocols/http/service/response.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

#include "engine/worker/worker.h"
#include "protocols/http/codec/characters.h"
#include "protocols/http/codec/media_type.h"
#include "protocols/http/codec/status.h"
#include "protocols/http/service/http_session.h"
#include "protocols/http/service/service.h"

namespace ringmaster::http {

Response& Response::Status(int status) {
  CheckUnanswered();
  if (StatusLine(status).empty() || status < 200) {
    throw std::invalid_argument(fmt::format("{} is no status of a final response", status));
  }
  exchange_->status = status;
  touched_ = true;
  return *this;
}

Response& Response::Header(std::string_view name, std::string_view value) {
  CheckUnanswered();
  for (std::string_view own : {"content-length", "transfer-encoding", "connection", "date"}) {
    if (EqualsIgnoreCase(name, own)) {
      throw std::invalid_argument(fmt::format("the field {} is the server's to send", own));
    }
  }
  if (!AppendFieldLine(name, value, *fields_)) {
    throw std::invalid_argument("a response field with a control character or a bad name");
  }
  touched_ = true;
  return *this;
}

Response& Response::Close() {
  CheckUnanswered();
  exchange_->close = true;
  touched_ = true;
  return *this;
}

void Response::CheckUnanswered() const {
  if (exchange_ == nullptr || exchange_->phase != Exchange::Phase::kUnanswered) {
    throw std::logic_error("this request has been answered, or its answer deferred");
  }
}

bool Response::OmitsContent() const {
  return exchange_->head_request || StatusForbidsContent(exchange_->status);
}

ResponseHead Response::NewHead(std::string_view content_type, ResponseFraming framing,
                               uint64_t length) {
  CheckUnanswered();
  ResponseHead head;
  head.status = exchange_->status;
  head.framing = StatusForbidsContent(head.status) ? ResponseFraming::kNone : framing;
  head.close = exchange_->close;
  head.keep_alive = exchange_->http10 && !exchange_->close;
  head.content_length = length;
  const Worker& worker = connection_->worker();
  head.common_lines = session_->service().CommonLines(worker.now(), worker);
  if (head.status != 204) head.content_type = content_type;
  head.field_lines = *fields_;
  return head;
}

// Writes the head and the content behind it. False: the output queue refused it, the connection is
// gone.
bool Response::Begin(const ResponseHead& head, std::string_view content) {
  exchange_ = &session_->Place(*connection_, *exchange_);
  exchange_->framing = head.framing;
  started_ = true;
  const std::string_view sent = OmitsContent() ? std::string_view() : content;
  const size_t room = ResponseHeadBytesMax(head) + sent.size();
  char* const out = session_->Reserve(*connection_, *exchange_, room);
  if (out == nullptr) {
    session_->BreakOff(*connection_);
    exchange_ = nullptr;
    return false;
  }
  const size_t head_bytes = EncodeResponseHead(head, out);
  if (!sent.empty()) memcpy(out + head_bytes, sent.data(), sent.size());
  session_->Commit(*connection_, *exchange_, room, head_bytes + sent.size());
  exchange_->body_bytes += sent.size();
  return true;
}

void Response::Done() {
  Exchange* const exchange = exchange_;
  exchange_ = nullptr;
  exchange->phase = Exchange::Phase::kDone;
  session_->OnAnswered(*connection_, *exchange);
}

void Response::Body(std::string_view content_type, std::string_view bytes) {
  const ResponseHead head = NewHead(content_type, ResponseFraming::kContentLength, bytes.size());
  if (Begin(head, bytes)) Done();
}

void Response::Error(int status, std::string_view text) {
  Status(status);
  if (!text.empty()) {
    Text(text);
    return;
  }
  // "HTTP/1.1 404 Not Found\r\n" without its ends.
  const std::string_view line = StatusLine(status);
  std::string body(line.substr(9, line.size() - 11));
  body += '\n';
  Text(body);
}

void Response::Redirect(int status, std::string_view location) {
  Status(status).Header("Location", location).Body({}, {});
}

void Response::SharedBody(std::string_view content_type, std::string_view bytes,
                          std::shared_ptr<const void> owner) {
  const ResponseHead head = NewHead(content_type, ResponseFraming::kContentLength, bytes.size());
  const bool omit = OmitsContent();
  if (!Begin(head, {})) return;
  if (!omit && !bytes.empty()) {
    if (!session_->SendShared(*connection_, *exchange_, bytes, std::move(owner))) {
      exchange_ = nullptr;
      return;
    }
    exchange_->body_bytes += bytes.size();
  }
  Done();
}

void Response::FileBody(std::string_view content_type, int fd, uint64_t offset, uint64_t bytes) {
  OutputPiece file;
  file.fd = fd;
  const ResponseHead head = NewHead(content_type, ResponseFraming::kContentLength, bytes);
  const bool omit = OmitsContent();
  if (!Begin(head, {})) return;
  if (!omit && bytes > 0) {
    file.offset = offset;
    file.count = bytes;
    if (!session_->SendFile(*connection_, *exchange_, std::move(file))) {
      exchange_ = nullptr;
      return;
    }
    exchange_->body_bytes += bytes;
  }
  Done();
}

void Response::File(const std::string& path) {
  CheckUnanswered();
  OutputPiece file;
  file.fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat status;
  if (file.fd < 0 || fstat(file.fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    Error(404);
    return;
  }
  const int fd = file.fd;
  file.fd = -1;
  FileBody(MediaTypeOf(path), fd, 0, static_cast<uint64_t>(status.st_size));
}

SendResult Response::Write(std::string_view bytes, std::string_view content_type) {
  if (exchange_ == nullptr) return SendResult::kClosed;
  if (exchange_->phase == Exchange::Phase::kUnanswered) {
    if (exchange_->http10) exchange_->close = true;
    const ResponseHead head =
        NewHead(content_type,
                exchange_->http10 ? ResponseFraming::kUntilClose : ResponseFraming::kChunked, 0);
    if (!Begin(head, {})) return SendResult::kClosed;
    exchange_->phase = Exchange::Phase::kStreaming;
  }
  if (bytes.empty() || OmitsContent()) return SendResult::kQueued;
  const bool chunked = exchange_->framing == ResponseFraming::kChunked;
  const size_t room = bytes.size() + (chunked ? kChunkHeadBytesMax + 2 : 0);
  char* const out = session_->Reserve(*connection_, *exchange_, room);
  if (out == nullptr) return connection_->open() ? SendResult::kFull : SendResult::kClosed;
  char* p = chunked ? out + EncodeChunkHead(bytes.size(), out) : out;
  memcpy(p, bytes.data(), bytes.size());
  p += bytes.size();
  if (chunked) {
    *p++ = '\r';
    *p++ = '\n';
  }
  session_->Commit(*connection_, *exchange_, room, static_cast<size_t>(p - out));
  exchange_->body_bytes += bytes.size();
  return connection_->output_bytes() > connection_->options().send_queue_bytes_high
             ? SendResult::kAboveHigh
             : SendResult::kQueued;
}

void Response::End() {
  if (exchange_ != nullptr && exchange_->phase == Exchange::Phase::kStreaming) {
    if (exchange_->framing == ResponseFraming::kChunked && !OmitsContent()) {
      char* const out = session_->Reserve(*connection_, *exchange_, kLastChunk.size());
      if (out == nullptr) {
        session_->BreakOff(*connection_);
        exchange_ = nullptr;
        return;
      }
      memcpy(out, kLastChunk.data(), kLastChunk.size());
      session_->Commit(*connection_, *exchange_, kLastChunk.size(), kLastChunk.size());
    }
    Done();
    return;
  }
  Body({}, {});
}

void Response::OnDrained(absl::AnyInvocable<void()> callback) {
  PendingExchange* const slot =
      exchange_ == nullptr ? nullptr : session_->FindSlot(exchange_->sequence);
  if (slot != nullptr) slot->on_drained = std::move(callback);
}

void Response::Abandon() {
  if (exchange_ == nullptr) return;
  if (exchange_->phase == Exchange::Phase::kUnanswered) {
    fields_->clear();
    Error(500);
  } else {
    session_->BreakOff(*connection_);
    exchange_ = nullptr;
  }
}

PendingResponse Response::Defer() {
  if (exchange_ == nullptr) throw std::logic_error("this request has been answered");
  const uint32_t sequence = session_->Hold(*connection_, *exchange_).exchange.sequence;
  exchange_ = nullptr;
  started_ = true;
  deferred_ = true;
  return PendingResponse(session_->pending_link(), sequence);
}

}  // namespace ringmaster::http
