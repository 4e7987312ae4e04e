#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "tests/e2e/programs/steady/answer.h"
#include "tests/e2e/programs/steady/event_loop.h"
#include "tests/e2e/programs/steady/options.h"
#include "tests/e2e/programs/steady/outstanding.h"
#include "tests/e2e/programs/steady/report.h"
#include "tests/e2e/programs/steady/stream.h"

namespace steady {

// A client that keeps its HTTP connection and has a request due at every interval: a PUT whose
// content must come back. Some requests are written in two pieces, cut in head or content, and some
// two at a time. A request that is due while another is unanswered waits here; its latency counts.
class KeepAliveClient final : public Stream {
 public:
  KeepAliveClient(EventLoop& loop, const Options& options, Report& report, size_t index);

  void Connect();
  void Start(Nanoseconds at) { schedule_.SetAt(next_at_ = at); }
  // No more requests; those that are due already are still made.
  void Stop() { schedule_.Cancel(); }
  bool settled() const { return waiting_.empty() && outstanding_.empty(); }
  // Gives up what is still without an answer, and the connection.
  void Finish();
  // Fails what is over its time; to be called now and then.
  void CheckTimeouts(Nanoseconds now);

 private:
  struct Request {
    uint64_t sequence;
    Nanoseconds scheduled_at;
    // The next one is to be written with it, in one piece.
    bool with_next;
  };

  void OnDue();
  void Pump();
  void AppendRequest(uint64_t sequence, std::string& out);
  void OnConnected() override { Pump(); }
  void OnReceived(std::span<char> bytes) override;
  void OnEnded(int error) override;
  // False when the answer cannot be told from others, and the connection is of no use any more.
  bool JudgeContent(const Answer& answer);
  // The first request without an answer is counted as `failure`, those behind it as `behind`, and
  // a new connection is opened.
  void GiveUp(Failure failure, std::string_view what, Failure behind = Failure::kLost);
  void Reopen();
  // A server that refuses or ends every connection is not to be tried all the time.
  void ReopenLater();
  Where At(uint64_t sequence);

  const Options& options_;
  Report& report_;
  const size_t index_;
  Timer schedule_;
  Timer reopen_timer_;
  Nanoseconds next_at_ = 0;
  Nanoseconds opened_at_ = 0;
  uint64_t next_sequence_ = 1;
  std::deque<Request> waiting_;
  // Written, at most two.
  Outstanding outstanding_;
  // The server has said on this connection that it is the last answer.
  bool told_to_close_ = false;
  bool answered_ = false;  // anything on this connection
  std::string received_;
  std::string content_;
  std::string to_send_;
};

}  // namespace steady
