#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "engine/connection/connection.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "engine/limits/rate_buckets.h"
#include "engine/protocol.h"
#include "protocols/http/codec/request_head_parser.h"
#include "protocols/http/service/exchange.h"
#include "protocols/http/service/request.h"
#include "protocols/http/service/router.h"
#include "protocols/http/service/upgrade.h"

namespace ringmaster::http {

struct BodyProgress;
class Response;
class Service;

// One HTTP/1.x connection: feeds the parser, finds the route, keeps answers in order. Small, for
// there is one per connection: what is needed only for the length of a call is the Service's
// scratch, and what few requests need (a pipeline, content on its way) is allocated for them alone.
//
//   OnInput ─ ReadRequest ─ Dispatch ─ handler ─ Response ─ Reserve/Commit ─▶ connection
//        │                                └ answered later: Hold ─ Pipeline ─ Advance ─▶ connection
//        └─ ReadBody: content in pieces
class HttpSession final : public Session {
 public:
  HttpSession(Service& service, Connection& connection);
  ~HttpSession() override;

  std::string_view protocol_name() const override { return "http"; }
  size_t OnInput(Connection& connection, std::span<char> input) override;
  void OnInputEnd(Connection& connection, size_t unconsumed) override;
  void OnTimeout(Connection& connection, CloseReason reason) override;
  void OnDrained(Connection& connection) override;
  // The next answer says "Connection: close": the client comes back to a worker that stays.
  void OnDrain(Connection& connection) override { OnStop(connection); }
  void OnStop(Connection& connection) override;
  void OnException(Connection& connection, std::string_view what) override;
  bool CanMove(const Connection& connection) const override;
  void Save(const Connection& connection, StateWriter& out) const override;
  void OnClosed(Connection& connection, CloseReason reason) override;

  // The session that Save has described, in another process; nullptr when it makes no sense.
  static std::unique_ptr<HttpSession> Restore(Service& service, Connection& connection,
                                              StateReader::Part saved);

  Service& service() const { return *service_; }

  // -- For Response and PendingResponse (session_output.cc)
  // -----------------------------------------

  // The exchange's place to write from: itself while nothing is in front of it, else a slot.
  Exchange& Place(Connection& connection, Exchange& exchange);
  // Gives the exchange a slot of the pipeline.
  PendingExchange& Hold(Connection& connection, Exchange& exchange);
  const std::shared_ptr<PendingLink>& pending_link() const { return pipeline_->link; }
  PendingExchange* FindSlot(uint32_t sequence);
  // Room for a part of the response: in the connection's output when it is the exchange's turn,
  // else in its slot. nullptr: refused by a bound.
  char* Reserve(Connection& connection, Exchange& exchange, size_t bytes);
  void Commit(Connection& connection, Exchange& exchange, size_t reserved, size_t bytes);
  bool SendShared(Connection& connection, Exchange& exchange, std::string_view bytes,
                  std::shared_ptr<const void> owner);
  bool SendFile(Connection& connection, Exchange& exchange, OutputPiece file);
  // The whole response was written.
  void OnAnswered(Connection& connection, Exchange& exchange);
  // A response cannot be completed.
  void BreakOff(Connection& connection);
  void PauseBody(Connection& connection);
  void ResumeBody(Connection& connection);

 private:
  // Why input is held back; each bit is set and cleared on its own.
  enum HoldReason : uint8_t {
    kHoldBody = 1,      // PauseBody
    kHoldPipeline = 2,  // too many requests are unanswered
    kHoldBarrier = 4,   // the next request must wait until all before it are answered
  };

  // session_rates.cc
  void FindClient(Connection& connection, const RequestHead& head);
  RateVerdict TakeRequest(Connection& connection, const http::Route* route);
  bool IsLetIn(Connection& connection);
  std::optional<UpgradeRefusal> ReaddressToClient(Connection& connection);
  size_t RefuseRate(Connection& connection, const RequestHead& head, const RateVerdict& verdict,
                    std::string_view input);
  size_t RefuseClient(Connection& connection, const RequestHead& head, std::string_view input);
  // The connection stays unless there is content, which is not read, or the refusal `closes` it.
  template <typename Answer>
  size_t RefuseHead(Connection& connection, const RequestHead& head, std::string_view input,
                    bool closes, Answer answer);

  // Each returns the bytes taken; 0: more is needed, or the request must wait.
  size_t ReadRequest(Connection& connection, std::string_view input);
  size_t ReadContent(Connection& connection, const RequestHead& head, Route& route,
                     std::string_view input);
  size_t ReadBody(Connection& connection, std::string_view input);
  void TakeContent(std::string_view piece);
  void SendContinue(Connection& connection);
  // The route's bounds, if it has some, until the next head begins.
  void UseOptions(Connection& connection, const Route& route);
  void UseListenerOptions(Connection& connection);

  bool FindEntry(const RequestHead& head, PathEntry*& entry, std::string_view& path);
  size_t AnswerUnrouted(Connection& connection, const RequestHead& head, PathEntry* entry,
                        std::string_view path, std::string_view input);
  size_t Upgrade(Connection& connection, const RequestHead& head, PathEntry& entry);
  void BeginBody(Connection& connection, const RequestHead& head, Route& route,
                 std::string_view head_bytes, bool send_continue);
  void FinishBody(Connection& connection);
  void DispatchCollected(Connection& connection, BodyProgress& body);
  void Dispatch(Connection& connection, Route& route, Request& request);
  void AfterHandler(Connection& connection, Response& response);

  Exchange& NewExchange(Connection& connection, const RequestHead* head);
  Request NewRequest(Connection& connection, const RequestHead& head) const;
  // An error that ends the connection: answered in its order, nothing behind it is read.
  void Refuse(Connection& connection, const RequestHead* head, int status,
              CloseReason reason = CloseReason::kProtocolError);
  void RefuseBody(Connection& connection, int status, CloseReason reason);

  bool NeedsBarrier(Connection& connection);
  void HoldInput(Connection& connection, HoldReason why);
  void ReleaseInput(Connection& connection, HoldReason why);
  void Expect(Connection& connection, Wait wait);
  void Complete(Connection& connection);
  void ReportHeld(Connection& connection);

  // session_output.cc
  bool MayHold(const Connection& connection, size_t bytes) const;
  void ChangeHeld(Connection& connection, size_t before, size_t after);
  bool IsFirst(const Exchange& exchange) const;
  bool EmitPieces(Connection& connection, PendingExchange& slot);
  void Advance(Connection& connection);
  void CloseIfIdle(Connection& connection);

  Service* service_;
  std::unique_ptr<Pipeline> pipeline_;    // while a request is unanswered
  std::unique_ptr<BodyProgress> body_;    // while content is on its way
  const StreamOptions* default_options_;  // of the listener
  RequestHeadParser parser_;
  uint64_t needed_bytes_ = 0;  // collected content: head and content, when they are not there yet
  uint32_t next_sequence_ = 0;
  uint8_t held_ = 0;
  bool waiting_ = true;         // a deadline for an item may be set; the engine sets one at accept
  bool route_options_ = false;  // other StreamOptions than default_options_ are in force
  bool last_request_ = false;   // nothing behind the requests seen so far is read
  bool input_ended_ = false;
  bool stopping_ = false;
  bool gone_ = false;          // closed or upgraded: nothing may be written any more
  bool bytes_behind_ = false;  // input stands behind the request that is being handled
  bool in_handler_ = false;    // the Service's scratch exchange is ours
  bool admitted_ = false;      // the request whose content is awaited was counted by its rate
  bool continued_ = false;     // ... and its peer was told 100
};

}  // namespace ringmaster::http
