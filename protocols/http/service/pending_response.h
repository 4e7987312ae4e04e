#pragma once

#include <cstdint>
#include <string_view>

#include "absl/functional/function_ref.h"

namespace ringmaster {
class Worker;
}

namespace ringmaster::http {

class HttpSession;
class Response;
struct PendingExchange;

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
  PendingResponse(Worker& worker, uint64_t connection_id, uint32_t sequence)
      : worker_(&worker), connection_id_(connection_id), sequence_(sequence) {}

  HttpSession* FindSession() const;
  PendingExchange* FindSlot() const;
  void AnswerIfForgotten() noexcept;

  Worker* worker_ = nullptr;  // nullptr: empty, or moved from
  uint64_t connection_id_ = 0;
  uint32_t sequence_ = 0;
};

}  // namespace ringmaster::http
