'use strict';
// From two answers of /status.json to one sample: what happened per second between them. Pure: no page, no clock.

// A pause longer than this between two answers is a gap in the curves.
const kGapMilliseconds = 3500;

const kRefusal = /^refused_|_rate_limited$|_refused_|^send_refused$|^send_dropped_|^address_table_full$/;

function sumOf(counters, names) {
  return names.reduce((sum, name) => sum + (counters[name] ?? 0), 0);
}

// The largest value, in nanoseconds, that counts in `bucket`: see HistogramShape in engine/stats/histogram.h.
function bucketBound(bucket) {
  if (bucket < 64) return bucket;
  const shift = Math.floor(bucket / 32) - 1;
  return (bucket % 32 + 33) * 2 ** shift - 1;
}

// The histogram of what was counted between two readings, as [bucket, count] pairs in order.
function bucketsSince(now, before) {
  const old = new Map(before ?? []);
  return (now ?? []).map(([bucket, count]) => [bucket, count - (old.get(bucket) ?? 0)])
      .filter(([, count]) => count > 0);
}

// Microseconds; null when nothing was counted.
function percentile(buckets, percent) {
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  if (total === 0) return null;
  let left = Math.max(1, Math.ceil(total * percent / 100));
  for (const [bucket, count] of buckets) {
    left -= count;
    if (left <= 0) return bucketBound(bucket) / 1000;
  }
  return null;
}

function handlerTime(histograms, before) {
  const now = histograms?.handler_time;
  if (!now) return {p50: null, p99: null, p999: null};
  const buckets = bucketsSince(now.buckets, before?.handler_time?.buckets);
  return {p50: percentile(buckets, 50), p99: percentile(buckets, 99), p999: percentile(buckets, 99.9)};
}

// Another server, or the same one started again: nothing before it can be compared.
function isAnother(status, previous) {
  return status.pid !== previous.pid || status.uptime_seconds < previous.uptime_seconds;
}

// Name, count and rate of every counter that `pattern` matches and that is not zero, the most frequent first.
function reasonsOf(counters, before, seconds, pattern, prefix = '') {
  return Object.entries(counters)
      .filter(([name, count]) => pattern.test(name) && count > 0)
      .map(([name, count]) => ({
        name: (name.startsWith(prefix) ? name.slice(prefix.length) : name).replaceAll('_', ' '),
        count,
        rate: before ? Math.max(0, count - (before[name] ?? 0)) / seconds : null,
      }))
      .sort((a, b) => b.count - a.count);
}

// `at`: milliseconds of the wall clock when the answer came. `previous`: {status, at} of the answer before, or null.
// Rates are null without one.
function makeSample(status, at, previous) {
  if (previous && isAnother(status, previous.status)) previous = null;
  // The server's own clock: how long an answer was under way is no part of it.
  const seconds = previous ? Math.max(0.001, status.uptime_seconds - previous.status.uptime_seconds) : 1;
  const counters = status.totals.counters;
  const old = previous?.status.totals.counters;
  const rate = (names) => (old ? Math.max(0, sumOf(counters, names) - sumOf(old, names)) / seconds : null);
  const refusals = Object.keys(counters).filter((name) => kRefusal.test(name));
  const workers = status.workers.map((worker) => {
    const oldWorker = previous?.status.workers.find(({index}) => index === worker.index);
    return {
      ...worker,
      rate: oldWorker ? Math.max(0, worker.counters.messages - oldWorker.counters.messages) / seconds : null,
      p99: handlerTime(worker.histograms, oldWorker?.histograms).p99,
    };
  });
  return {
    at,
    begins: !previous || at - previous.at > kGapMilliseconds,
    open: counters.connections_open,
    rate: rate(['messages']),
    accepted: rate(['connections_accepted']),
    closed: rate(['connections_closed']),
    refused: rate(refusals),
    received: rate(['bytes_received']),
    sent: rate(['bytes_sent']),
    resident: status.memory_bytes + workers.reduce((sum, worker) => sum + worker.memory_bytes, 0),
    buffered: sumOf(counters, ['buffered_input_bytes', 'buffered_output_bytes']),
    ...handlerTime(status.totals.histograms, previous?.status.totals.histograms),
    ready: workers.filter((worker) => worker.state === 'ready').length,
    stopping: workers.some((worker) => worker.state === 'stopping' || worker.state === 'stopped'),
    workers,
    closes: reasonsOf(counters, old, seconds, /^closed_/, 'closed_'),
    refusals: reasonsOf(counters, old, seconds, kRefusal, 'refused_'),
  };
}
