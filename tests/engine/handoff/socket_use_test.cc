#include "engine/handoff/socket_use.h"

#include <poll.h>
#include <sys/socket.h>

#include <optional>
#include <string>

#include "engine/base/unique_fd.h"
#include "gtest/gtest.h"
#include "tests/engine/socket_bytes.h"
#include "tests/engine/worker/loopback.h"

namespace ringmaster {
namespace {

class SocketUseTest : public testing::Test {
 protected:
  SocketUseTest() {
    uint16_t port = 0;
    const UniqueFd listening(ListenOnLoopback(port, 16));
    client_.Reset(ConnectTo(port));
    server_.Reset(accept(listening.get(), nullptr, nullptr));
  }
  // Something came: bytes, or an end.
  void AwaitReadable() {
    pollfd entry = {server_.get(), POLLIN, 0};
    ASSERT_EQ(poll(&entry, 1, 5000), 1);
  }
  void Expect(uint64_t read, uint64_t written) {
    const std::optional<SocketUse> use = SocketUse::Of(server_.get());
    ASSERT_TRUE(use.has_value());
    EXPECT_EQ(use->bytes_read, read);
    EXPECT_EQ(use->bytes_written, written);
  }
  UniqueFd client_;
  UniqueFd server_;
};

TEST_F(SocketUseTest, NobodyHasUsedANewOne) { Expect(0, 0); }

TEST_F(SocketUseTest, WhatIsNotReadDoesNotCount) {
  SendAll(client_.get(), std::string(1000, 'x'));
  AwaitReadable();
  Expect(0, 0);
  EXPECT_EQ(ReadBytes(server_.get(), 300).size(), 300u);
  Expect(300, 0);
  EXPECT_EQ(ReadBytes(server_.get(), 700).size(), 700u);
  Expect(1000, 0);
}

TEST_F(SocketUseTest, WhatIsWrittenCountsBeforeItHasArrived) {
  size_t written = 0;
  const std::string piece(100'000, 'y');
  while (true) {
    const ssize_t sent = send(server_.get(), piece.data(), piece.size(), MSG_DONTWAIT);
    if (sent < 0) break;
    written += static_cast<size_t>(sent);
  }
  EXPECT_GT(written, 100'000u);
  Expect(0, written);
  EXPECT_EQ(ReadBytes(client_.get(), 50'000).size(), 50'000u);
  Expect(0, written);
}

TEST_F(SocketUseTest, TheEndOfThePeerIsNoByte) {
  SendAll(client_.get(), "bye");
  shutdown(client_.get(), SHUT_WR);
  AwaitReadable();
  Expect(0, 0);
  EXPECT_EQ(ReadToEnd(server_.get()), "bye");
  Expect(3, 0);
}

TEST_F(SocketUseTest, AnEndWithoutBytesIsNoByteEither) {
  shutdown(client_.get(), SHUT_WR);
  AwaitReadable();
  Expect(0, 0);
  EXPECT_EQ(ReadToEnd(server_.get()), "");
  Expect(0, 0);
}

TEST_F(SocketUseTest, WhatThisSideHasClosedIsOver) {
  shutdown(server_.get(), SHUT_WR);
  EXPECT_FALSE(SocketUse::Of(server_.get()).has_value());
}

TEST_F(SocketUseTest, WhatIsResetIsOver) {
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(setsockopt(client_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
  client_.Reset();
  AwaitReadable();
  EXPECT_FALSE(SocketUse::Of(server_.get()).has_value());
}

TEST_F(SocketUseTest, OnlyTcpKnows) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd a(ends[0]);
  const UniqueFd b(ends[1]);
  EXPECT_FALSE(SocketUse::Of(a.get()).has_value());
  EXPECT_FALSE(SocketUse::Of(-1).has_value());
}

}  // namespace
}  // namespace ringmaster
