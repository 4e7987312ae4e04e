#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/functional/function_ref.h"

namespace ringmaster::http {

class Response;
struct PendingExchange;
struct PendingLink;

// The right to answer a request after its handler returned: from a timer, another connection's
// event, or a task given to Worker::Post. Worker's thread only, and not after the worker has ended.
// Movable.
//
//   auto pending = response.Defer();
//   worker.AddTimer(delay, {}, [pending = std::move(pending)]() mutable {
//     pending.With([](Response& response) { response.Text("late\n"); });
//   });
//
// Destroyed without an answer, it answers 500: no request hangs because somebody forgot it.
class PendingResponse {
 public:
  PendingResponse() = default;
  PendingResponse(PendingResponse&& other) noexcept;
  PendingResponse& operator=(PendingResponse&& other) noexcept;
  ~PendingResponse();

  // The connection is there and the answer is not complete.
  bool alive() const;
  // Calls `answer` with the response; repeatedly for one that is streamed. False, and no call, when
  // the connection is gone or the answer was complete.
  bool With(absl::FunctionRef<void(Response&)> answer);

  // Stops and continues the arrival of this connection's input: back-pressure for streamed content.
  void PauseBody();
  void ResumeBody();

 private:
  friend class Response;
  PendingResponse(std::shared_ptr<PendingLink> link, uint32_t sequence)
      : link_(std::move(link)), sequence_(sequence) {}

  PendingExchange* FindSlot() const;
  void AnswerIfForgotten() noexcept;

  std::shared_ptr<PendingLink> link_;  // nullptr: empty, or moved from
  uint32_t sequence_ = 0;
};

}  // namespace ringmaster::http
