#include "protocols/web/service/admin.h"

#include <fmt/format.h>
#include <unistd.h>

#include <string>

#include "engine/base/check.h"
#include "engine/stats/prometheus.h"
#include "engine/stats/shared_status.h"
#include "protocols/web/dashboard/dashboard.h"
#include "protocols/web/service/admin_guard.h"
#include "protocols/web/service/health.h"

namespace ringmaster::web {
namespace {

http::ServiceOptions AdminServiceOptions() {
  http::ServiceOptions options;
  options.pipelined_requests_max = 8;
  return options;
}

http::RouteOptions NoContent() {
  http::RouteOptions options;
  options.body_bytes_max = 0;
  return options;
}

void AddSecurityFields(http::Response& response, std::string_view policy) {
  response.Header("Cache-Control", "no-store")
      .Header("Content-Security-Policy", policy)
      .Header("Cross-Origin-Resource-Policy", "same-origin")
      .Header("Referrer-Policy", "no-referrer")
      .Header("X-Content-Type-Options", "nosniff");
}

constexpr std::string_view kNothingLoads = "default-src 'none'; frame-ancestors 'none'";

// Set by Main before the admin process serves.
const SharedBlock& Block() {
  const SharedBlock* block = SharedStatus::Get();
  CHECK(block != nullptr);
  return *block;
}

void AnswerHealth(http::Response& response, const Health& health) {
  response.Status(health.ok ? 200 : 503).Text(health.text);
}

void Metrics(const http::Request&, http::Response& response) {
  response.Body(kPrometheusContentType, PrometheusText(Block(), MonotonicNow()));
}

void Status(const http::Request& request, http::Response& response) {
  const StatusSnapshot status = StatusSnapshot::Take(Block(), MonotonicNow());
  response.Json(StatusJson(status, {.buckets = request.query("buckets").has_value()}));
}

void Alive(const http::Request&, http::Response& response) {
  AnswerHealth(response, Liveness(Block(), ::getppid(), MonotonicNow()));
}

void Ready(const http::Request&, http::Response& response) {
  AnswerHealth(response, Readiness(Block(), ::getppid(), MonotonicNow()));
}

}  // namespace

std::vector<std::string> AdminHelp() {
  return {
      "Admin listener: /metrics for Prometheus, /status.json, /healthz, /readyz, and / for a "
      "browser.",
      "`status` shows where it listens (\"admin on\"): a unix socket, unless the options say "
      "otherwise.",
      "  curl --unix-socket PATH http://localhost/metrics",
  };
}

AdminService::AdminService(const ServerOptions& options)
    : options_(options), http_(AdminServiceOptions()) {
  Add("/metrics", Metrics);
  Add("/status.json", Status);
  Add("/healthz", Alive);
  Add("/readyz", Ready);
  const absl::Status page = http_.Get(
      "/",
      [this](http::Request& request, http::Response& response) {
        AddSecurityFields(response, DashboardPolicy());
        if (!RefuseHost(request, response, options_.admin.address)) response.Html(DashboardPage());
      },
      NoContent());
  CHECK(page.ok());
  http_.not_found = [this](http::Request& request, http::Response& response) {
    AddSecurityFields(response, kNothingLoads);
    if (Refuse(request, response)) return;
    response.Error(404, "there are /, /metrics, /status.json, /healthz and /readyz\n");
  };
}

void AdminService::Add(std::string_view path, Answer answer) {
  const absl::Status added = http_.Get(
      path,
      [this, answer](http::Request& request, http::Response& response) {
        AddSecurityFields(response, kNothingLoads);
        if (!Refuse(request, response)) answer(request, response);
      },
      NoContent());
  CHECK(added.ok());
}

bool AdminService::Refuse(const http::Request& request, http::Response& response) const {
  return RefuseHost(request, response, options_.admin.address) ||
         RefuseToken(request, response, options_.admin.token);
}

}  // namespace ringmaster::web
