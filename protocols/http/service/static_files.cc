#include "protocols/http/service/static_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "absl/cleanup/cleanup.h"
#include "protocols/http/codec/conditional.h"
#include "protocols/http/codec/http_date.h"
#include "protocols/http/codec/media_type.h"

namespace ringmaster::http {
namespace {

// A file that is there but cannot be opened now is not "not found": the client may try again.
int StatusOfOpenError(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return 403;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return 503;
    default:
      return 404;
  }
}

// A file up to here is read at once and leaves in one send with its head; a larger one is read by
// the connection as the peer takes it.
constexpr size_t kCopiedBytesMax = 64 * 1024;

// Reads exactly `bytes`, or fails: the length has been promised.
bool ReadWhole(int fd, uint64_t offset, char* out, size_t bytes) {
  while (bytes > 0) {
    const ssize_t count = pread(fd, out, bytes, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    out += count;
    offset += static_cast<uint64_t>(count);
    bytes -= static_cast<size_t>(count);
  }
  return true;
}

}  // namespace

absl::StatusOr<std::shared_ptr<StaticFiles>> StaticFiles::Open(const std::string& directory,
                                                               StaticOptions options) {
  const int fd = open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, fmt::format("static directory \"{}\"", directory));
  }
  return std::shared_ptr<StaticFiles>(new StaticFiles(fd, std::move(options)));
}

StaticFiles::~StaticFiles() { close(directory_fd_); }

int StaticFiles::OpenBeneath(const std::string& path) const {
  open_how how = {};
  // O_NONBLOCK: opening a FIFO must not stop the worker.
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(syscall(SYS_openat2, directory_fd_, path.c_str(), &how, sizeof(how)));
}

bool StaticFiles::IsHidden(std::string_view path) const {
  if (options_.dotfiles) return false;
  return path.substr(0, 1) == "." || path.find("/.") != std::string_view::npos;
}

void StaticFiles::Serve(const Request& request, std::string_view path, Response& response) const {
  if (IsHidden(path)) {
    response.Error(404);
    return;
  }
  std::string name(path);
  const bool wants_directory = name.empty() || name.back() == '/';
  if (wants_directory) name += options_.index;
  // "//etc" leaves "/etc" behind the prefix, which the kernel refuses as leaving the directory.
  int fd = OpenBeneath(name);
  const auto close_fd = absl::MakeCleanup([&fd] {
    if (fd >= 0) close(fd);
  });
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) {
    response.Error(StatusOfOpenError(errno));
    return;
  }
  if (S_ISDIR(status.st_mode) && !wants_directory) {
    // Relative links in the index need the slash. The raw path is used: it is safe to send back.
    // "//host" in front would be another host's address for a browser.
    const std::string_view raw = request.head().path;
    const size_t first = raw.find_first_not_of('/');
    std::string location = fmt::format("/{}/", raw.substr(first));
    if (!request.query().empty()) location += fmt::format("?{}", request.query());
    response.Redirect(301, location);
    return;
  }
  if (!S_ISREG(status.st_mode)) {
    response.Error(404);
    return;
  }

  const uint64_t size = static_cast<uint64_t>(status.st_size);
  const int64_t modified = status.st_mtim.tv_sec;
  const int64_t now = time(nullptr);
  const uint64_t modified_ns = static_cast<uint64_t>(modified) * 1'000'000'000 +
                               static_cast<uint64_t>(status.st_mtim.tv_nsec);
  // A file that changed within the last second may change again without a new time: until then its
  // tag is weak.
  const bool weak = now - modified < 2;
  const std::string etag = fmt::format("{}\"{:x}-{:x}\"", weak ? "W/" : "", modified_ns, size);
  std::array<char, kHttpDateBytes> date;
  FormatHttpDate(std::max<int64_t>(modified, 0), date.data());
  response.Header("ETag", etag);
  response.Header("Last-Modified", {date.data(), date.size()});
  response.Header("Accept-Ranges", "bytes");
  if (!options_.cache_control.empty()) response.Header("Cache-Control", options_.cache_control);

  const RequestHead& head = request.head();
  switch (EvaluatePreconditions(head, etag, modified, now)) {
    case Precondition::kNotModified:
      response.Status(304).End();
      return;
    case Precondition::kFailed:
      response.Error(412);
      return;
    case Precondition::kProceed:
      break;
  }

  ByteRange range{0, size};
  // RFC 9110 section 14.2: a range is for GET only.
  const auto range_field = head.Find("range");
  if (range_field && request.method_id() == Method::kGet &&
      IfRangeMatches(head, etag, modified, now)) {
    switch (ParseRange(*range_field, size, range)) {
      case RangeResult::kSatisfiable:
        response.Status(206).Header(
            "Content-Range",
            fmt::format("bytes {}-{}/{}", range.first, range.first + range.bytes - 1, size));
        break;
      case RangeResult::kUnsatisfiable:
        response.Header("Content-Range", fmt::format("bytes */{}", size)).Error(416);
        return;
      case RangeResult::kIgnore:
        range = {0, size};
        break;
    }
  }
  const std::string_view type = MediaTypeOf(name);
  if (range.bytes > kCopiedBytesMax || request.method_id() == Method::kHead) {
    response.FileBody(type, std::exchange(fd, -1), range.first, range.bytes);
    return;
  }
  std::array<char, kCopiedBytesMax> content;
  if (!ReadWhole(fd, range.first, content.data(), range.bytes)) {
    response.Close().Error(500);
    return;
  }
  response.Body(type, {content.data(), range.bytes});
}

}  // namespace ringmaster::http
