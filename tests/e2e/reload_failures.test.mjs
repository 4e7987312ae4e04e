// Deploys that go wrong at every step: nothing is lost, the old generation serves, and the reason can be read wherever
// an operator looks.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { alive, deploy, deployInVain, descriptorCounts, pause, settled } from './lib/deploy.mjs';
import { change, releases, replaceProgram, startMovingServer } from './lib/moving_server.mjs';
import { demoConfig, sanitized, startServer, writeConfig } from './lib/server.mjs';
import { describeFailures, startSteadyClients } from './lib/steady_clients.mjs';

const load = { connectsPerSecond: 300, keepalive: 20, websockets: 40, intervalMs: 50, idleWebsockets: 60 };
const websocketCount = load.websockets + load.idleWebsockets;

async function withLoad(server, judge, changed = {}) {
  const offered = { ...load, ...changed };
  const clients = await startSteadyClients({ port: server.port, ...offered, generationHeader: 'X-Generation' });
  let failure;
  try {
    await judge();
  } catch (error) {
    failure = error;
  }
  await pause(200);
  const report = await clients.stop();
  // The clients' losses say more than what was noticed later.
  assert.equal(report.failed, 0, `${failure?.message ?? ''}\n${describeFailures(report)}\n${server.output.slice(-4000)}`);
  if (failure) throw failure;
  assert.equal(report.websockets.opened + report.idle_websockets.opened, offered.websockets + offered.idleWebsockets);
  return report;
}

// The workers that served before serve now, and nobody else is left.
async function assertSame(server, pids) {
  await settled(server, pids.length);
  assert.deepEqual(server.workers().sort(), pids);
}

async function loadsOf(server) {
  return fs.statSync(server.settings.loads).size;
}

async function startWithLoads(settings = {}) {
  const server = await startMovingServer({ ready_timeout_ms: sanitized ? 5000 : 1500, ...settings });
  change(server, { loads: path.join(server.directory, 'loads') });
  return server;
}

test('a program that dies or hangs at its start, in the planner or in a worker', async () => {
  const server = await startWithLoads();
  // The first one opens what all others use again.
  await deploy(server);
  await settled(server, 2);
  const { master: descriptors } = await descriptorCounts(server);
  const pids = server.workers().sort();
  const report = await withLoad(server, async () => {
    change(server, { fault: 'start_dies' });
    await deployInVain(server, /exited with status 8/);
    change(server, { fault: 'start_hangs' });
    await deployInVain(server, /within [\d.]+ s \(ready_timeout\)/);
    change(server, { fault: 'worker_dies' });
    await deployInVain(server, /worker \d+ exited with status 8/);
    change(server, { fault: 'worker_hangs' });
    await deployInVain(server, /was not ready after [\d.]+ s \(ready_timeout\)/);
    await assertSame(server, pids);
    assert.equal((await descriptorCounts(server)).master, descriptors);
  });
  assert.deepEqual(report.generations.map(({ value }) => value), ['2']);
  change(server, { fault: undefined });
  await deploy(server);
  await settled(server, 2);
  assert.equal((await descriptorCounts(server)).master, descriptors);
  await server.stop();
});

test('a worker that dies when it takes over the first, a middle and the last connection', async () => {
  const server = await startWithLoads();
  await withLoad(server, async () => {
    await deploy(server);
    await settled(server, 2);
    assert.equal(await loadsOf(server), websocketCount);
    const pids = server.workers().sort();
    for (const at of [1, websocketCount / 2, websocketCount]) {
      const loads = path.join(server.directory, `loads-${at}`);
      change(server, { fault: 'load_dies', fault_at: at, loads });
      await deployInVain(server, /worker \d+ exited with status 9/);
      assert.equal(await loadsOf(server), at);
      await assertSame(server, pids);
    }
    // What went wrong has left nothing behind that would go wrong the next time.
    change(server, { fault: undefined, loads: path.join(server.directory, 'loads-after') });
    await deploy(server);
    assert.equal(await loadsOf(server), websocketCount);
  });
  await server.stop();
});

// So many that they go in several batches: of the first ones the new worker has the last word when it dies.
test('a worker that dies or hangs when most connections are its own already', async () => {
  const server = await startWithLoads({ workers: 1 });
  const many = { keepalive: 0, websockets: 0, idleWebsockets: 700 };
  await withLoad(server, async () => {
    const pids = server.workers();
    let round = 0;
    for (const [fault, at, why] of [['load_dies', 300, /exited with status 9/], ['load_dies', 699, /exited with status 9/],
      ['load_hangs', 550, /did not take over the connections of worker \d+ in time \(ready_timeout\)/]]) {
      change(server, { fault, fault_at: at, loads: path.join(server.directory, `loads-${at}`) });
      await deployInVain(server, why);
      await assertSame(server, pids);
      const [, taken, lost] = [...server.output.matchAll(/takes back (\d+) connections of a worker that died; (\d+) /g)][round++];
      assert.ok(Number(taken) >= 252, `${taken} taken back`);
      assert.equal(Number(lost), 0);
    }
    change(server, { fault: undefined, loads: path.join(server.directory, 'loads-after') });
    await deploy(server);
    assert.equal(await loadsOf(server), many.idleWebsockets);
  }, many);
  await server.stop();
});

// One that hangs for good is killed some ten seconds later.
for (const [fault, what, places] of [
  ['load_hangs', 'hangs for good', [websocketCount / 2]],
  ['load_pauses', 'goes on later', [1, websocketCount / 2, websocketCount]],
]) {
  test(`a worker that hangs when it takes over a connection, and ${what}`, { skip: sanitized }, async () => {
    const server = await startWithLoads({ drain_timeout_ms: 300, drain_spread_ms: 100 });
    const pids = server.workers().sort();
    await withLoad(server, async () => {
      for (const at of places) {
        change(server, { fault, fault_at: at, fault_ms: 2200, loads: path.join(server.directory, `loads-${at}`) });
        await deployInVain(server, /did not take over the connections of worker \d+ in time \(ready_timeout\)/);
        assert.ok(pids.every(alive));
        await assertSame(server, pids);
      }
    });
    await server.stop();
  });
}

test('a configuration that is wrong', async () => {
  const good = demoConfig((config) => { config.workers = 2; });
  const server = await startServer({ config: good });
  const pids = server.workers().sort();
  await withLoad(server, async () => {
    writeConfig(server.directory, '{ "listeners": [');
    await deployInVain(server, /server\.json:1/);
    writeConfig(server.directory, { ...good, workerz: 3 });
    await deployInVain(server, /workerz/);
    writeConfig(server.directory, { ...good, workers: 100_000 });
    await deployInVain(server, /workers/);
    writeConfig(server.directory, { ...good, listeners: [...good.listeners, { address: '192.0.2.1:80' }] });
    await deployInVain(server, /192\.0\.2\.1/);
    fs.rmSync(path.join(server.directory, 'server.json'));
    await deployInVain(server, /server\.json/);
    await assertSame(server, pids);
    writeConfig(server.directory, good);
    await deploy(server);
  });
  await server.stop();
});

test('a program that is replaced by one that is none', async () => {
  const server = await startWithLoads();
  const { pid } = server;
  const pids = server.workers().sort();
  const cases = [
    ['/bin/false', () => replaceProgram(server, '/bin/false'), /exited with status 1 when it was to check its configuration/],
    ['not executable', () => replaceProgram(server, releases[2], 0o644), /Permission denied/],
    ['missing', () => fs.rmSync(server.program), /cannot open the program .*moving_server.*No such file/],
    ['no program', () => replaceProgram(server, path.join(server.directory, 'settings')), /Exec format error/],
    ['/bin/true', () => replaceProgram(server, '/bin/true'), /does not answer as a server of this engine does/],
  ];
  await withLoad(server, async () => {
    for (const [, replace, reason] of cases) {
      replace();
      await deployInVain(server, reason);
      await deployInVain(server, reason, 'upgrade');
      assert.equal((await server.status()).pid, pid);
    }
    await assertSame(server, pids);
    replaceProgram(server, releases[1]);
    await deploy(server, 'upgrade');
    await deploy(server);
  });
  assert.equal((await server.status()).reload.upgrades, 1);
  await server.stop();
});
