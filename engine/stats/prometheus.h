#pragma once

#include <string>

#include "engine/base/time.h"
#include "engine/stats/shared_block.h"

namespace ringmaster {

inline constexpr char kPrometheusContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// The figures of the server in Prometheus' text format 0.0.4, from the shared memory alone: one
// sample per worker, labelled worker="0", since sums are the reader's business. Counters end in
// _total, units are seconds and bytes. What differs in one word is one metric with a label:
//
//   ringmaster_connections_closed_total{worker="0",reason="read_timeout"} 3
//   ringmaster_http_responses_total{worker="0",class="2xx"} 1024
//   ringmaster_handler_time_seconds_bucket{worker="0",le="0.001"} 990
//
// The bounds of histogram buckets are exact to the resolution of Histogram (3.1 %): a value just
// below a bound may count in the next bucket, never the other way round.
std::string PrometheusText(const SharedBlock& block, TimePoint now);

}  // namespace ringmaster
