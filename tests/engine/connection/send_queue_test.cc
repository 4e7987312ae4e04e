#include "engine/connection/send_queue.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <random>
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

TEST(SendQueue, CountsRoomForAPieceOfEachFileFromTheStart) {
  const int file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  size_t total = 0;
  SendQueue queue(SendQueue::kInlineBytes, &total);
  queue.AppendFile(file, 0, 1'000'000, 10'000);
  EXPECT_EQ(queue.bytes_pending(), 0u);
  EXPECT_EQ(queue.bytes_bounded(), 10'000u);
  EXPECT_GE(total, 10'000u);
  EXPECT_LT(total, 10'500u);
  for (int pieces = 0; pieces < 100; ++pieces) {
    const SendQueue::FileRead read = queue.NextFileRead();
    EXPECT_EQ(read.bytes, 10'000u);
    queue.CommitFileRead(read.bytes);
    EXPECT_EQ(queue.bytes_bounded(), 10'000u);
    queue.Front();
    queue.Consume(4'000);
    EXPECT_EQ(queue.bytes_bounded(), 10'000u);
    queue.Consume(6'000);
  }
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes_bounded(), 0u);
  EXPECT_EQ(total, 0u);
}

TEST(SendQueue, CountsWhatIsSharedByItsPart) {
  SendQueue first;
  SendQueue second;
  const size_t nothing = first.held_bytes();
  const auto owner = std::make_shared<std::string>(1'000'000, 's');
  first.AppendShared(*owner, owner);
  EXPECT_NEAR(static_cast<double>(first.held_bytes() - nothing), 1'000'000, 200);
  second.AppendShared(*owner, owner);
  EXPECT_NEAR(static_cast<double>(second.held_bytes() - nothing), 500'000, 200);
  first.Clear();
  second.Clear();
  EXPECT_EQ(first.held_bytes(), nothing);
}

void AppendMessage(SendQueue& queue, std::string_view bytes) {
  Append(queue, bytes);
  queue.MarkMessage(bytes.size());
}

TEST(SendQueue, DropsTheOldestMessagesWholeAndNeverMoreThanNeeded) {
  SendQueue queue;
  for (const char* message : {"one,", "two,", "three,", "four"}) AppendMessage(queue, message);
  EXPECT_EQ(queue.DropOldest(5), 2u);
  EXPECT_EQ(Gathered(queue), "three,four");
  EXPECT_EQ(queue.bytes_pending(), 10u);
}

TEST(SendQueue, DropsNothingWhenThatWouldNotBeEnough) {
  SendQueue queue;
  AppendMessage(queue, "one,");
  AppendMessage(queue, "two");
  EXPECT_EQ(queue.DropOldest(8), 0u);
  EXPECT_EQ(Gathered(queue), "one,two");
}

TEST(SendQueue, NeverDropsWhatHasBegunToLeaveNorWhatIsNoMessage) {
  SendQueue queue;
  AppendMessage(queue, "in flight,");
  const char* const place = queue.Front().data;
  Append(queue, "control,");
  AppendMessage(queue, "oldest,");
  Append(queue, "control,");
  AppendMessage(queue, "newest");
  EXPECT_EQ(queue.DropOldest(1), 1u);
  EXPECT_EQ(std::string_view(place, 10), "in flight,");
  // A short send: the rest of the message stays too.
  queue.Consume(3);
  EXPECT_EQ(queue.DropOldest(1), 1u);
  EXPECT_EQ(queue.DropOldest(1), 0u);
  EXPECT_EQ(Gathered(queue), "flight,control,control,");
}

TEST(SendQueue, KnowsTheMessagesOfAQueueThatHadNoneMarked) {
  SendQueue queue;
  Append(queue, "before,");
  AppendMessage(queue, "message,");
  Append(queue, "behind");
  EXPECT_EQ(queue.DropOldest(1), 1u);
  EXPECT_EQ(Gathered(queue), "before,behind");
}

TEST(SendQueue, ForgetsNoOwnerWhenSharedBytesStandBetweenDroppedMessages) {
  SendQueue queue;
  const auto owner = std::make_shared<std::string>("shared,");
  AppendMessage(queue, std::string(20'000, 'a'));
  queue.AppendShared(*owner, owner);
  AppendMessage(queue, std::string(20'000, 'b'));
  EXPECT_EQ(queue.DropOldest(40'000), 2u);
  EXPECT_EQ(Gathered(queue), "shared,");
  queue.Consume(7);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(owner.use_count(), 1);
}

// A peer that takes a byte now and then while its oldest messages are dropped for ever.
TEST(SendQueue, DoesNotGrowWhileMessagesAreDroppedBehindAStuckSend) {
  SendQueuePool pool;
  std::unique_ptr<SendQueue> queue = pool.Take();
  AppendMessage(*queue, "stuck");
  queue->Front();
  const std::string message(30'000, 'm');
  for (int i = 0; i < 3; ++i) AppendMessage(*queue, message);
  const size_t held = pool.held_bytes();
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_EQ(queue->DropOldest(message.size()), 1u);
    AppendMessage(*queue, message);
  }
  EXPECT_LE(pool.held_bytes(), held + 1024);
  EXPECT_EQ(queue->bytes_pending(), 5 + 3 * message.size());
  pool.Put(std::move(queue));
  EXPECT_EQ(pool.held_bytes(), 0u);
}

TEST(SendQueuePool, AStuckAnswerOfAFewBytesHoldsLittle) {
  SendQueuePool pool;
  std::unique_ptr<SendQueue> queue = pool.Take();
  Append(*queue, "0123456789");
  // The pool's own.
  EXPECT_EQ(pool.held_bytes(), 0u);
  queue->Consume(2);
  queue = pool.Shrink(std::move(queue));
  EXPECT_LT(pool.held_bytes(), 2048u);
  EXPECT_EQ(Gathered(*queue), "23456789");
  // What comes behind needs no large block either.
  Append(*queue, std::string(1000, 'x'));
  EXPECT_LT(pool.held_bytes(), 4096u);
  EXPECT_EQ(Gathered(*queue), "23456789" + std::string(1000, 'x'));
  pool.Put(std::move(queue));
  EXPECT_EQ(pool.held_bytes(), 0u);
}

TEST(SendQueuePool, ATurnThatSendsToThousandsDoesNotHoldALargeQueueForEach) {
  SendQueuePool pool;
  std::vector<std::unique_ptr<SendQueue>> queues;
  for (int i = 0; i < 10'000; ++i) {
    queues.push_back(pool.Take());
    Append(*queues.back(), "news");
  }
  EXPECT_LT(pool.held_bytes(), 20u << 20);
  for (auto& queue : queues) pool.Put(std::move(queue));
  EXPECT_EQ(pool.held_bytes(), 0u);
}

// Against a model of plain strings: whatever is sent short, dropped and appended in between, what
// leaves is whole messages in order.
TEST(SendQueue, DropsLikeItsModel) {
  struct Item {
    std::string bytes;
    bool droppable;
    size_t left;           // of it not yet sent
    bool touched = false;  // given to the kernel, if only to come back unsent
  };
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
    SendQueuePool pool;
    std::unique_ptr<SendQueue> queue = pool.Take();
    std::deque<Item> model;
    size_t in_flight = 0;
    bool sending = false;
    for (int step = 0; step < 400; ++step) {
      const size_t action = below(10);
      if (action < 5) {
        const size_t bytes = below(20) == 0 ? 1 + below(40'000) : 1 + below(300);
        Item item{std::string(bytes, static_cast<char>('a' + step % 26)), below(4) != 0, bytes};
        Append(*queue, item.bytes);
        if (item.droppable) queue->MarkMessage(bytes);
        model.push_back(std::move(item));
      } else if (action < 7 && !model.empty()) {
        if (!sending) {
          if (below(2) == 0) queue = pool.Shrink(std::move(queue));
          const std::string ready = [&] {
            const SendQueue::Gather front = queue->Front(1 + below(20'000));
            in_flight = front.bytes;
            if (front.message == nullptr) return std::string(front.data, front.bytes);
            std::string all;
            for (size_t i = 0; i < front.message->msg_iovlen; ++i) {
              const iovec& piece = front.message->msg_iov[i];
              all.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
            }
            return all;
          }();
          std::string expected;
          for (Item& item : model) {
            if (expected.size() >= ready.size()) break;
            expected += item.bytes.substr(item.bytes.size() - item.left);
            item.touched = true;
          }
          ASSERT_EQ(ready, expected.substr(0, ready.size()));
          sending = true;
        } else {
          size_t sent = 1 + below(in_flight);
          queue->Consume(sent);
          while (sent > 0) {
            const size_t of_front = std::min(sent, model.front().left);
            model.front().left -= of_front;
            sent -= of_front;
            if (model.front().left == 0) model.pop_front();
          }
          sending = false;
          in_flight = 0;
        }
      } else {
        const size_t wanted = 1 + below(1000);
        std::vector<size_t> droppable;
        size_t sum = 0;
        for (size_t i = 0; i < model.size(); ++i) {
          if (!model[i].droppable || model[i].touched) continue;
          droppable.push_back(i);
          sum += model[i].bytes.size();
        }
        uint32_t expected = 0;
        size_t gone = 0;
        if (sum >= wanted) {
          while (gone < wanted) gone += model[droppable[expected++]].bytes.size();
        }
        ASSERT_EQ(queue->DropOldest(wanted), expected);
        for (uint32_t i = expected; i > 0; --i) {
          model.erase(model.begin() + static_cast<std::ptrdiff_t>(droppable[i - 1]));
        }
      }
      size_t pending = 0;
      for (const Item& item : model) pending += item.left;
      ASSERT_EQ(queue->bytes_pending(), pending);
    }
    pool.Put(std::move(queue));
    ASSERT_EQ(pool.held_bytes(), 0u);
  }
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
