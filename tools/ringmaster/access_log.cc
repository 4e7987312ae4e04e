#include "tools/ringmaster/access_log.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>
#include <new>
#include <utility>

#include "engine/base/json_string.h"
#include "engine/base/log.h"
#include "engine/base/unique_fd.h"

namespace ringmaster {
namespace {

// A target may hold a quote; a line feed cannot get this far, but the log does not rely on it.
void AppendQuoted(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet < 0x20 || octet >= 0x7F || c == '"' || c == '\\') {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", octet);
    } else {
      out += c;
    }
  }
}

}  // namespace

absl::Status AccessLogFile::Open() {
  if (path_.empty()) return absl::OkStatus();
  UniqueFd fd(open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  if (!fd.valid()) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot open the access log {}", path_));
  }
  file_ = LineWriter(std::move(fd));
  return absl::OkStatus();
}

void AccessLogFile::Write(const http::AccessRecord& record) {
  const size_t before = block_.size();
  try {
    Append(record);
  } catch (const std::bad_alloc&) {
    block_.resize(before);
    ++lost_;
    log::AddLinesLost(1);
    return;
  }
  ++block_lines_;
  if (block_.size() >= kBlockBytes) Flush();
}

void AccessLogFile::Append(const http::AccessRecord& record) {
  const std::time_t now = std::time(nullptr);
  const std::tm utc = fmt::gmtime(now);
  const auto microseconds =
      std::chrono::duration_cast<std::chrono::microseconds>(record.duration).count();
  const std::string client = record.client == nullptr ? "-" : record.client->Host();
  auto out = std::back_inserter(block_);
  if (json_) {
    fmt::format_to(out, R"({{"time":"{:%Y-%m-%dT%H:%M:%SZ}","peer":)", utc);
    AppendJsonString(block_, record.peer == nullptr ? "-" : record.peer->Host());
    block_ += R"(,"client":)";
    AppendJsonString(block_, client);
    block_ += R"(,"method":)";
    AppendJsonString(block_, record.method);
    block_ += R"(,"target":)";
    AppendJsonString(block_, record.target);
    fmt::format_to(out, R"(,"status":{},"body_bytes":{},"microseconds":{}}})", record.status,
                   record.body_bytes, microseconds);
    block_ += '\n';
  } else {
    fmt::format_to(out, "{} - - [{:%d/%b/%Y:%H:%M:%S} +0000] \"", client, utc);
    AppendQuoted(block_, record.method);
    block_ += ' ';
    AppendQuoted(block_, record.target);
    fmt::format_to(out, "\" {} {} {}us\n", record.status, record.body_bytes, microseconds);
  }
}

void AccessLogFile::Flush() {
  if (block_.empty()) return;
  const size_t written = file_.Write(block_);
  const size_t lost = block_lines_ - written;
  block_.clear();
  block_lines_ = 0;
  if (lost > 0) {
    lost_ += lost;
    log::AddLinesLost(lost);
  } else if (lost_ > 0) {
    log::Get().warn("the access log {} has lost {} lines: {}",
                    path_.empty() ? std::string_view("on stderr") : path_, lost_,
                    std::strerror(file_.error() == 0 ? ENOMEM : file_.error()));
    lost_ = 0;
  }
}

}  // namespace ringmaster
