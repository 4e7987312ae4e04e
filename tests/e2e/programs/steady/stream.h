#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>

#include "tests/e2e/programs/steady/event_loop.h"

namespace steady {

// A TCP connection to a port of 127.0.0.1. Bytes are written at once or, on purpose, some time
// after those before them. May be opened again after Close.
class Stream : public EventHandler {
 public:
  explicit Stream(EventLoop& loop);
  virtual ~Stream() { Close(); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Begins to connect and sends `bytes` as soon as that is possible; without bytes OnConnected says
  // when it is. From 127.0.0.`source`: an address has some 28,000 ports only. Returns 0 or an
  // errno; then nothing is open, but local_port() says from where it was tried.
  int Open(uint16_t port, std::string_view bytes = {}, uint8_t source = 1);
  // Copies what cannot be written now. `gap`: that long after what was sent before, on the
  // grid of ticks (so up to one less).
  void Send(std::string_view bytes, Nanoseconds gap = 0);
  // What Send has kept is never written.
  void DropUnsent();
  void Close();

  bool is_open() const { return fd_ >= 0; }
  bool connecting() const { return connecting_; }
  bool everything_sent() const { return unsent_.empty(); }
  // 0 before Open. After Close only what had been asked for before it.
  uint16_t local_port();

  void OnEvents(uint32_t events) final;

 protected:
  virtual void OnConnected() {}
  // `bytes` may be written to; valid until the return. May Close and Open.
  virtual void OnReceived(std::span<char> bytes) = 0;
  // The end of what the peer sends (0) or an errno. The connection is closed behind the return,
  // unless it has been opened anew.
  virtual void OnEnded(int error) = 0;

 private:
  struct Chunk {
    std::string bytes;
    Nanoseconds gap;
  };

  bool FinishConnect();
  // `to_the_end`: there is one, or an error, behind the bytes.
  void Receive(bool to_the_end);
  void Flush();
  // How many of `bytes` the kernel took.
  size_t Write(std::string_view bytes);
  void End(int error);
  void WatchForOutput(bool wanted);

  EventLoop& loop_;
  int fd_ = -1;
  uint16_t local_port_ = 0;
  bool connecting_ = false;
  bool watching_output_ = false;
  // A write has failed with this. Whether the connection was reset or ended is for the read side
  // to find out: there may be answers to be read still.
  int write_error_ = 0;
  // Counts Open, so that the caller of a callback sees that the connection is another one now.
  uint64_t opening_ = 0;
  std::deque<Chunk> unsent_;
  Timer gap_timer_;
};

}  // namespace steady
