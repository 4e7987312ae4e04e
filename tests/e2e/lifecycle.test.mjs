// The life of a server from start to stop, and what may befall it: graceful stops, killed workers and masters, and
// random sequences of all that and deploys. Nothing is lost that need not be, and nothing is left behind.
//
//   RINGMASTER_SEQUENCES=N  random sequences, 4 (2 with a sanitizer); 200 for a release
//   RINGMASTER_SEED=N       that of the first one; else from the clock, and printed. The i-th has the seed N + i

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { alive, allProcesses, deploy, descriptorCount, freePort, numberFrom, pause, settled } from './lib/deploy.mjs';
import { Conversation } from './lib/http_client.mjs';
import { LightLoad } from './lib/light_load.mjs';
import { startMovingServer } from './lib/moving_server.mjs';
import { demoConfig, eventually, makeDirectory, sanitized, startServer, within, writeConfig } from './lib/server.mjs';
import { openWebSocket, text } from './lib/websocket_client.mjs';

const sequences = numberFrom('RINGMASTER_SEQUENCES', sanitized ? 2 : 4);
const seed = numberFrom('RINGMASTER_SEED', Date.now() % 1_000_000);

async function allGone(pids) {
  await eventually(() => !pids.some(alive), `end of ${pids}`);
}

function assertNoTrace(directory) {
  const runtime = path.join(directory, 'ringmaster');
  const left = fs.existsSync(runtime) ? fs.readdirSync(runtime) : [];
  assert.deepEqual(left, []);
}

test('a graceful stop answers all that was received, and `stop` returns when the last worker is gone', async () => {
  const server = await startMovingServer();
  const pids = allProcesses(server);
  const late = Array.from({ length: 20 }, () => new Conversation(server.port));
  const answers = late.map((conversation) => conversation.get('/later?ms=700'));
  // Each answer in order, though the stop comes between them.
  const pipelined = new Conversation(server.port);
  const first = pipelined.get('/later?ms=700');
  pipelined.write('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
  const { peer } = await openWebSocket(server.port, { path: '/ws' });
  const sent = Array.from({ length: 100 }, (_, i) => ['text', `${i}`]);
  await eventually(async () => (await server.counters()).messages >= 21, 'requests at their handlers');
  peer.send(...sent.map(([, payload]) => text(payload)));
  // What has been sent before is there before the stop is.
  const began = performance.now();
  const { code, stderr } = await server.command('stop');
  const took = performance.now() - began;
  assert.equal(code, 0, stderr);
  assert.deepEqual(pids.filter(alive), [], 'processes that `stop` has not waited for');
  for (const answer of await Promise.all([...answers, first])) assert.equal(answer.status, 200);
  assert.equal(`${(await pipelined.ask('')).body}`, 'Hello, World!');
  assert.deepEqual((await peer.waitForEnd()).slice(0, 101).map(([kind, value]) => [kind, value]), [...sent, ['close', 1001]]);
  assert.ok(took < 10_000);
  assert.deepEqual(await within(server.exited, 'end'), { code: 0, signal: null });
  assertNoTrace(server.directory);
  fs.rmSync(server.directory, { recursive: true });
});

test('stop_timeout bounds a stop', { skip: sanitized }, async () => {
  const server = await startMovingServer({ stop_timeout_ms: 1000 });
  const pids = allProcesses(server);
  const late = new Conversation(server.port);
  late.get('/later?ms=30000').catch(() => {});
  await eventually(async () => (await server.counters()).messages >= 1, 'the request at its handler');
  const began = performance.now();
  assert.equal((await server.command('stop')).code, 0);
  const took = performance.now() - began;
  assert.ok(took > 900 && took < 4000, `${took} ms`);
  assert.deepEqual(pids.filter(alive), []);
  fs.rmSync(server.directory, { recursive: true });
});

test('a reload that a signal asks for while an upgrade goes on follows it', async () => {
  const server = await startServer({ config: demoConfig((config) => { config.workers = 2; }) });
  process.kill(server.pid, 'SIGUSR2');
  await eventually(() => server.output.includes("another program shall take the master's place"), 'the upgrade');
  process.kill(server.pid, 'SIGUSR1');
  await eventually(async () => {
    const { code: status, stdout } = await server.command('status', '--json');
    return status === 0 && JSON.parse(stdout).reload.upgrades === 1 && JSON.parse(stdout).generation === 2;
  }, 'the upgrade and the reload');
  await settled(server, 2);
  await server.stop();
});

// Who has which connection: local port of the client -> pid of the worker.
async function owners(server) {
  const { code, stdout, stderr } = await server.command('connections', '--json');
  assert.equal(code, 0, stderr);
  const { workers } = await server.status();
  const pidOf = new Map(workers.map(({ index, pid }) => [index, pid]));
  return new Map(JSON.parse(stdout).connections.map(({ peer, worker }) => [Number(peer.slice(peer.lastIndexOf(':') + 1)), pidOf.get(worker)]));
}

// Kills a worker with what it has, and nothing else.
async function killWorker(server, load, pid) {
  await load.pauseConnects();
  const own = new Set([...await owners(server)].filter(([, its]) => its === pid).map(([port]) => port));
  load.excuse(own);
  process.kill(pid, 'SIGKILL');
  await load.excusedEnded();
  // New connections that fall to its socket wait for its successor.
  await load.begin();
}

async function killMaster(server, load) {
  await load.pauseConnects();
  const pids = allProcesses(server);
  load.excuse();
  const codes = [];
  for (const client of load.clients) {
    if (client.kind === 'websockets') client.onEnd = ({ how }) => codes.push(how);
  }
  const count = load.counts.websockets;
  process.kill(server.pid, 'SIGKILL');
  await within(server.exited, 'end of the master');
  await allGone(pids);
  await load.excusedEnded();
  assert.deepEqual(codes, Array(count).fill(1001), 'workers stop gracefully');
}

test('a killed worker loses its own connections alone; a killed master none in the middle of something', async () => {
  const server = await startServer({ config: demoConfig((config) => { config.workers = 3; }) });
  const load = new LightLoad(server.port, { websockets: 12, keepalive: 12 });
  await load.begin();
  await pause(300);
  for (let i = 0; i < 3; ++i) {
    const others = server.workers();
    const pid = others.splice(i, 1)[0];
    await killWorker(server, load, pid);
    await settled(server, 3);
    assert.ok(others.every(alive));
    await pause(300);
  }
  await killMaster(server, load);
  assert.deepEqual(load.failures, []);
  assert.ok(Object.values(load.answered).every((count) => count > 50), JSON.stringify(load.answered));
  fs.rmSync(server.directory, { recursive: true });
});

// Small and good enough for tests: mulberry32.
function randomFrom(start) {
  let state = start >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

// One server and what befalls it. `steps` says what has, for the message of a failure.
class Life {
  constructor(random) {
    this.random = random;
    this.steps = [];
    this.workers = 2;
    this.directory = makeDirectory();
  }

  config() {
    return demoConfig((config) => {
      config.listeners[0].address = `127.0.0.1:${this.port}`;
      config.workers = this.workers;
      config.drain_timeout = '2s';
      config.drain_spread = '200ms';
    });
  }

  async start() {
    this.server = await startServer({ config: this.config(), directory: this.directory });
    await this.load.begin();
  }

  async begin() {
    this.port = await freePort();
    this.load = new LightLoad(this.port, { websockets: 4, keepalive: 4 });
    await this.start();
  }

  async reload(command = 'reload') {
    await deploy(this.server, command);
  }

  async changeCount() {
    this.workers = 1 + this.random(4);
    writeConfig(this.directory, this.config());
    await this.reload();
  }

  async stopAndStart() {
    await this.load.pauseConnects();
    const pids = allProcesses(this.server);
    this.load.excuse();
    assert.equal((await this.server.command('stop')).code, 0);
    assert.deepEqual(pids.filter(alive), []);
    await this.load.excusedEnded();
    await this.start();
  }

  async killMaster() {
    await killMaster(this.server, this.load);
    // Nothing that it left behind keeps the next one from starting.
    await this.start();
  }

  async killMasterDuringReload() {
    const reload = this.server.command('reload', '--wait');
    await pause(this.random(200));
    await this.killMaster();
    await reload;
  }

  async stopDuringReload() {
    await this.load.pauseConnects();
    const reload = this.server.command('reload', '--wait');
    await pause(this.random(200));
    const pids = allProcesses(this.server);
    this.load.excuse();
    assert.equal((await this.server.command('stop')).code, 0);
    assert.deepEqual(pids.filter(alive), []);
    await this.load.excusedEnded();
    await reload;
    await this.start();
  }

  async killWorker() {
    // While old workers drain, connections move.
    await settled(this.server, this.workers);
    const pids = this.server.workers();
    await killWorker(this.server, this.load, pids[this.random(pids.length)]);
  }

  // A worker dies while a reload goes on, whichever it is by then.
  async killDuringReload() {
    await this.load.pauseConnects();
    const reload = this.server.command('reload', '--wait');
    await pause(this.random(150));
    const pids = this.server.workers();
    const pid = pids[this.random(pids.length)];
    // Connections are on the move: who had one when it died is known to nobody outside.
    this.load.excuse();
    process.kill(pid, 'SIGKILL');
    const { code, stderr } = await reload;
    if (code !== 0) assert.match(stderr, /abandoned: .*SIGKILL|abandoned: .*signal 9|abandoned: .*Killed/);
    await pause(50);
    for (const client of this.load.clients) client.excused = false;
    await this.load.begin();
  }

  async signal() {
    const name = ['SIGUSR1', 'SIGHUP', 'SIGUSR2'][this.random(3)];
    this.steps.push(name);
    const of = ({ generation, reload }) => (name === 'SIGUSR2' ? reload.upgrades : generation);
    const before = of(await this.server.status());
    process.kill(this.server.pid, name);
    await eventually(async () => {
      // A master that is being replaced does not answer for a moment.
      const { code, stdout } = await this.server.command('status', '--json');
      return code === 0 && of(JSON.parse(stdout)) > before && JSON.parse(stdout).reload.state === 'idle';
    }, `what ${name} asks for`);
  }

  async step() {
    const kinds = [
      ['reload', () => this.reload()],
      ['upgrade', () => this.reload('upgrade')],
      ['stop, start', () => this.stopAndStart()],
      ['kill a worker', () => this.killWorker()],
      ['kill the master', () => this.killMaster()],
      ['another worker count', () => this.changeCount()],
      ['kill a worker during a reload', () => this.killDuringReload()],
      ['kill the master during a reload', () => this.killMasterDuringReload()],
      ['stop during a reload', () => this.stopDuringReload()],
      ['a signal', () => this.signal()],
      ['reload at once again', async () => {
        await this.reload();
        await this.reload();
      }],
    ];
    const [name, act] = kinds[this.random(kinds.length)];
    this.steps.push(name);
    await act();
    if (this.random(3) > 0) {
      await pause(this.random(300));
      return;
    }
    await settled(this.server, this.workers);
    this.steps.push('settled');
  }

  async judge() {
    await settled(this.server, this.workers);
    const counts = () => allProcesses(this.server).map(descriptorCount);
    await this.load.end();
    await eventually(async () => (await this.server.status()).totals.gauges.connections_open === 0, 'the end of all connections');
    // Everything that the two reloads behind it open is closed again.
    await deploy(this.server);
    await settled(this.server, this.workers);
    const [master, ...others] = counts();
    await deploy(this.server);
    await settled(this.server, this.workers);
    const [after, ...othersAfter] = counts();
    assert.ok(after <= master, `the master has ${after} descriptors after a reload, ${master} before it`);
    const most = Math.max(...others);
    assert.ok(othersAfter.every((count) => count <= most), `${othersAfter} descriptors, ${others} before`);
    // Not what a long life may have left either.
    assert.ok(master < 40 + 8 * Math.max(this.workers, 4) * 2, `the master has ${master} descriptors`);
    const pids = allProcesses(this.server);
    await this.server.stop();
    assert.deepEqual(pids.filter(alive), []);
    assert.deepEqual(this.load.failures, []);
  }
}

test(`${sequences} random sequences from seed ${seed}`, { timeout: 60_000 + sequences * 30_000 }, async (t) => {
  for (let i = 0; i < sequences; ++i) {
    const life = new Life(randomFrom(seed + i));
    const length = 3 + life.random(5);
    try {
      await life.begin();
      for (let step = 0; step < length; ++step) {
        await life.step();
        assert.deepEqual(life.load.failures, []);
      }
      await life.judge();
    } catch (error) {
      const tail = life.server?.output.slice(-6000);
      error.message = `RINGMASTER_SEED=${seed + i} RINGMASTER_SEQUENCES=1: ${life.steps.join(', ')}\n${error.message}\n` +
          `${life.load?.failures.join('\n')}\n${tail}`;
      throw error;
    }
  }
  t.diagnostic(`seeds ${seed} to ${seed + sequences - 1}`);
});
