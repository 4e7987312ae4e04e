// A worker's ring does what KernelRing submits and nothing else: the list is complete, and the
// kernel keeps to it.

#include "engine/ring/ring_restrictions.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "engine/ring/kernel_ring.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ringmaster {
namespace {

using testing::HasSubstr;

// liburing's functions and the opcode that each one prepares.
const std::map<std::string, uint8_t>& PreparedOpcodes() {
  static const std::map<std::string, uint8_t> opcodes = {
      {"multishot_accept", IORING_OP_ACCEPT},
      {"recv_multishot", IORING_OP_RECV},
      {"recv", IORING_OP_RECV},
      {"recvmsg", IORING_OP_RECVMSG},
      {"recvmsg_multishot", IORING_OP_RECVMSG},
      {"read", IORING_OP_READ},
      {"send", IORING_OP_SEND},
      {"sendmsg", IORING_OP_SENDMSG},
      {"connect", IORING_OP_CONNECT},
      {"link_timeout", IORING_OP_LINK_TIMEOUT},
      {"timeout_update", IORING_OP_TIMEOUT_REMOVE},
      {"poll_add", IORING_OP_POLL_ADD},
      {"poll_multishot", IORING_OP_POLL_ADD},
      {"cancel64", IORING_OP_ASYNC_CANCEL},
      {"cancel_fd", IORING_OP_ASYNC_CANCEL},
      {"close", IORING_OP_CLOSE},
  };
  return opcodes;
}

TEST(RingRestrictions, AdmitEveryOpcodeThatKernelRingPrepares) {
  std::ifstream file(KERNEL_RING_SOURCE);
  std::stringstream source;
  source << file.rdbuf();
  const std::string text = source.str();
  const std::regex prepare(R"(io_uring_prep_(\w+)\()");
  std::set<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), prepare), end; at != end; ++at) {
    found.insert((*at)[1]);
  }
  ASSERT_GE(found.size(), 11u) << KERNEL_RING_SOURCE;
  for (const std::string& name : found) {
    const auto known = PreparedOpcodes().find(name);
    ASSERT_NE(known, PreparedOpcodes().end())
        << "say here which opcode io_uring_prep_" << name << " prepares";
    EXPECT_TRUE(IsSubmittedOpcode(known->second))
        << "io_uring_prep_" << name << " is not in kSubmittedOpcodes";
  }
  // No operation is prepared by hand, past this test.
  EXPECT_EQ(text.find("->opcode ="), std::string::npos);
}

class RestrictedRing : public testing::Test {
 protected:
  void SetUp() override {
    auto ring = KernelRing::Create(RingOptions());
    ASSERT_TRUE(ring.ok()) << ring.status();
    ring_ = *std::move(ring);
    ASSERT_TRUE(ring_->restricted()) << ring_->description();
  }

  // Submits what is prepared and returns the result of the first that completes.
  int Result() {
    Ring::Wait wait;
    wait.deadline = ring_->Now() + 10'000'000'000;
    Completion completion;
    do {
      ring_->SubmitAndWait(wait);
    } while (ring_->Reap({&completion, 1}) == 0 && ring_->Now() < wait.deadline);
    return completion.result;
  }

  // Of an operation that no Submit function makes.
  int ResultOf(const std::function<void(io_uring_sqe*)>& prepare) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_->RingForTest());
    prepare(sqe);
    // Past KernelRing's own look at what it submits.
    io_uring_submit(&ring_->RingForTest());
    return Result();
  }

  std::unique_ptr<KernelRing> ring_;
};

TEST_F(RestrictedRing, RefusesAnyOtherOperation) {
  EXPECT_EQ(ResultOf([](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); }), -EACCES);
  EXPECT_EQ(ResultOf([](io_uring_sqe* sqe) {
              io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
            }),
            -EACCES);
  EXPECT_EQ(ResultOf([](io_uring_sqe* sqe) { io_uring_prep_unlink(sqe, "/nowhere", 0); }), -EACCES);
  EXPECT_EQ(
      ResultOf([](io_uring_sqe* sqe) { io_uring_prep_socket(sqe, AF_INET, SOCK_STREAM, 0, 0); }),
      -EACCES);
  for (int opcode = 0; opcode < IORING_OP_LAST; ++opcode) {
    if (IsSubmittedOpcode(static_cast<uint8_t>(opcode))) continue;
    EXPECT_EQ(ResultOf([opcode](io_uring_sqe* sqe) {
                io_uring_prep_nop(sqe);
                sqe->opcode = static_cast<uint8_t>(opcode);
              }),
              -EACCES)
        << opcode;
  }
}

TEST_F(RestrictedRing, RefusesFlagsThatNobodySets) {
  EXPECT_EQ(ResultOf([](io_uring_sqe* sqe) {
              io_uring_prep_cancel64(sqe, 77, 0);
              sqe->flags |= IOSQE_ASYNC;
            }),
            -EACCES);
  EXPECT_EQ(ResultOf([](io_uring_sqe* sqe) { io_uring_prep_cancel64(sqe, 77, 0); }), -ENOENT);
}

TEST_F(RestrictedRing, RefusesRegistrations) {
  char memory[4096];
  iovec buffer = {memory, sizeof(memory)};
  const int fd = ring_->RingForTest().ring_fd;
  EXPECT_EQ(syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &buffer, 1), -1);
  EXPECT_EQ(errno, EACCES);
  EXPECT_EQ(syscall(SYS_io_uring_register, fd, IORING_REGISTER_PERSONALITY, nullptr, 0), -1);
  EXPECT_EQ(errno, EACCES);
}

// What is in the list without a Submit function yet must work, too.
TEST_F(RestrictedRing, AdmitsPollAndReceiveMessage) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  ASSERT_EQ(write(ends[1], "abc", 3), 3);
  EXPECT_EQ(ResultOf([&](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, ends[0], POLLIN); }),
            POLLIN);
  char bytes[8];
  iovec part = {bytes, sizeof(bytes)};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  EXPECT_EQ(ResultOf([&](io_uring_sqe* sqe) { io_uring_prep_recvmsg(sqe, ends[0], &message, 0); }),
            3);
  close(ends[0]);
  close(ends[1]);
}

TEST_F(RestrictedRing, DoesWhatEverySubmitFunctionAsks) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const UserData id(uint64_t{1});
  const LinkedTimeout soon = {ring_->Now() + 1'000'000, UserData(uint64_t{2})};
  char bytes[] = "abc";
  iovec part = {bytes, 3};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const auto result_of = [this](auto submit) {
    submit();
    return Result();
  };
  EXPECT_EQ(result_of([&] { ring_->SubmitSend(ends[1], bytes, 3, id); }), 3);
  EXPECT_EQ(result_of([&] { ring_->SubmitSendMessage(ends[1], &message, id); }), 3);
  EXPECT_EQ(result_of([&] { ring_->SubmitSendStuck(ends[1], bytes, 3, id, {}); }), 3);
  EXPECT_EQ(result_of([&] { ring_->SubmitSendMessageStuck(ends[1], &message, id, {}); }), 3);
  char read[12];
  EXPECT_EQ(result_of([&] { ring_->SubmitRead(ends[0], read, 12, 0, id); }), 12);
  EXPECT_EQ(result_of([&] { ring_->SubmitRecvMultishot(ends[0], id, soon); }), -ECANCELED);
  EXPECT_EQ(result_of([&] { ring_->SubmitUpdateLinkedTimeout(soon.user_data, kNever - 1, id); }),
            -ENOENT);
  EXPECT_EQ(result_of([&] { ring_->SubmitCancel(UserData(uint64_t{77}), id); }), -ENOENT);
  EXPECT_EQ(result_of([&] { ring_->SubmitCancelFd(ends[0], id); }), 0);
  EXPECT_EQ(result_of([&] { ring_->SubmitAcceptMultishot(ends[0], id); }), -EINVAL);
  sockaddr nowhere = {};
  nowhere.sa_family = AF_INET;
  EXPECT_EQ(result_of([&] { ring_->SubmitConnect(ends[0], &nowhere, sizeof(nowhere), id, {}); }),
            -EINVAL);
  EXPECT_EQ(result_of([&] { ring_->SubmitClose(ends[0], id); }), 0);
  close(ends[1]);
}

// A thread has 16 places for registered rings. Were the unregistration refused, a ring would stay
// in its place, and alive, after its end.
TEST(KernelRing, LeavesNothingBehind) {
  for (int i = 0; i < 40; ++i) {
    const auto ring = KernelRing::Create(RingOptions());
    ASSERT_TRUE(ring.ok()) << ring.status();
    ASSERT_THAT((*ring)->description(), HasSubstr("registered descriptor: yes")) << i;
  }
}

TEST(KernelRing, IsNotRestrictedWhenNobodyAsks) {
  RingOptions options;
  options.restricted = false;
  const auto ring = KernelRing::Create(options);
  ASSERT_TRUE(ring.ok()) << ring.status();
  EXPECT_FALSE((*ring)->restricted());
  EXPECT_THAT((*ring)->description(), HasSubstr("operations: any"));
  io_uring& raw = (*ring)->RingForTest();
  io_uring_prep_nop(io_uring_get_sqe(&raw));
  io_uring_submit(&raw);
  (*ring)->SubmitAndWait({});
  Completion completion;
  ASSERT_EQ((*ring)->Reap({&completion, 1}), 1u);
  EXPECT_EQ(completion.result, 0);
}

}  // namespace
}  // namespace ringmaster
