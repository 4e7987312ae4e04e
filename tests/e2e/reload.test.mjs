// Deploys under load that lose nothing: reloads, upgrades, worker count changes, and what one costs with many idle
// connections.
//
//   RINGMASTER_RELOADS=N          deploys of each kind, 3; 20 for a release
//   RINGMASTER_IDLE_WEBSOCKETS=N  1000; 10000 for a release

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { test } from 'node:test';
import { deploy, descriptorCounts, numberFrom, pause, settled } from './lib/deploy.mjs';
import { demoConfig, sanitized, startServer, writeConfig } from './lib/server.mjs';
import { describeFailures, startSteadyClients } from './lib/steady_clients.mjs';

const deploys = numberFrom('RINGMASTER_RELOADS', 3);
const idleWebsockets = numberFrom('RINGMASTER_IDLE_WEBSOCKETS', 1000);
// So that the clients see every generation for a while, in new connections too.
const between = 300;
// Steady traffic of the size that a small machine carries.
const load = { connectsPerSecond: 1200, keepalive: 100, websockets: 100, intervalMs: 50 };

const configOf = (workers) => demoConfig((config) => { config.workers = workers; });

function assertNothingLost(report, { opened = load } = {}) {
  assert.equal(report.failed, 0, describeFailures(report));
  assert.ok(report.traffic_seconds > 1);
  for (const kind of ['connects', 'keepalive', 'websockets']) {
    assert.ok(report[kind].answered > 0, `no ${kind}`);
    assert.equal(report[kind].answered, report[kind].started - report[kind].raced_close, kind);
  }
  // The same TCP connections from the first message to the last.
  assert.equal(report.websockets.opened, opened.websockets);
  assert.equal(report.websockets.close_handshakes, opened.websockets);
  assert.equal(report.without_generation, 0);
}

// Each of the generations 1 to `count` answered new connections.
function assertGenerations(report, count) {
  const served = new Map(report.generations.map((generation) => [generation.value, generation]));
  assert.deepEqual([...served.keys()].map(Number).sort((a, b) => a - b), Array.from({ length: count }, (_, i) => i + 1));
  for (const { value, connects, keepalive } of served.values()) {
    assert.ok(connects > 0 && keepalive > 0, `generation ${value} answered ${connects} new connections, ${keepalive} kept ones`);
  }
}

function say(t, report) {
  const { connects, keepalive, websockets } = report;
  for (const [name, { answered, opened, latency_ms: { p99, max } }] of Object.entries({ connects, keepalive, websockets })) {
    t.diagnostic(`${name}: ${answered} answered, ${opened} connections, p99 ${p99} ms, at most ${max} ms`);
  }
  t.diagnostic(`told to close: ${keepalive.told_to_close}, closed while idle: ${keepalive.closed_idle}; the clients' own ` +
      `lateness p99 ${report.schedule_late_ms.p99} ms`);
}

for (const [name, command, countAfter] of [
  ['reloads', 'reload', () => 2],
  ['upgrades', 'upgrade', () => 2],
  ['worker count changes', 'reload', (i) => [4, 1, 3, 2][i % 4]],
]) {
  test(`${deploys} ${name} under load lose nothing`, async (t) => {
    const server = await startServer({ config: configOf(2) });
    const { pid } = server;
    const clients = await startSteadyClients({
      port: server.port, ...load, generationHeader: 'X-Generation', expectBody: 'Hello, World!',
    });
    await pause(between);
    let before;
    for (let i = 0; i < deploys; ++i) {
      writeConfig(server.directory, configOf(countAfter(i)));
      await deploy(server, command);
      // Old workers may have requests to answer still.
      await settled(server, countAfter(i));
      await pause(between);
      if (countAfter(i) !== 2) continue;
      const now = { master: (await descriptorCounts(server)).master };
      before ??= now;
      assert.deepEqual(now, before, 'descriptors');
    }
    const report = await clients.stop();
    say(t, report);
    assertNothingLost(report);
    assertGenerations(report, deploys + 1);
    const { totals, reload, pid: now } = await server.status();
    assert.equal(now, pid);
    assert.equal(reload.done, deploys);
    assert.equal(reload.abandoned, 0);
    assert.equal(reload.upgrades, command === 'upgrade' ? deploys : 0);
    assert.equal(totals.counters.adoptions_refused, 0);
    assert.equal(totals.counters.connections_handed_over, totals.counters.connections_adopted);
    assert.ok(totals.counters.connections_adopted >= deploys * load.websockets);
    await server.stop();
  });
}

function assertMoved(report) {
  assert.equal(report.failed, 0, describeFailures(report));
  assert.equal(report.idle_websockets.opened, idleWebsockets);
  assert.equal(report.idle_websockets.close_handshakes, idleWebsockets);
}

function allowDescriptors() {
  try {
    execFileSync('prlimit', [`--pid=${process.pid}`, `--nofile=${idleWebsockets + 4096}:`]);
  } catch {
    // Who may not raise it has enough, or sees it fail.
  }
}

test(`${idleWebsockets} idle WebSockets move without anybody waiting long`, { skip: sanitized }, async (t) => {
  allowDescriptors();
  const server = await startServer({ config: configOf(2) });
  const waits = [];
  for (let i = 0; i < 3; ++i) {
    // A run of its own for each, so that the percentiles are those of the reload and not of the time between.
    const clients = await startSteadyClients({
      port: server.port, connectsPerSecond: 0, keepalive: 0, websockets: 50, intervalMs: 20, idleWebsockets,
      idleProbesPerSecond: 1000,
    });
    const stdout = await deploy(server);
    const report = await clients.stop();
    assertMoved(report);
    assert.equal(report.websockets.opened, 50);
    const moved = [...stdout.matchAll(/gave (\d+) connections to/g)].reduce((sum, [, count]) => sum + Number(count), 0);
    assert.equal(moved, idleWebsockets + 50, stdout);
    const { idle_websockets: { latency_ms: idle }, websockets: { latency_ms: busy } } = report;
    t.diagnostic(`in ${report.traffic_seconds} s: idle ones answer at p99 in ${idle.p99} ms, at most ${idle.max}; busy ones ` +
        `${busy.p99}, ${busy.max}; the clients' own lateness ${report.schedule_late_ms.p99}`);
    waits.push(Math.max(idle.p99, busy.p99));
    await settled(server, 2);
  }
  // The best of three: another program on the machine costs as much as all of this.
  assert.ok(Math.min(...waits) < 50);
  await server.stop();
});

// On a CPU, in microseconds.
const spent = (pid) => Number(/^\d+/.exec(fs.readFileSync(`/proc/${pid}/schedstat`, 'utf8'))[0]) / 1000;
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

test(`${idleWebsockets} idle WebSockets cost their workers little`, { skip: sanitized }, async (t) => {
  allowDescriptors();
  const server = await startServer({ config: configOf(2) });
  // What a new worker costs without connections.
  await deploy(server);
  await settled(server, 2);
  const atStart = sum(server.workers().map(spent));
  const costs = [];
  for (let i = 0; i < 3; ++i) {
    const clients = await startSteadyClients({
      port: server.port, connectsPerSecond: 0, keepalive: 0, websockets: 0, idleWebsockets,
    });
    const old = server.workers();
    const before = sum(old.map(spent));
    let after = before;
    // They leave when they have given everything.
    const watch = setInterval(() => {
      try {
        after = sum(old.map(spent));
      } catch {
        // gone
      }
    }, 1);
    await deploy(server);
    clearInterval(watch);
    await settled(server, 2);
    const given = (after - before) / idleWebsockets;
    const taken = (sum(server.workers().map(spent)) - atStart) / idleWebsockets;
    t.diagnostic(`to give one costs ${given.toFixed(2)} us, to take one ${taken.toFixed(2)} us`);
    costs.push(Math.max(given, taken));
    assertMoved(await clients.stop());
  }
  // With few of them what a hand-off costs at all is most of it.
  assert.ok(Math.min(...costs) < (idleWebsockets >= 10_000 ? 10 : 50));
  await server.stop();
});
