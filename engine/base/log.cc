#include "engine/base/log.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/base/json_string.h"
#include "engine/base/line_writer.h"
#include "engine/base/unique_fd.h"

namespace ringmaster::log {
namespace {

enum class Format { kText, kJson };

struct LevelName {
  std::string_view name;
  spdlog::level::level_enum level;
};
constexpr std::array<LevelName, 7> kLevels = {{{"trace", spdlog::level::trace},
                                               {"debug", spdlog::level::debug},
                                               {"info", spdlog::level::info},
                                               {"warn", spdlog::level::warn},
                                               {"error", spdlog::level::err},
                                               {"critical", spdlog::level::critical},
                                               {"off", spdlog::level::off}}};

std::optional<spdlog::level::level_enum> ParseLevel(std::string_view name) {
  for (const LevelName& level : kLevels) {
    if (level.name == name) return level.level;
  }
  return std::nullopt;
}

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kTrace:
      return spdlog::level::trace;
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
    case Level::kCritical:
      return spdlog::level::critical;
  }
  return spdlog::level::info;
}

std::string_view NameOf(spdlog::level::level_enum wanted) {
  for (const LevelName& level : kLevels) {
    if (level.level == wanted) return level.name;
  }
  return "info";
}

// What a stranger sent may stand in a message. A line feed in it must not start a line of its own.
void AppendPrintable(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet >= 0x20 && octet != 0x7F) {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", octet);
    }
  }
}

std::atomic<uint64_t> lines_lost{0};

// Writes to a descriptor opened with O_APPEND, so that the lines of master and workers in one file
// never mix. spdlog's own file sink would leak its descriptor into the workers.
class LineSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  LineSink(Format format, std::string process, UniqueFd file)
      : format_(format), process_(std::move(process)), writer_(std::move(file)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    lines_.clear();
    const bool tells_of_loss = lost_since_last_line_ > 0;
    if (tells_of_loss) {
      AppendLine(message.time, spdlog::level::warn,
                 fmt::format("{} log lines were lost: {}", lost_since_last_line_,
                             std::strerror(writer_.error())));
    }
    AppendLine(message.time, message.level, {message.payload.data(), message.payload.size()});
    const size_t wanted = tells_of_loss ? 2 : 1;
    const size_t written = writer_.Write(lines_);
    if (tells_of_loss && written > 0) lost_since_last_line_ = 0;
    if (written < wanted) {
      ++lost_since_last_line_;
      AddLinesLost(1);
    }
  }
  void flush_() override {}

 private:
  void AppendLine(spdlog::log_clock::time_point time, spdlog::level::level_enum level,
                  std::string_view text) {
    const auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count() %
        1000;
    const std::tm utc = fmt::gmtime(spdlog::log_clock::to_time_t(time));
    auto out = std::back_inserter(lines_);
    if (format_ == Format::kJson) {
      fmt::format_to(out, R"({{"time":"{:%Y-%m-%dT%H:%M:%S}.{:03}Z","level":"{}","process":)", utc,
                     milliseconds, NameOf(level));
      AppendJsonString(lines_, process_);
      fmt::format_to(out, R"(,"pid":{},"message":)", ::getpid());
      AppendJsonString(lines_, text);
      lines_ += "}\n";
    } else {
      fmt::format_to(out, "{:%Y-%m-%d %H:%M:%S}.{:03} {:<7} [{}] ", utc, milliseconds,
                     NameOf(level), process_);
      AppendPrintable(lines_, text);
      lines_ += '\n';
    }
  }

  const Format format_;
  const std::string process_;
  LineWriter writer_;
  std::string lines_;
  uint64_t lost_since_last_line_ = 0;
};

std::shared_ptr<spdlog::logger> NewLogger(Format format, const std::string& process,
                                          UniqueFd file) {
  auto logger = std::make_shared<spdlog::logger>(
      "ringmaster", std::make_shared<LineSink>(format, process, std::move(file)));
  // spdlog catches what a sink throws, and would write of it to stderr.
  logger->set_error_handler([](const std::string&) { AddLinesLost(1); });
  return logger;
}

std::shared_ptr<spdlog::logger>& Instance() {
  static std::shared_ptr<spdlog::logger> logger =
      NewLogger(Format::kText, "ringmaster", UniqueFd());
  return logger;
}

}  // namespace

absl::Status Setup(const std::string& level, const std::string& format, const std::string& file,
                   const std::string& process) {
  const std::optional<spdlog::level::level_enum> parsed_level = ParseLevel(level);
  if (!parsed_level) {
    return absl::InvalidArgumentError(fmt::format(
        "log level \"{}\" is none of trace, debug, info, warn, error, critical, off", level));
  }
  if (format != "text" && format != "json") {
    return absl::InvalidArgumentError(
        fmt::format("log format \"{}\" is neither text nor json", format));
  }
  UniqueFd fd;
  if (!file.empty()) {
    fd.Reset(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
    if (!fd.valid()) {
      return absl::ErrnoToStatus(errno, fmt::format("cannot open the log file {}", file));
    }
  }
  auto logger = NewLogger(format == "json" ? Format::kJson : Format::kText, process, std::move(fd));
  logger->set_level(*parsed_level);
  Instance() = std::move(logger);
  return absl::OkStatus();
}

Logger& Get() {
  static Logger logger;
  return logger;
}

bool Logger::Enabled(Level level) const { return Instance()->should_log(ToSpdlog(level)); }

void Logger::Write(Level level, fmt::string_view format, fmt::format_args arguments) noexcept {
  try {
    const std::string message = fmt::vformat(format, arguments);
    Instance()->log(ToSpdlog(level), spdlog::string_view_t(message));
  } catch (const std::exception&) {
    AddLinesLost(1);  // no memory for the line
  }
}

uint64_t LinesLost() { return lines_lost.load(std::memory_order_relaxed); }
void AddLinesLost(uint64_t count) { lines_lost.fetch_add(count, std::memory_order_relaxed); }

}  // namespace ringmaster::log
