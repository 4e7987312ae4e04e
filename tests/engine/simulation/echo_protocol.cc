#include "tests/engine/simulation/echo_protocol.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"
#include "fmt/format.h"

namespace ringmaster::simulation {

namespace {

constexpr size_t kRequestHeaderBytes = 3;

std::string Answer(Command command, std::string_view body) {
  const uint32_t bytes = static_cast<uint32_t>(body.size());
  std::string answer(5, '\0');
  std::memcpy(answer.data(), &bytes, 4);
  answer[4] = static_cast<char>(command);
  answer += body;
  return answer;
}

uint32_t CountIn(std::string_view body) {
  uint32_t count;
  std::memcpy(&count, body.data(), 4);
  return count;
}

}  // namespace

std::string Pattern(size_t bytes) {
  std::string pattern(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) pattern[i] = static_cast<char>(i * 31 + (i >> 8));
  return pattern;
}

std::string EncodeRequest(Command command, std::string_view body) {
  const uint16_t bytes = static_cast<uint16_t>(body.size());
  std::string request(kRequestHeaderBytes, '\0');
  std::memcpy(request.data(), &bytes, 2);
  request[2] = static_cast<char>(command);
  request += body;
  return request;
}

std::string EncodeLargeRequest(Command command, uint32_t bytes) {
  char body[4];
  std::memcpy(body, &bytes, 4);
  return EncodeRequest(command, std::string_view(body, 4));
}

std::string ExpectedAnswer(Command command, std::string_view body) {
  switch (command) {
    case Command::kAbort:
      return "";
    case Command::kThrow:
      return Answer(command, kGoodbye);
    case Command::kLarge:
    case Command::kFile:
      return Answer(command, Pattern(CountIn(body)));
    default:
      return Answer(command, body);
  }
}

// Answers each request, notes what the engine tells it, and holds the engine to the order of its
// calls.
class EchoSession final : public Session {
 public:
  EchoSession(EchoProtocol& protocol, ConnectionRecord& record)
      : protocol_(protocol), record_(record) {
    ++record_.sessions_alive;
  }
  ~EchoSession() override { --record_.sessions_alive; }

  size_t OnInput(Connection& connection, std::span<char> input) override {
    Expect(!input.empty() && connection.receiving(), "input for a session that takes none");
    record_.last_input_at = connection.worker().now();
    size_t consumed = 0;
    while (connection.receiving() && !replaced_) {
      const std::string_view rest(input.data() + consumed, input.size() - consumed);
      uint16_t body_bytes = 0;
      if (rest.size() >= kRequestHeaderBytes) std::memcpy(&body_bytes, rest.data(), 2);
      const size_t bytes = kRequestHeaderBytes + body_bytes;
      if (rest.size() < kRequestHeaderBytes || rest.size() < bytes) {
        NoteIncomplete(connection, !rest.empty(), consumed > 0);
        break;
      }
      consumed += bytes;
      record_.consumed_bytes += bytes;
      connection.CountMessage();
      Handle(connection, Command{rest[2]}, rest.substr(kRequestHeaderBytes, body_bytes));
    }
    if (connection.open() && (!connection.receiving() || replaced_)) {
      // Whatever wait there was is over; who goes on begins the next.
      record_.was_held_back |= !connection.receiving();
      record_.item_begun_at = 0;
      connection.ClearWait();
    }
    return consumed;
  }

  void OnInputEnd(Connection& connection, size_t unconsumed) override {
    Expect(!record_.input_end_seen, "a second end of input");
    record_.input_end_seen = true;
    record_.unconsumed_at_end = unconsumed;
    MayThrow();
    connection.CloseAfterFlush(CloseReason::kPeerClosed);
  }

  void OnTimeout(Connection& connection, CloseReason reason) override {
    Expect(record_.timeout_reason == CloseReason::kNone, "a second timeout");
    record_.timeout_reason = reason;
    CheckDeadline(connection, reason);
    MayThrow();
  }

  void OnDrained(Connection& connection) override {
    Expect(connection.open(), "OnDrained of a closed connection");
    MayThrow();
  }

  void OnStop(Connection& connection) override {
    MayThrow();
    // Some do not end by themselves: stop_timeout is for them.
    if (record_.ignores_stop) return;
    connection.CloseAfterFlush(CloseReason::kServerStopping);
  }

  void OnKilled(Connection& connection) override {
    MayThrow();
    // Behind its output, or at once.
    if (protocol_.world_.random.Chance(0.5)) return Session::OnKilled(connection);
    connection.CloseAfterFlush(CloseReason::kKilled);
  }

  void OnException(Connection& connection, std::string_view) override {
    if (connection.open()) connection.Send(Answer(Command::kThrow, kGoodbye));
  }

  // In every state but while its successor waits: that one is the next to be asked.
  bool CanMove(const Connection&) const override { return !replaced_; }
  void OnHandoff(Connection& connection) override {
    Expect(connection.open(), "OnHandoff of a closed connection");
    MayThrow();
  }
  void Save(const Connection& connection, StateWriter& out) const override {
    out.Unsigned(EchoProtocol::IndexOf(connection.peer()));
  }
  void OnAdopted(Connection&) override { MayThrow(); }

  void OnClosed(Connection& connection, CloseReason reason) override {
    Expect(record_.closed_count++ == 0, "a second OnClosed");
    Expect(reason != CloseReason::kNone, "closed for no reason");
    Expect(connection.Send("x") == SendResult::kClosed, "output after OnClosed");
    record_.close_reason = reason;
    record_.closed_at = connection.worker().now();
    MayThrow();
  }

 private:
  void Expect(bool condition, std::string_view broken_promise) {
    if (!condition) protocol_.world_.Fail(broken_promise);
  }

  void MayThrow() {
    if (!record_.callbacks_throw || !protocol_.world_.random.Chance(0.5)) return;
    record_.callback_threw = true;
    throw std::runtime_error("a callback threw");
  }

  void NoteIncomplete(Connection& connection, bool some, bool first_of_several) {
    if (!some) {
      connection.ClearWait();
      record_.item_begun_at = 0;
      return;
    }
    if (first_of_several || record_.item_begun_at == 0) {
      record_.item_begun_at = connection.worker().now();
      connection.RestartWait(Wait::kMessage);
    } else {
      connection.SetWait(Wait::kMessage);
    }
  }

  void CheckDeadline(Connection& connection, CloseReason reason) {
    const Timeouts& timeouts = connection.options().timeouts;
    TimePoint deadline = 0;
    if (reason == CloseReason::kHandshakeTimeout) {
      deadline = record_.opened_at + timeouts.handshake.count();
    } else if (reason == CloseReason::kMessageTimeout) {
      deadline = record_.item_begun_at + timeouts.message.count();
    } else if (reason == CloseReason::kReadTimeout) {
      // Room made by the peer counts as well, so the engine knows better than this session.
      Expect(connection.last_activity() >= record_.last_input_at || record_.was_held_back,
             "input that was no activity");
      deadline = connection.last_activity() + timeouts.read.count();
    } else if (reason == CloseReason::kLifetime) {
      deadline = record_.opened_at + timeouts.lifetime.count();
    } else {
      protocol_.world_.Fail(fmt::format("OnTimeout for {}", CloseReasonName(reason)));
    }
    const TimePoint now = connection.worker().now();
    const bool late = now > deadline + protocol_.tolerance_.count() && !record_.was_held_back;
    if (now < deadline || late) {
      protocol_.world_.Fail(
          fmt::format("{} came {} ns after its deadline", CloseReasonName(reason), now - deadline));
    }
  }

  void SpendTime() {
    World& world = protocol_.world_;
    Duration time = protocol_.handler_time_;
    if (world.random.Chance(world.faults.slow_handler)) {
      time += Duration(world.random.Below(world.faults.slow_handler_max.count()));
    }
    world.AdvanceTo(world.now() + time.count());
  }

  void Handle(Connection& connection, Command command, std::string_view body) {
    SpendTime();
    switch (command) {
      case Command::kAbort:
        return connection.Abort(CloseReason::kLocal);
      case Command::kThrow:
        throw std::runtime_error("asked to throw");
      case Command::kLarge: {
        auto pattern = std::make_shared<const std::string>(Pattern(CountIn(body)));
        Output(connection, Answer(command, *pattern).substr(0, 5));
        if (connection.open()) Note(connection, connection.SendShared(*pattern, pattern));
        return;
      }
      case Command::kFile:
        return AnswerFromFile(connection, CountIn(body));
      default:
        if (protocol_.world_.random.Chance(0.1)) protocol_.ChangeTimeouts(connection, record_);
        if (protocol_.world_.random.Chance(0.5)) {
          // Straight back from where it was received: everything in front of it has been handled.
          const std::string head = Answer(command, body).substr(0, 5);
          Note(connection, connection.SendMessage(head, body, /*front_is_consumed=*/true));
        } else {
          Output(connection, Answer(command, body));
        }
    }
    if (command == Command::kClose) {
      connection.CloseAfterFlush(CloseReason::kLocal, Linger::kNo);
    } else if (command == Command::kCloseLinger) {
      connection.CloseAfterFlush(CloseReason::kLocal, Linger::kYes);
    } else if (command == Command::kPause) {
      Pause(connection);
    } else if (command == Command::kReplace) {
      replaced_ = true;
      connection.ReplaceSession(std::make_unique<EchoSession>(protocol_, record_));
    }
  }

  void AnswerFromFile(Connection& connection, uint32_t bytes) {
    const std::string pattern = Pattern(bytes);
    const int fd = memfd_create("simulation", MFD_CLOEXEC);
    Expect(fd >= 0 && write(fd, pattern.data(), bytes) == static_cast<ssize_t>(bytes), "memfd");
    Output(connection, Answer(Command::kFile, pattern).substr(0, 5));
    if (!connection.open()) {
      close(fd);
      return;
    }
    Note(connection, connection.SendFile(fd, 0, bytes));
  }

  void Output(Connection& connection, std::string_view bytes) {
    if (protocol_.world_.random.Chance(0.5)) return Note(connection, connection.Send(bytes));
    char* room = connection.ReserveOutput(bytes.size() + 10);
    if (room == nullptr) return Note(connection, SendResult::kFull);
    std::memcpy(room, bytes.data(), bytes.size());
    connection.CommitOutput(bytes.size());
  }

  void Note(Connection& connection, SendResult result) {
    const StreamOptions& options = connection.options();
    Expect(connection.output_bytes() <= options.send_queue_bytes_max,
           "the queue exceeds its bound");
    if (result != SendResult::kFull) return;
    record_.refused_output = true;
    connection.Abort(CloseReason::kSendQueueFull);
  }

  void Pause(Connection& connection) {
    connection.PauseReceive();
    Worker& worker = connection.worker();
    const Duration while_ = std::chrono::microseconds(protocol_.world_.random.Below(20'000));
    worker.AddTimer(while_, Duration::zero(),
                    [&worker, id = connection.id(), protocol = &protocol_, record = &record_] {
                      Connection* const found = worker.Find(id);
                      if (found == nullptr) return;
                      if (found->open() && protocol->world_.random.Chance(0.3)) {
                        protocol->ChangeTimeouts(*found, *record);
                      }
                      found->ResumeReceive();
                    });
  }

  EchoProtocol& protocol_;
  ConnectionRecord& record_;
  bool replaced_ = false;
};

void EchoProtocol::ChangeTimeouts(Connection& connection, ConnectionRecord& record) {
  ++record.timeouts_set_count;
  connection.ResetTimeouts();
  if (world_.random.Chance(0.3)) return;
  for (Duration Timeouts::*timeout : {&Timeouts::message, &Timeouts::read, &Timeouts::write}) {
    if (world_.random.Chance(0.3)) continue;
    const Duration longer = std::chrono::milliseconds(world_.random.Below(300));
    connection.SetTimeout(timeout, connection.options().timeouts.*timeout + longer);
  }
}

PeerAddress EchoProtocol::AddressOf(size_t index, uint8_t group) {
  PeerAddress address;
  address.family = AF_INET;
  const uint8_t bytes[] = {10, group, static_cast<uint8_t>(index >> 8),
                           static_cast<uint8_t>(index)};
  std::copy(std::begin(bytes), std::end(bytes), address.bytes);
  address.port = static_cast<uint16_t>(index >> 16);
  return address;
}

size_t EchoProtocol::IndexOf(const PeerAddress& address) {
  return size_t{address.port} << 16 | size_t{address.bytes[2]} << 8 | address.bytes[3];
}

std::unique_ptr<Session> EchoProtocol::NewSession(Connection& connection) {
  const PeerAddress& peer = connection.peer();
  const size_t index = peer.family == AF_UNSPEC ? next_outbound_++ : IndexOf(peer);
  if (index >= records_.size()) world_.Fail("a connection that no peer made");
  ConnectionRecord& record = *records_[index];
  if (record.opened) world_.Fail("two sessions for one connection");
  record.opened = true;
  record.connection_id = connection.id();
  record.opened_at = connection.worker().now();
  if (record.new_session_throws) throw std::runtime_error("no session for this one");
  return std::make_unique<EchoSession>(*this, record);
}

std::unique_ptr<Session> EchoProtocol::Restore(Connection& connection, StateReader& in) {
  const size_t index = in.UnsignedUpTo(records_.size() - 1);
  if (!in.finished()) return nullptr;
  ConnectionRecord& record = *records_[index];
  if (record.connection_id != connection.id() || record.sessions_alive > 0) {
    world_.Fail("a connection was taken for another");
  }
  return std::make_unique<EchoSession>(*this, record);
}

}  // namespace ringmaster::simulation
