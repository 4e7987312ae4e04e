#include "engine/base/log.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/base/json_string.h"
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

// Writes each line by one write(2) to a descriptor opened with O_APPEND: the lines of master and
// workers in one file never mix. spdlog's own file sink would leak its descriptor into the workers.
class LineSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  LineSink(Format format, std::string process, UniqueFd file)
      : format_(format), process_(std::move(process)), file_(std::move(file)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    line_.clear();
    const std::string_view text(message.payload.data(), message.payload.size());
    const auto since_epoch = message.time.time_since_epoch();
    const auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count() % 1000;
    const std::tm utc = fmt::gmtime(spdlog::log_clock::to_time_t(message.time));
    auto out = std::back_inserter(line_);
    if (format_ == Format::kJson) {
      fmt::format_to(out, R"({{"time":"{:%Y-%m-%dT%H:%M:%S}.{:03}Z","level":"{}","process":)", utc,
                     milliseconds, NameOf(message.level));
      AppendJsonString(line_, process_);
      fmt::format_to(out, R"(,"pid":{},"message":)", ::getpid());
      AppendJsonString(line_, text);
      line_ += "}\n";
    } else {
      fmt::format_to(out, "{:%Y-%m-%d %H:%M:%S}.{:03} {:<7} [{}] ", utc, milliseconds,
                     NameOf(message.level), process_);
      AppendPrintable(line_, text);
      line_ += '\n';
    }
    const int fd = file_.valid() ? file_.get() : STDERR_FILENO;
    // A full disk or a closed stderr loses the line; the server goes on.
    while (::write(fd, line_.data(), line_.size()) < 0 && errno == EINTR) {
    }
  }
  void flush_() override {}

 private:
  const Format format_;
  const std::string process_;
  const UniqueFd file_;
  std::string line_;
};

std::shared_ptr<spdlog::logger>& Instance() {
  static std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>(
      "ringmaster", std::make_shared<LineSink>(Format::kText, "ringmaster", UniqueFd()));
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
  auto logger = std::make_shared<spdlog::logger>(
      "ringmaster", std::make_shared<LineSink>(format == "json" ? Format::kJson : Format::kText,
                                               process, std::move(fd)));
  logger->set_level(*parsed_level);
  Instance() = std::move(logger);
  return absl::OkStatus();
}

Logger& Get() {
  static Logger logger;
  return logger;
}

bool Logger::Enabled(Level level) const { return Instance()->should_log(ToSpdlog(level)); }

void Logger::Write(Level level, fmt::string_view format, fmt::format_args arguments) {
  const std::string message = fmt::vformat(format, arguments);
  Instance()->log(ToSpdlog(level), spdlog::string_view_t(message));
}

}  // namespace ringmaster::log
