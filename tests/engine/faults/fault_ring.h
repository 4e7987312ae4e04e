#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/ring/ring.h"
#include "tests/engine/faults/fault_rates.h"
#include "tests/engine/simulation/random.h"

namespace ringmaster::faults {

// Stands in front of a real ring and turns real operations into faults, by named probabilities and
// a seed. It keeps the ring's contract: an operation that it lets fail was never submitted, or has
// really been cancelled before its end is told; a descriptor that was accepted and bytes that were
// received always reach the engine.
//
//   auto ring = std::make_unique<FaultRing>(*KernelRing::Create({}), seed);
//   ring->set_rates(FaultRates::Some());
//   Worker worker(server, environment, std::move(ring));
//
// Of the worker's thread, as every ring. Between two seeds only the draws differ; what the kernel
// does meanwhile is its own affair, so a seed replays the kind of run, not each turn of it.
class FaultRing final : public Ring {
 public:
  FaultRing(std::unique_ptr<Ring> kernel, uint64_t seed)
      : kernel_(std::move(kernel)), random_(seed) {}
  ~FaultRing() override;

  void set_rates(const FaultRates& rates) { rates_ = rates; }
  uint64_t count(Fault fault) const { return counts_[static_cast<size_t>(fault)]; }

  void SubmitAcceptMultishot(int listening_fd, UserData user_data) override;
  void SubmitRecvMultishot(int fd, UserData user_data, LinkedTimeout timeout) override;
  void SubmitRead(int fd, void* buffer, size_t bytes, uint64_t offset, UserData user_data) override;
  void SubmitPoll(int fd, UserData user_data) override { kernel_->SubmitPoll(fd, user_data); }
  void SubmitSend(int fd, const void* data, size_t bytes, UserData user_data) override;
  void SubmitSendMessage(int fd, const msghdr* message, UserData user_data) override;
  void SubmitSendStuck(int fd, const void* data, size_t bytes, UserData user_data,
                       LinkedTimeout timeout) override;
  void SubmitSendMessageStuck(int fd, const msghdr* message, UserData user_data,
                              LinkedTimeout timeout) override;
  void SubmitConnect(int fd, const sockaddr* address, socklen_t address_bytes, UserData user_data,
                     LinkedTimeout timeout) override;
  void SubmitUpdateLinkedTimeout(UserData timeout, TimePoint deadline, UserData user_data) override;
  void SubmitCancel(UserData target, UserData user_data) override;
  void SubmitCancelFd(int fd, UserData user_data) override;
  void SubmitClose(int fd, UserData user_data) override;
  void Shutdown(int fd, int how) override { kernel_->Shutdown(fd, how); }
  void DiscardUnsent(int fd) override { kernel_->DiscardUnsent(fd); }
  bool HasInput(int fd) override { return kernel_->HasInput(fd); }
  Duration SinceLastData(int fd) override { return kernel_->SinceLastData(fd); }
  void SetBacklog(int listening_fd, uint32_t backlog) override {
    kernel_->SetBacklog(listening_fd, backlog);
  }
  PeerAddress PeerOf(int fd) override { return kernel_->PeerOf(fd); }
  bool SendNow(int fd, std::string_view bytes) override { return kernel_->SendNow(fd, bytes); }
  std::span<char> BufferOf(const Completion& completion) override {
    return kernel_->BufferOf(completion);
  }
  void ReturnBuffer(uint16_t buffer_id) override { kernel_->ReturnBuffer(buffer_id); }
  uint32_t BuffersAtHome() const override { return kernel_->BuffersAtHome(); }
  uint32_t BufferCount() const override { return kernel_->BufferCount(); }
  void SubmitAndWait(const Wait& wait) override;
  size_t Reap(std::span<Completion> out) override;
  TimePoint Now() const override { return kernel_->Now(); }
  bool AllSubmitted() const override { return kernel_->AllSubmitted(); }
  Figures figures() const override { return kernel_->figures(); }

 private:
  // A multishot operation that is being cancelled in the kernel, and how its end will be told.
  struct Ending {
    int32_t result = 0;            // < 0: in place of -ECANCELED
    std::vector<Completion> held;  // else: these come first and the last one is the end
  };

  bool Draw(Fault fault);
  void Complete(UserData user_data, int32_t result);
  bool FailSend(UserData user_data);
  size_t ShortenSend(size_t bytes);
  void End(const Completion& completion, int32_t result);
  void Take(const Completion& completion);
  void TakeOfEnding(Ending& ending, const Completion& completion);

  std::unique_ptr<Ring> kernel_;
  simulation::Random random_;
  FaultRates rates_;
  std::array<uint64_t, kFaultCount> counts_ = {};
  std::unordered_map<uint64_t, Ending> endings_;  // by user_data
  std::deque<Completion> ready_;
  std::vector<Completion> late_;
};

}  // namespace ringmaster::faults
