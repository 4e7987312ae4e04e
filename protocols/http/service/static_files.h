#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "protocols/http/service/request.h"
#include "protocols/http/service/response.h"
#include "protocols/http/service/service.h"

namespace ringmaster::http {

// Serves the files below one directory. The kernel keeps every path inside (openat2(2) with
// RESOLVE_BENEATH): no "..", no absolute link, no link that leaves the directory.
class StaticFiles {
 public:
  // Errors: kNotFound, kPermissionDenied, ... with the path.
  static absl::StatusOr<std::shared_ptr<StaticFiles>> Open(const std::string& directory,
                                                           StaticOptions options);
  ~StaticFiles();

  // `path` is decoded and relative: what stands behind the prefix. GET and HEAD.
  void Serve(const Request& request, std::string_view path, Response& response) const;

 private:
  StaticFiles(int directory_fd, StaticOptions options)
      : directory_fd_(directory_fd), options_(std::move(options)) {}

  int OpenBeneath(const std::string& path) const;
  bool IsHidden(std::string_view path) const;

  int directory_fd_;
  StaticOptions options_;
};

}  // namespace ringmaster::http
