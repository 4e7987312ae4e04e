#include "protocols/http/service/http_counters.h"

#include <fmt/format.h>

#include <string>

namespace ringmaster::http {
namespace {

HttpCounters Register() {
  HttpCounters slots = {};
  slots.requests = CounterNames::Register("http_requests", "HTTP requests given to a route");
  slots.upgrades = CounterNames::Register("http_upgrades", "HTTP connections upgraded");
  for (int i = 2; i < 6; i++) {
    const std::string status_class = fmt::format("{}xx", i);
    slots.responses[i] = CounterNames::Register(
        fmt::format("http_responses_{}", status_class),
        fmt::format("HTTP responses {}00 to {}99", i, i), FigureKind::kCounter,
        {"http_responses", "HTTP responses by status class", "class", status_class});
  }
  const auto refused = [](int status) {
    const std::string code = fmt::to_string(status);
    return CounterNames::Register(
        fmt::format("http_refused_{}", code), fmt::format("HTTP requests answered with {}", code),
        FigureKind::kCounter,
        {"http_refused", "HTTP requests refused, by status code", "status", code});
  };
  slots.refused_400 = refused(400);
  slots.refused_404 = refused(404);
  slots.refused_405 = refused(405);
  slots.refused_408 = refused(408);
  slots.refused_411 = refused(411);
  slots.refused_413 = refused(413);
  slots.refused_414 = refused(414);
  slots.refused_417 = refused(417);
  slots.refused_429 = refused(429);
  slots.refused_431 = refused(431);
  slots.refused_501 = refused(501);
  slots.refused_505 = refused(505);
  return slots;
}

}  // namespace

const HttpCounters& HttpCounters::Get() {
  static const HttpCounters slots = Register();
  return slots;
}

int HttpCounters::RefusalSlot(int status) const {
  switch (status) {
    case 400:
      return refused_400;
    case 404:
      return refused_404;
    case 405:
      return refused_405;
    case 408:
      return refused_408;
    case 411:
      return refused_411;
    case 413:
      return refused_413;
    case 414:
      return refused_414;
    case 417:
      return refused_417;
    case 429:
      return refused_429;
    case 431:
      return refused_431;
    case 501:
      return refused_501;
    case 505:
      return refused_505;
    default:
      return -1;
  }
}

}  // namespace ringmaster::http
