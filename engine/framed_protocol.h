#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "engine/connection/connection.h"
#include "engine/handoff/load_guard.h"
#include "engine/handoff/saved_context.h"
#include "engine/protocol.h"

namespace ringmaster {

// What Frame says of the bytes received so far.
struct FrameResult {
  enum class Kind : uint8_t { kMore, kMessage, kRefuse };
  Kind kind = Kind::kMore;
  size_t bytes = 0;  // kMessage: how many bytes, from the front, make the next message

  // The message is incomplete; called again with more bytes.
  static constexpr FrameResult More() { return {}; }
  static constexpr FrameResult Message(size_t bytes) { return {Kind::kMessage, bytes}; }
  // The peer broke the protocol: the connection closes with CloseReason::kProtocolError.
  static constexpr FrameResult Refuse() { return {Kind::kRefuse, 0}; }
};

// No context of the application's own.
struct NoContext {};

// A custom protocol is a type with three functions and a message type. It is pure: no connection,
// no clock.
//
//   struct LineProtocol {
//     static constexpr std::string_view kName = "line";
//     using Message = std::string_view;  // what on_message gets; may point into the frame
//     static FrameResult Frame(std::string_view input) {
//       const size_t end = input.find('\n');
//       return end == input.npos ? FrameResult::More() : FrameResult::Message(end + 1);
//     }
//     static Message Decode(std::string_view frame) { return frame.substr(0, frame.size() - 1); }
//     static void Encode(std::string_view message, std::string& out) { out.append(message) += '\n';
//     }
//   };
//
//   FramedProtocol<LineProtocol, Player> lines;
//   lines.on_message = [](auto& peer, std::string_view line) { peer.Send(line); };
//   server.Listen("127.0.0.1:7000", lines);
//
// Frame may be called again with the same bytes and more behind them; a protocol that must scan far
// keeps messages small (message_bytes_max) or uses the Session interface (protocol.h) itself.
//
// When the server is reloaded, connections move to the new worker process if Context says how it is
// saved and loaded (engine/handoff/state_writer.h has an example) or has nothing to save; those of
// other contexts go on in the old worker until it drains.
template <typename Codec, typename Context = NoContext>
class FramedProtocol final : public Protocol {
 public:
  // One connection as handlers see it: valid during the call; keep connection().id() instead.
  class Peer {
   public:
    Connection& connection() { return *connection_; }
    Context& context() { return *context_; }

    // Encodes and queues one message; see Connection::SendMessage.
    template <typename Message>
    SendResult Send(const Message& message) {
      // Kept between calls so that a warm server does not allocate.
      static thread_local std::string encoded;
      encoded.clear();
      Codec::Encode(message, encoded);
      return connection_->SendMessage({}, encoded, /*front_is_consumed=*/false);
    }
    // See Connection::SetTimeout.
    void SetTimeout(Duration Timeouts::*timeout, Duration duration) {
      connection_->SetTimeout(timeout, duration);
    }
    void SetTimeouts(const Timeouts& timeouts) { connection_->SetTimeouts(timeouts); }
    // Sends what is queued, then closes.
    void Close() { connection_->CloseAfterFlush(CloseReason::kLocal, Linger::kYes); }

   private:
    friend class FramedProtocol;
    Peer(Connection* connection, Context* context) : connection_(connection), context_(context) {}
    Connection* connection_;
    Context* context_;
  };

  // A message longer than this closes the connection with CloseReason::kLimit.
  size_t message_bytes_max = 1 << 20;

  std::function<void(Peer&)> on_open;
  std::function<void(Peer&, typename Codec::Message)> on_message;
  std::function<void(Peer&, CloseReason)> on_close;
  // The output queue went above its high watermark, and came below the low one again.
  std::function<void(Peer&)> on_backpressure;
  std::function<void(Peer&)> on_drained;
  // In the old worker: the connection is about to be saved; what the context should tell the new
  // worker is put into it now. It may go on here all the same, if the new worker cannot take it; if
  // it can, nothing more is called here, on_close neither.
  std::function<void(Peer&)> on_handoff;
  // In the new worker, in place of on_open, with the context that was loaded.
  std::function<void(Peer&)> on_adopted;

  std::string_view name() const override { return Codec::kName; }

  std::unique_ptr<Session> NewSession(Connection& connection) override {
    auto session = std::make_unique<FramedSession>(*this);
    if (!connection.outbound()) session->Open(connection);
    return session;
  }

  std::unique_ptr<Session> Restore(Connection& connection, StateReader& in) override {
    std::unique_ptr<FramedSession> session;
    const bool loaded = LoadGuarded(connection, [&] {
      session = std::make_unique<FramedSession>(*this);
      return session->Load(in);
    });
    if (!loaded) return nullptr;
    return session;
  }

 private:
  // A newer version appends to what it saves; what an older one may not leave out gets another tag.
  static constexpr uint32_t kStateVersion = 1;
  static constexpr std::string_view kSavedTag = "framed";

  class FramedSession final : public Session {
   public:
    explicit FramedSession(FramedProtocol& protocol) : protocol_(protocol) {}

    void Open(Connection& connection) {
      Peer peer(&connection, &context_);
      if (protocol_.on_open) protocol_.on_open(peer);
    }

    std::string_view protocol_name() const override { return Codec::kName; }

    void OnConnected(Connection& connection) override { Open(connection); }

    size_t OnInput(Connection& connection, std::span<char> input) override {
      size_t consumed = 0;
      while (connection.receiving() && consumed < input.size()) {
        const std::string_view rest(input.data() + consumed, input.size() - consumed);
        const FrameResult frame = Codec::Frame(rest);
        if (frame.kind == FrameResult::Kind::kRefuse) {
          connection.CloseAfterFlush(CloseReason::kProtocolError, Linger::kYes);
          break;
        }
        const bool complete =
            frame.kind == FrameResult::Kind::kMessage && frame.bytes <= rest.size();
        const size_t wanted = frame.kind == FrameResult::Kind::kMessage ? frame.bytes : rest.size();
        if (wanted > protocol_.message_bytes_max) {
          connection.CloseAfterFlush(CloseReason::kLimit, Linger::kYes);
          break;
        }
        if (!complete || frame.bytes == 0) break;
        if (!connection.TakeMessage()) {
          connection.CloseAfterFlush(CloseReason::kMessageRate, Linger::kYes);
          break;
        }
        connection.ClearWait();
        connection.CountMessage();
        Peer peer(&connection, &context_);
        if (protocol_.on_message) {
          protocol_.on_message(peer, Codec::Decode(rest.substr(0, frame.bytes)));
        }
        consumed += frame.bytes;
      }
      if (consumed < input.size() && connection.receiving()) connection.SetWait(Wait::kMessage);
      return consumed;
    }

    void OnBackpressure(Connection& connection) override {
      Peer peer(&connection, &context_);
      if (protocol_.on_backpressure) protocol_.on_backpressure(peer);
    }

    void OnDrained(Connection& connection) override {
      Peer peer(&connection, &context_);
      if (protocol_.on_drained) protocol_.on_drained(peer);
    }

    void OnClosed(Connection& connection, CloseReason reason) override {
      Peer peer(&connection, &context_);
      if (protocol_.on_close) protocol_.on_close(peer, reason);
    }

    // The beginning of a message stands in the connection's remainder.
    bool CanMove(const Connection& connection) const override {
      return connection.open() && kContextMoves<Context>;
    }

    void OnHandoff(Connection& connection) override {
      Peer peer(&connection, &context_);
      if (protocol_.on_handoff) protocol_.on_handoff(peer);
    }

    void Save(const Connection&, StateWriter& out) const override {
      out.Bytes(kSavedTag);
      out.Bytes(Codec::kName);
      out.Part(kStateVersion, [this](StateWriter& part) { SaveContext(context_, part); });
    }

    // May throw what the context does.
    bool Load(StateReader& in) {
      if (!kContextMoves<Context> || in.Bytes() != kSavedTag || in.Bytes() != Codec::kName) {
        return false;
      }
      StateReader::Part saved = in.TakePart();
      return saved.version > 0 && LoadContext(context_, saved.state);
    }

    void OnAdopted(Connection& connection) override {
      Peer peer(&connection, &context_);
      if (protocol_.on_adopted) protocol_.on_adopted(peer);
    }

   private:
    FramedProtocol& protocol_;
    [[no_unique_address]] Context context_;
  };
};

}  // namespace ringmaster
