// Traffic that must not notice a reload: see the help text in options.cc.

#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstring>

#include "tests/e2e/programs/steady/end_request.h"
#include "tests/e2e/programs/steady/event_loop.h"
#include "tests/e2e/programs/steady/options.h"
#include "tests/e2e/programs/steady/report.h"
#include "tests/e2e/programs/steady/run.h"

namespace {

// One for each connection that can be open at a time: new ones last no longer than the timeout.
rlim_t DescriptorsNeeded(const steady::Options& options) {
  const auto at_a_time = static_cast<double>(options.connects_per_second) *
                         static_cast<double>(options.timeout) / steady::kSecond;
  return options.keepalive + options.websockets + options.idle_websockets +
         static_cast<rlim_t>(at_a_time) + 64;
}

// Root may raise the hard limit as well. Returns false when fewer than `needed` can be had.
bool RaiseDescriptorLimit(rlim_t needed) {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= needed) return true;
  limit.rlim_cur = needed;
  if (limit.rlim_max < needed) limit.rlim_max = needed;
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

int Refuse(std::string_view why) {
  fmt::print(stderr, "steady_clients: {}\n", why);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const steady::Options options = steady::ReadOptions(argc, argv);
  const rlim_t descriptors = DescriptorsNeeded(options);
  if (!RaiseDescriptorLimit(descriptors)) {
    return Refuse(
        fmt::format("{} descriptors are needed: raise the hard limit (ulimit -Hn), or ask "
                    "for fewer connections or a shorter --timeout-ms",
                    descriptors));
  }
  steady::EventLoop loop;
  steady::Report report(steady::MonotonicNow());
  steady::Run run(loop, options, report);
  steady::EndRequest end_request(loop, [&run](std::string_view why) { run.End(why); });
  if (const int error = end_request.WatchSignals(); error != 0) return Refuse(std::strerror(error));
  if (options.until_stdin_ends && end_request.WatchStdin() != 0) {
    return Refuse("--until-stdin-ends: stdin is no pipe, socket or terminal");
  }
  run.Start();
  loop.Run();
  fmt::print("{}\n", report.Json());
  return report.failure_count() == 0 ? 0 : 1;
}
