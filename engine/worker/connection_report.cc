#include "engine/worker/connection_report.h"

#include <unistd.h>

#include "engine/process/control_message.h"

namespace ringmaster {
namespace {

bool WriteAll(int fd, const void* data, size_t bytes, uint64_t offset) {
  return ::pwrite(fd, data, bytes, static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes);
}

}  // namespace

// A request that comes while one is under way takes its place: the master gave up on that one.
void Worker::BeginReport(uint64_t request) {
  if (environment_.report_fd < 0) return;
  report_ = std::make_unique<Report>();
  report_->request = request;
  report_->failed = ::ftruncate(environment_.report_fd, 0) != 0;
}

void Worker::ContinueReport() {
  Report& report = *report_;
  report.piece.clear();
  report.next_slot = slab_.ForEachFrom(
      report.next_slot, Report::kSlotsPerTurn,
      [&](Connection& connection) { connection.Describe(report.piece.emplace_back()); });
  const uint64_t offset = sizeof(ConnectionReportHeader) + report.count * sizeof(ConnectionRecord);
  if (!report.failed && !report.piece.empty()) {
    report.failed = !WriteAll(environment_.report_fd, report.piece.data(),
                              report.piece.size() * sizeof(ConnectionRecord), offset);
  }
  report.count += report.piece.size();
  if (report.next_slot != Slab<Connection>::kEnd) return;
  ConnectionReportHeader header;
  header.request = report.request;
  header.count = report.count;
  if (!report.failed) WriteAll(environment_.report_fd, &header, sizeof(header), 0);
  Answer(ControlMessage::kListed, report.request);
  report_.reset();
}

}  // namespace ringmaster
