#include "engine/process/connection_inquiry.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "engine/connection/connection_record.h"
#include "engine/handoff/state_reader.h"
#include "engine/handoff/state_writer.h"

namespace ringmaster {
namespace {

// Appends the records of a report; false when it is not the one that was asked for, or is cut
// short.
bool AppendRecords(int fd, uint64_t request, std::string& out) {
  ConnectionReportHeader header;
  if (::pread(fd, &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header)) ||
      header.layout != ConnectionRecord::kLayout || header.request != request ||
      header.record_bytes != sizeof(ConnectionRecord)) {
    return false;
  }
  const size_t bytes = header.count * sizeof(ConnectionRecord);
  const size_t begin = out.size();
  out.resize(begin + bytes);
  size_t got = 0;
  while (got < bytes) {
    const ssize_t count = ::pread(fd, out.data() + begin + got, bytes - got,
                                  static_cast<off_t>(sizeof(header) + got));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    got += static_cast<size_t>(count);
  }
  if (got == bytes) return true;
  out.resize(begin);
  return false;
}

}  // namespace

absl::Status ConnectionInquiry::AddWorker(uint32_t worker) {
  UniqueFd report(::memfd_create("ringmaster-connections", MFD_CLOEXEC));
  if (!report.valid()) {
    return absl::ErrnoToStatus(errno, "cannot make the shared memory for connection reports");
  }
  workers_[worker].report = std::move(report);
  return absl::OkStatus();
}

void ConnectionInquiry::Save(StateWriter& out, std::vector<int>& kept) const {
  out.Unsigned(workers_.size());
  for (const auto& [index, worker] : workers_) {
    out.Unsigned(index);
    out.Signed(worker.report.get());
    kept.push_back(worker.report.get());
  }
}

void ConnectionInquiry::Resume(StateReader& in) {
  const uint64_t count = in.Unsigned();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    const auto index = static_cast<uint32_t>(in.Unsigned());
    workers_[index].report.Reset(static_cast<int>(in.Signed()));
  }
}

uint64_t ConnectionInquiry::Begin(const std::vector<uint32_t>& workers, TimePoint now) {
  asking_ = std::exchange(waiting_, {});
  for (auto& [index, worker] : workers_) worker.stage = Stage::kNotAsked;
  for (const uint32_t worker : workers) workers_[worker].stage = Stage::kAsked;
  deadline_ = now + kPatience.count();
  return ++request_;
}

void ConnectionInquiry::OnListed(uint32_t worker, uint64_t request) {
  // An earlier one: from a worker that was busy then.
  if (request != request_ || !running()) return;
  const auto found = workers_.find(worker);
  if (found != workers_.end() && found->second.stage == Stage::kAsked) {
    found->second.stage = Stage::kListed;
  }
}

void ConnectionInquiry::OnGone(uint32_t worker) {
  const auto found = workers_.find(worker);
  if (found != workers_.end() && found->second.stage == Stage::kAsked) {
    found->second.stage = Stage::kGone;
  }
}

bool ConnectionInquiry::Done(TimePoint now) const {
  if (!running()) return false;
  return now >= deadline_ || std::none_of(workers_.begin(), workers_.end(), [](const auto& entry) {
           return entry.second.stage == Stage::kAsked;
         });
}

TimePoint ConnectionInquiry::deadline() const {
  if (!running()) return waiting() ? 0 : kNever;
  return Done(0) ? 0 : deadline_;
}

std::string ConnectionInquiry::TakeAnswer(TimePoint now) {
  const auto asked = std::count_if(workers_.begin(), workers_.end(), [](const auto& entry) {
    return entry.second.stage != Stage::kNotAsked;
  });
  std::string out = fmt::format("connections {} {} {} {}\n", ConnectionRecord::kLayout,
                                sizeof(ConnectionRecord), now, asked);
  for (auto& [index, worker] : workers_) {
    if (worker.stage == Stage::kNotAsked) continue;
    std::string records;
    if (worker.stage == Stage::kListed && !AppendRecords(worker.report.get(), request_, records)) {
      worker.stage = Stage::kGone;
    }
    const char* const state = worker.stage == Stage::kListed  ? "listed"
                              : worker.stage == Stage::kAsked ? "busy"
                                                              : "gone";
    fmt::format_to(std::back_inserter(out), "worker {} {} {}\n", index, state,
                   records.size() / sizeof(ConnectionRecord));
    out += records;
    // Its memory is wanted for this answer alone. A busy worker may still write into it.
    if (worker.stage == Stage::kListed) (void)!::ftruncate(worker.report.get(), 0);
  }
  deadline_ = kNever;
  return out;
}

std::vector<uint64_t> ConnectionInquiry::TakeClients() { return std::exchange(asking_, {}); }

}  // namespace ringmaster
