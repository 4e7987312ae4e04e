// What the dashboard computes, without a browser: its scripts figures.js and scale.js are pure.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import vm from 'node:vm';

const page = vm.createContext({});
for (const file of ['figures.js', 'scale.js']) {
  vm.runInContext(fs.readFileSync(new URL(`../../../protocols/web/dashboard/${file}`, import.meta.url), 'utf8'), page);
}
// Objects of the other context have other prototypes.
const plain = (value) => JSON.parse(JSON.stringify(value));

function status({ uptime = 100, pid = 1, messages = 0, counters = {}, buckets = [], state = 'ready' } = {}) {
  const figures = {
    counters: { connections_open: 3, connections_accepted: 0, connections_closed: 0, bytes_received: 0, bytes_sent: 0,
      messages, ...counters },
    histograms: { handler_time: { buckets } },
  };
  return {
    pid, uptime_seconds: uptime, memory_bytes: 1000,
    workers: [{ index: 0, pid: 2, state, memory_bytes: 500, ...figures }],
    totals: { restarts: 0, ...figures },
  };
}

test('rates are differences over the server\'s time, not over the time of the answers', () => {
  const previous = { status: status({ uptime: 100, messages: 1000 }), at: 0 };
  const sample = page.makeSample(status({ uptime: 102, messages: 1500 }), 1000, previous);
  assert.equal(sample.rate, 250);
  assert.equal(sample.workers[0].rate, 250);
  assert.equal(sample.resident, 1500);
  assert.equal(sample.begins, false);
});
test('the first sample and that of another server have no rates and begin a curve', () => {
  const first = page.makeSample(status({ messages: 5 }), 0, null);
  assert.deepEqual([first.rate, first.begins, first.open], [null, true, 3]);
  for (const other of [status({ pid: 9, uptime: 101 }), status({ uptime: 1 })]) {
    const sample = page.makeSample(other, 1000, { status: status({ messages: 5 }), at: 0 });
    assert.deepEqual([sample.rate, sample.begins], [null, true]);
  }
});
test('a pause is a gap in the curve, and no other rate than the mean', () => {
  const sample = page.makeSample(status({ uptime: 160, messages: 600 }), 60_000, { status: status(), at: 0 });
  assert.deepEqual([sample.rate, sample.begins], [10, true]);
});
test('bounds of buckets follow each other without a gap and without an overlap', () => {
  for (const [bucket, bound] of [[0, 0], [31, 31], [63, 63], [64, 65], [95, 127], [96, 131], [127, 255]]) {
    assert.equal(page.bucketBound(bucket), bound, `bucket ${bucket}`);
  }
  for (let bucket = 0; bucket < 1056; ++bucket) assert.ok(page.bucketBound(bucket) < page.bucketBound(bucket + 1));
  assert.equal(page.bucketBound(1055), 2 ** 37 - 1);
});
test('percentiles are those of the interval', () => {
  // Before: a thousand slow ones, in bucket 500. Since then 98 in bucket 10 and 2 in bucket 20.
  const before = status({ buckets: [[500, 1000]] });
  const now = status({ uptime: 101, buckets: [[10, 98], [20, 2], [500, 1000]] });
  const sample = page.makeSample(now, 1000, { status: before, at: 0 });
  assert.deepEqual([sample.p50, sample.p99, sample.p999], [0.010, 0.020, 0.020]);
  const quiet = page.makeSample(now, 2000, { status: now, at: 1000 });
  assert.deepEqual([quiet.p50, quiet.p99, quiet.p999], [null, null, null]);
});
test('refusals are of the door, of rates, of origins and of full queues; closes are not', () => {
  const counters = { refused_server_max: 2, request_rate_limited: 3, websocket_refused_origin: 4, send_dropped_oldest: 5,
    closed_read_timeout: 7, closed_peer: 9, accept_held_limit: 1, refused_denied: 0 };
  const sample = page.makeSample(status({ uptime: 102, counters }), 2000, { status: status(), at: 0 });
  assert.equal(sample.refused, 7);
  assert.deepEqual(plain(sample.refusals.map(({ name, count }) => [name, count])),
      [['send dropped oldest', 5], ['websocket refused origin', 4], ['request rate limited', 3], ['server max', 2]]);
  assert.deepEqual(plain(sample.closes.map(({ name, count }) => [name, count])), [['peer', 9], ['read timeout', 7]]);
});
test('a worker that stops is seen, and one that is not ready is not counted', () => {
  assert.deepEqual([page.makeSample(status(), 0, null)].map(({ ready, stopping }) => [ready, stopping]), [[1, false]]);
  assert.equal(page.makeSample(status({ state: 'restarting' }), 0, null).ready, 0);
  assert.equal(page.makeSample(status({ state: 'stopping' }), 0, null).stopping, true);
});
test('figures are short and have their unit', () => {
  for (const [text, expected] of [
    [page.formatCount(null), '–'], [page.formatCount(0), '0'], [page.formatCount(12345), '12,345'],
    [page.formatCount(12_345_678), '12.3M'], [page.formatRate(3.25), '3.3'], [page.formatRate(1234.5), '1,235'],
    [page.formatBytes(512), '512 B'], [page.formatBytes(1536), '1.5 KiB'], [page.formatBytes(200 * 2 ** 20), '200 MiB'],
    [page.formatMicroseconds(0.031), '0.03 µs'], [page.formatMicroseconds(18.4), '18.4 µs'],
    [page.formatMicroseconds(1500), '1.50 ms'], [page.formatMicroseconds(2_000_000), '2 s'],
    [page.formatDuration(59.9), '59 s'], [page.formatDuration(3661), '1 h 1 min'], [page.formatDuration(90_000), '1 d 1 h'],
  ]) assert.equal(text, expected);
});
test('a scale holds its values between its ends, with a few ticks', () => {
  for (const top of [0, 0.3, 1, 7, 99, 100, 101, 12345, 9.9e9]) {
    for (const binary of [false, true]) {
      const scale = page.linearScale(top, binary);
      assert.ok(scale.high >= top && scale.position(top) <= 1 && scale.position(0) === 0, `${top}`);
      assert.ok(scale.ticks.length >= 2 && scale.ticks.length <= 6, `${top}: ${scale.ticks}`);
    }
  }
  for (const [least, top] of [[0.05, 0.05], [1, 1], [3, 4000], [20, 3e8]]) {
    const scale = page.logScale(least, top);
    assert.ok(scale.low <= Math.max(least, 0.1) && scale.high >= top);
    assert.ok(scale.position(top) <= 1 && scale.position(least) >= 0);
  }
});
