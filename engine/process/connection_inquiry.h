#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/time.h"
#include "engine/base/unique_fd.h"

namespace ringmaster {

class StateReader;
class StateWriter;

// The master's question to all workers: which connections do you have? Each answers into a memfd of
// its own (worker/connection_report.h) and says so; one that is busy is not waited for longer than
// kPatience, and the others are shown without it.
//
//     Add(client) ... Begin ─ OnListed, OnGone per worker ─ Done ─ TakeAnswer, for TakeClients
//
// A client that asks while an inquiry runs gets the next one: what it gets was asked after it
// asked. Knows no socket: the master sends what has to be sent.
class ConnectionInquiry {
 public:
  static constexpr Duration kPatience = std::chrono::seconds(2);

  // A memfd per worker, inherited by each process that works there. Once for each.
  absl::Status AddWorker(uint32_t worker);
  // One that has a memfd already.
  void SetReport(uint32_t worker, UniqueFd report) { workers_[worker].report = std::move(report); }
  int report_fd(uint32_t worker) const { return workers_.at(worker).report.get(); }

  // For the program that takes this one's place: `kept` are descriptors that it needs.
  void Save(StateWriter& out, std::vector<int>& kept) const;
  void Resume(StateReader& in);

  void Add(uint64_t client) { waiting_.push_back(client); }
  bool running() const { return !asking_.empty(); }
  bool waiting() const { return !waiting_.empty(); }

  // The number of the new request, to be sent to each of `workers`; OnGone for those it did not
  // reach.
  uint64_t Begin(const std::vector<uint32_t>& workers, TimePoint now);
  void OnListed(uint32_t worker, uint64_t request);
  void OnGone(uint32_t worker);

  // Everybody has answered, or the patience is over.
  bool Done(TimePoint now) const;
  TimePoint deadline() const;

  // Ends the inquiry. The answer, for each of the clients:
  //
  //     connections LAYOUT RECORD_BYTES NOW WORKERS\n
  //     worker INDEX listed|busy|gone COUNT\n  and COUNT records of RECORD_BYTES, for each worker
  std::string TakeAnswer(TimePoint now);
  std::vector<uint64_t> TakeClients();

 private:
  enum class Stage : uint8_t { kNotAsked, kGone, kAsked, kListed };
  struct Worker {
    UniqueFd report;
    Stage stage = Stage::kNotAsked;
  };

  std::map<uint32_t, Worker> workers_;
  std::vector<uint64_t> waiting_;
  std::vector<uint64_t> asking_;
  uint64_t request_ = 0;
  TimePoint deadline_ = kNever;
};

}  // namespace ringmaster
