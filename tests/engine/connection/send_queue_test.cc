#include "engine/connection/send_queue.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "gtest/gtest.h"

namespace ringmaster {
namespace {

void Append(SendQueue& queue, std::string_view bytes) {
  std::memcpy(queue.Reserve(bytes.size()), bytes.data(), bytes.size());
  queue.Commit(bytes.size());
}

std::string Gathered(SendQueue& queue) {
  const SendQueue::Gather front = queue.Front();
  if (front.message == nullptr) return {front.data, front.bytes};
  std::string all;
  for (size_t i = 0; i < front.message->msg_iovlen; ++i) {
    const iovec& piece = front.message->msg_iov[i];
    all.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  EXPECT_EQ(all.size(), front.bytes);
  return all;
}

TEST(SendQueue, PutsTheAnswersOfATurnIntoOnePiece) {
  SendQueue queue;
  Append(queue, "one,");
  Append(queue, "two,");
  Append(queue, "three");
  const SendQueue::Gather front = queue.Front();
  EXPECT_EQ(front.message, nullptr);
  EXPECT_EQ(std::string_view(front.data, front.bytes), "one,two,three");
}

TEST(SendQueue, GoesOnAtTheByteWhereAShortSendStopped) {
  SendQueue queue;
  const std::string large(100'000, 'x');
  Append(queue, "head:");
  queue.AppendShared("shared:", std::make_shared<int>(0));
  Append(queue, large);
  const std::string whole = "head:shared:" + large;
  EXPECT_EQ(queue.bytes_pending(), whole.size());
  // Every kind of cut: inside a piece, at its end, across several.
  size_t sent = 0;
  for (const size_t step : {2, 3, 1, 6, 5, 50'000, 1}) {
    EXPECT_EQ(Gathered(queue), whole.substr(sent));
    queue.Consume(step);
    sent += step;
    EXPECT_EQ(queue.bytes_pending(), whole.size() - sent);
  }
  queue.Consume(whole.size() - sent);
  EXPECT_TRUE(queue.empty());
}

TEST(SendQueue, WhatIsInFlightStaysWhereItIsWhileMoreIsAppended) {
  SendQueue queue;
  Append(queue, "in flight");
  const char* const place = queue.Front().data;
  for (int i = 0; i < 100; ++i) Append(queue, std::string(1000, 'y'));
  EXPECT_EQ(std::string_view(place, 9), "in flight");
  EXPECT_EQ(queue.bytes_given_out(), 9u);
}

TEST(SendQueue, ReleasesAnOwnerAsSoonAsItsBytesAreSent) {
  SendQueue queue;
  auto owner = std::make_shared<std::string>("shared");
  queue.AppendShared(*owner, owner);
  Append(queue, "behind");
  EXPECT_EQ(owner.use_count(), 2);
  queue.Consume(5);
  EXPECT_EQ(owner.use_count(), 2);
  queue.Consume(1);
  EXPECT_EQ(owner.use_count(), 1);
}

TEST(SendQueue, ReadsAFilePieceByPieceBetweenOtherBytes) {
  char path[] = "/tmp/ringmaster-queue-XXXXXX";
  const int file = mkstemp(path);
  ASSERT_GE(file, 0);
  unlink(path);
  const std::string content(300'000, 'f');
  ASSERT_EQ(write(file, content.data(), content.size()), static_cast<ssize_t>(content.size()));
  SendQueue queue;
  Append(queue, "head");
  queue.AppendFile(file, 0, content.size());
  Append(queue, "tail");
  std::string sent;
  while (!queue.empty()) {
    const std::string ready = Gathered(queue);
    if (ready.empty()) {
      const SendQueue::FileRead read = queue.NextFileRead();
      ASSERT_EQ(read.fd, file);
      ASSERT_LE(read.bytes, SendQueue::kFilePieceBytes);
      const ssize_t got = pread(read.fd, read.buffer, read.bytes, static_cast<off_t>(read.offset));
      ASSERT_GT(got, 0);
      queue.CommitFileRead(static_cast<size_t>(got));
      continue;
    }
    sent += ready;
    queue.Consume(ready.size());
  }
  EXPECT_EQ(sent, "head" + content + "tail");
  EXPECT_EQ(fcntl(file, F_GETFD), -1) << "the queue owns the descriptor and has closed it";
}

TEST(SendQueue, IsAsNewAfterClear) {
  SendQueue queue;
  Append(queue, "abc");
  queue.AppendShared("x", std::make_shared<int>(0));
  queue.Clear();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes_pending(), 0u);
  Append(queue, "new");
  EXPECT_EQ(Gathered(queue), "new");
}

}  // namespace
}  // namespace ringmaster
