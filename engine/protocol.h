#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "engine/connection/close_reason.h"

// The protocol seam: how a protocol meets the engine. The engine moves bytes, time and processes; a
// Protocol makes one Session per connection, and the Session turns bytes into messages and answers.
// Nothing in engine/ names a protocol; http and websocket (protocols/*/service) are built on this,
// and so is the three-function form of a custom protocol (engine/framed_protocol.h).
//
// All calls come on the worker's thread. A Session may throw from any of them: the engine catches,
// calls OnException and closes that connection alone.

namespace ringmaster {

class Connection;
class StateReader;
class StateWriter;
class Worker;

// Which wait a deadline bounds; see StreamOptions::Timeouts.
enum class Wait : uint8_t { kNone, kHandshake, kHeader, kBody, kMessage, kClose };

class Session {
 public:
  virtual ~Session() = default;

  // What it speaks now, for listings: after an upgrade another than its listener's. A constant.
  virtual std::string_view protocol_name() const;

  // `input` is everything received and not yet consumed, oldest first; it may be changed in place
  // (unmasking). Returns how many bytes from the front were consumed; the rest is kept and offered
  // again, together with what arrives next. A session that loops over several messages stops when
  // connection.receiving() is false: it was closed (bytes behind are thrown away), paused, or its
  // output queue is above the high watermark (bytes behind are offered again later). The span is
  // valid for this call only.
  virtual size_t OnInput(Connection& connection, std::span<char> input) = 0;

  // Outbound connections: the peer accepted. Input follows.
  virtual void OnConnected(Connection& connection);

  // The peer sent FIN; nothing more will be received. `unconsumed` bytes of an incomplete message
  // remain. Default: flush what is queued, then close.
  virtual void OnInputEnd(Connection& connection, size_t unconsumed);

  // A deadline of this connection has passed. The session may queue a goodbye (an HTTP 408, a
  // WebSocket close frame); the engine then closes with `reason` after the queue was flushed or
  // timeouts.close passed.
  virtual void OnTimeout(Connection& connection, CloseReason reason);

  // Half of timeouts.read has passed without a byte received, and EnableIdleProbe was called: ask
  // the peer for a sign of life. Any byte it sends restarts the read timeout.
  virtual void OnIdleProbe(Connection& connection);

  // The output queue went above its high watermark; once, until OnDrained. Called at the end of the
  // turn in which it did. No input is given to the session meanwhile; what it sends of its own
  // accord it should hold back.
  virtual void OnBackpressure(Connection& connection);

  // The output queue had no room for a message and SendQueuePolicy::kClose is in force: the
  // connection closes with kSendQueueFull. The session may queue a goodbye by SendControl.
  virtual void OnSendQueueFull(Connection& connection);

  // The output queue fell to its low watermark after it had been above the high one, or a file body
  // was sent: a streaming session continues here.
  virtual void OnDrained(Connection& connection);

  // Another worker has this one's place, and this connection stayed: it may go on for
  // drain_timeout, then OnStop follows. A protocol whose clients come back at any answer ends it
  // with the next one. Called once. Default: nothing.
  virtual void OnDrain(Connection& connection);

  // Graceful stop: finish what was received, then close. Called once. Default: CloseAfterFlush.
  virtual void OnStop(Connection& connection);

  // The operator wants this connection gone. The session may queue a goodbye and CloseAfterFlush
  // with kKilled; the engine bounds it by timeouts.close. Default: Abort.
  virtual void OnKilled(Connection& connection);

  // A handler threw `what` from one of the calls above. The session may queue a goodbye; the engine
  // closes with kHandlerError after it was flushed.
  virtual void OnException(Connection& connection, std::string_view what);

  // -- Moving to another process (engine/handoff)
  //
  // A reload gives connections to the new worker as they are, between two calls of the session.
  // Unconsumed input, unsent output, deadlines and counts travel with the connection; the session
  // says what it has beside that.

  // Whether it can move now. False for good or for the moment (an answer is awaited): then it stays
  // and drains. Asked before Save, perhaps several times. Default: it never moves.
  virtual bool CanMove(const Connection& connection) const;
  // Tells the application that this connection is about to be saved. It may go on here all the same
  // when the new worker cannot take it.
  virtual void OnHandoff(Connection& connection);
  // Writes what Protocol::Restore needs. Nothing of the session changes. If the new worker takes
  // it, the session is destroyed without OnClosed: its connection lives on.
  virtual void Save(const Connection& connection, StateWriter& out) const;
  // In the new worker: it is this worker's connection now, and may be written to.
  virtual void OnAdopted(Connection& connection);

  // The last call: the connection is going away for `reason`, whatever ended it. Exactly once, also
  // before destruction in a worker that stops. Nothing can be sent any more.
  virtual void OnClosed(Connection& connection, CloseReason reason);
};

// What a listener or an outbound connection speaks. One object per worker; it outlives its
// sessions.
class Protocol {
 public:
  virtual ~Protocol() = default;

  // Short name for status, logs and metrics: "http", "websocket", "line".
  virtual std::string_view name() const = 0;

  // True: its sessions learn from the first bytes for whom a proxy speaks
  // (Worker::ReaddressConnection), as ListenerDefinition::proxy_protocol demands.
  virtual bool NamesPeer() const { return false; }

  // A connection was accepted (or an outbound one is being made). Called before any byte is
  // received.
  virtual std::unique_ptr<Session> NewSession(Connection& connection) = 0;

  // The session of a connection that another process has saved (Session::Save), perhaps an older or
  // newer release of this one; or nullptr: it cannot be made from that, and the connection stays
  // where it was. What `in` says is checked, not believed. Nothing may be sent yet; OnAdopted
  // follows. Default: nullptr.
  virtual std::unique_ptr<Session> Restore(Connection& connection, StateReader& in);

  // What a connection hears that the door refuses because of a limit, before it is closed. No
  // session is made for it. A few hundred bytes at most, so that they always fit a new socket's
  // send buffer; they live as long as the protocol. Empty: it is closed without a word.
  virtual std::string_view RefusalGoodbye() const { return {}; }
};

}  // namespace ringmaster
