#include "tests/e2e/programs/steady/new_connections.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <span>

#include "tests/e2e/programs/steady/answer.h"
#include "tests/e2e/programs/steady/errors.h"
#include "tests/e2e/programs/steady/stream.h"

namespace steady {

class ShortConnection final : public Stream {
 public:
  explicit ShortConnection(NewConnections& owner)
      : Stream(owner.loop_), owner_(owner), timeout_(owner.loop_, [this] { OnTimeout(); }) {}

  void Begin(uint64_t index, Nanoseconds scheduled_at) {
    index_ = index;
    scheduled_at_ = scheduled_at;
    wants_close_ = index % 2 == 0;
    whole_ = false;
    received_.clear();
    const int error = Open(owner_.options_.port,
                           wants_close_ ? owner_.close_request_ : owner_.keep_alive_request_);
    if (error != 0) return Fail(ClassOfError(error), std::strerror(error));
    timeout_.SetAt(AlignToTick(MonotonicNow() + owner_.options_.timeout));
  }

 private:
  void OnReceived(std::span<char> bytes) override {
    if (whole_) return Fail(Failure::kWrong, "bytes behind the answer");
    received_.append(bytes.data(), bytes.size());
    Answer answer;
    const AnswerState state = ParseAnswer(received_, owner_.options_.generation_header, answer);
    if (state == AnswerState::kIncomplete) return;
    if (state == AnswerState::kMalformed) return Fail(Failure::kWrong, Quote(received_));
    CountGeneration(owner_.report_, Traffic::kConnects, owner_.options_.generation_header, answer);
    if (answer.status != 200 || !owner_.IsExpected(answer.body)) {
      return Fail(Failure::kWrong, fmt::format("status {}, {}", answer.status, Quote(answer.body)));
    }
    if (answer.bytes < received_.size()) return Fail(Failure::kWrong, "bytes behind the answer");
    whole_ = true;
    owner_.report_.Answered(Traffic::kConnects, scheduled_at_);
    if (!wants_close_ && answer.says_close) {
      owner_.report_.Count(Traffic::kConnects, Event::kToldToClose);
    }
    if (!wants_close_) Finish();
  }

  void OnEnded(int error) override {
    if (whole_) {
      if (error != 0) owner_.report_.Count(Traffic::kConnects, Event::kResetAfterAnswer);
      return Finish();
    }
    if (error != 0) return Fail(ClassOfError(error), std::strerror(error));
    Fail(Failure::kTruncated, fmt::format("the end after {} bytes", received_.size()));
  }

  void OnTimeout() {
    Fail(Failure::kTimedOut, whole_         ? "the server does not close"
                             : connecting() ? "not connected"
                                            : fmt::format("{} bytes came", received_.size()));
  }

  void Fail(Failure failure, std::string_view what) {
    owner_.report_.Fail(failure, {Traffic::kConnects, index_, 0, local_port()}, what);
    Finish();
  }

  void Finish() {
    timeout_.Cancel();
    Close();
    owner_.free_.push_back(this);
  }

  NewConnections& owner_;
  Timer timeout_;
  uint64_t index_ = 0;
  Nanoseconds scheduled_at_ = 0;
  bool wants_close_ = false;
  bool whole_ = false;
  std::string received_;
};

NewConnections::NewConnections(EventLoop& loop, const Options& options, Report& report)
    : loop_(loop),
      options_(options),
      report_(report),
      timer_(loop, [this] { OnDue(); }),
      has_expected_(options.has_expect_body),
      expected_(options.expect_body) {
  keep_alive_request_ =
      fmt::format("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n", options.hello_path, options.port);
  close_request_ = keep_alive_request_ + "Connection: close\r\n\r\n";
  keep_alive_request_ += "\r\n";
}

NewConnections::~NewConnections() = default;

void NewConnections::Start(Nanoseconds at) {
  if (options_.connects_per_second == 0) return;
  began_at_ = at;
  timer_.SetAt(at);
}

void NewConnections::OnDue() {
  const Nanoseconds now = MonotonicNow();
  while (true) {
    const Nanoseconds due_at =
        AlignToTick(began_at_ + static_cast<Nanoseconds>(static_cast<double>(begun_) * kSecond /
                                                         options_.connects_per_second));
    if (due_at > now) return timer_.SetAt(due_at);
    if (free_.empty()) {
      pool_.push_back(std::make_unique<ShortConnection>(*this));
      free_.push_back(pool_.back().get());
    }
    ShortConnection& connection = *free_.back();
    free_.pop_back();
    report_.ScheduleServed(due_at);
    report_.Count(Traffic::kConnects, Event::kStarted);
    connection.Begin(begun_++, due_at);
  }
}

bool NewConnections::IsExpected(std::string_view body) {
  if (!has_expected_) {
    expected_ = body;
    has_expected_ = true;
  }
  return body == expected_;
}

}  // namespace steady
