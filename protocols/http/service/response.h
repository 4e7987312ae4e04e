#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "engine/connection/connection.h"
#include "protocols/http/service/exchange.h"
#include "protocols/http/service/pending_response.h"

namespace ringmaster::http {

class HttpSession;

// The answer to one request. Status and fields first, then one of the calls that give the content;
// they write the response at once, straight into the connection's output when it is its turn.
//
//   response.Status(201).Header("Location", "/users/7").Text("created\n");
//   response.Write(part); response.Write(part); response.End();   // chunked
//   PendingResponse later = response.Defer();                      // answered after the handler
//
// Responses leave in the order of their requests, whenever they were given. For HEAD the content is
// left out and everything else is the same. Date, Content-Length, Transfer-Encoding and Connection
// are the server's.
//
// Misuse throws std::logic_error (a second response) or std::invalid_argument (an unknown status, a
// field that would inject a line): the handler's connection pays with a 500, nobody else.
class Response {
 public:
  Response(const Response&) = delete;
  Response& operator=(const Response&) = delete;

  Response& Status(int status);
  Response& Header(std::string_view name, std::string_view value);
  // The connection ends behind this response.
  Response& Close();

  // `bytes` are copied.
  void Body(std::string_view content_type, std::string_view bytes);
  void Text(std::string_view text) { Body("text/plain; charset=utf-8", text); }
  void Html(std::string_view text) { Body("text/html; charset=utf-8", text); }
  void Json(std::string_view text) { Body("application/json", text); }
  // A short text for people: "404 Not Found\n", or `text`.
  void Error(int status, std::string_view text = {});
  void Redirect(int status, std::string_view location);
  // Not copied; `owner` keeps them alive.
  void SharedBody(std::string_view content_type, std::string_view bytes,
                  std::shared_ptr<const void> owner);
  // `bytes` of the open file `fd` from `offset`. Takes ownership of `fd`.
  void FileBody(std::string_view content_type, int fd, uint64_t offset, uint64_t bytes);
  // The file at `path`, type by its name; 404 when it cannot be read. No conditions, no ranges: see
  // Service::Static.
  void File(const std::string& path);

  // Content of unknown length: chunked, or until the connection ends for HTTP/1.0. kAboveHigh: hold
  // back until on_drained; kFull: nothing of it was taken.
  SendResult Write(std::string_view bytes,
                   std::string_view content_type = "text/plain; charset=utf-8");
  // Ends what Write began; without a Write, an answer without content.
  void End();
  // Called when a Write may follow a kAboveHigh. Only for a deferred response.
  void OnDrained(absl::AnyInvocable<void()> callback);

  // Ends it as a failure: 500 when nothing was sent, else the connection breaks off, so that the
  // peer does not take a part for the whole.
  void Abandon();

  // Answer later. Nothing more can be done with this object.
  PendingResponse Defer();

  // A head was written, or Defer was called.
  bool started() const { return started_; }

 private:
  friend class HttpSession;
  friend class PendingResponse;

  // `fields` is scratch, empty.
  Response(HttpSession& session, Connection& connection, Exchange& exchange, std::string& fields)
      : session_(&session), connection_(&connection), exchange_(&exchange), fields_(&fields) {}

  ResponseHead NewHead(std::string_view content_type, ResponseFraming framing, uint64_t length);
  bool Begin(const ResponseHead& head, std::string_view content);
  bool OmitsContent() const;
  void Done();
  void CheckUnanswered() const;

  HttpSession* session_;
  Connection* connection_;
  Exchange* exchange_;  // nullptr once done or deferred
  std::string* fields_;
  bool started_ = false;
  bool touched_ = false;  // a status or field was set
  bool deferred_ = false;
};

}  // namespace ringmaster::http
