// Workers that outlive a killed master (orphaned_workers "serve"), and the next master that adopts them: nobody loses a
// connection, and nothing is left behind.
//
//   RINGMASTER_RELOADS=N  kills under load, 3 (1 with a sanitizer)

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { alive, deploy, descriptorCounts, numberFrom, pause, settled } from './lib/deploy.mjs';
import { Conversation } from './lib/http_client.mjs';
import { change, parseAnswer, startMovingServer } from './lib/moving_server.mjs';
import { allGone, killMaster, runtimeFiles, stopWithoutTrace } from './lib/orphans.mjs';
import { startProgram } from './lib/program.mjs';
import { demoConfig, eventually, makeDirectory, run, sanitized, startServer, within, writeConfig } from './lib/server.mjs';
import { describeFailures, startSteadyClients } from './lib/steady_clients.mjs';
import { openWebSocket, text } from './lib/websocket_client.mjs';

const kills = numberFrom('RINGMASTER_RELOADS', sanitized ? 1 : 3);
const load = { connectsPerSecond: 200, keepalive: 20, websockets: 20, intervalMs: 50 };

const configOf = (edit = () => {}) => demoConfig((config) => {
  config.workers = 2;
  config.orphaned_workers = 'serve';
  // A test that fails leaves nothing for long.
  config.orphan_timeout = '60s';
  // What is judged is that nobody is lost, also on a machine that is too slow for the load.
  config.limits = { ...config.limits, queue_time_max: '0s' };
  edit(config);
});

const startAgain = (server, config = configOf()) => startServer({ config, directory: server.directory });

function startLoad(server) {
  return startSteadyClients({ port: server.port, ...load, generationHeader: 'X-Generation', expectBody: 'Hello, World!' });
}

function assertNothingLost(report) {
  assert.equal(report.failed, 0, describeFailures(report));
  for (const kind of ['connects', 'keepalive', 'websockets']) {
    assert.ok(report[kind].answered > 0, `no ${kind}`);
    assert.equal(report[kind].answered, report[kind].started - report[kind].raced_close, kind);
  }
  // The same TCP connections from the first message to the last.
  assert.equal(report.websockets.opened, load.websockets);
  assert.equal(report.websockets.close_handshakes, load.websockets);
}

// A WebSocket whose context counts, and whether it is still the same.
async function keptBy(server, name) {
  const { peer } = await openWebSocket(server.port, { path: '/kept' });
  let count = 0;
  const ask = async (message) => {
    const seen = peer.events.length;
    peer.send(text(message));
    await eventually(() => peer.events.length > seen, `an answer to ${message}`);
    const [kind, answer] = peer.events[seen];
    assert.equal(kind, 'text', JSON.stringify(peer.events));
    const parsed = parseAnswer(answer);
    assert.equal(parsed.name, name);
    assert.equal(Number(parsed.count), ++count);
    return parsed;
  };
  await ask(`name ${name}`);
  return { peer, ask: () => ask('hello') };
}

const startMovingAgain = (server) => startServer({
  directory: server.directory, program: server.program, env: { MOVING_SETTINGS: path.join(server.directory, 'settings') },
});

// A start that must fail, for a reason that `pattern` describes.
async function startInVain(server, words, pattern) {
  const { code, stdout, stderr } = await run(['start', ...words], {
    directory: server.directory, program: server.program, env: { MOVING_SETTINGS: path.join(server.directory, 'settings') },
  });
  assert.equal(code, 1, stdout + stderr);
  assert.match(stderr, pattern);
  return stderr;
}

test(`${kills} killed masters cost nobody anything`, async (t) => {
  let server = await startServer({ config: configOf() });
  const clients = await startLoad(server);
  let before;
  let generation = 1;
  for (let i = 0; i < kills; ++i) {
    await pause(300);
    const { workers } = await killMaster(server);
    // At once, too: before a worker has noticed.
    if (i > 0) await pause(300);
    server = await startAgain(server);
    await allGone(workers);
    await settled(server, 2);
    assert.equal((await server.status()).generation, ++generation);
    const now = { master: (await descriptorCounts(server)).master };
    before ??= now;
    assert.deepEqual(now, before, 'descriptors');
    // A reload works as ever.
    await deploy(server);
    assert.equal((await server.status()).generation, ++generation);
    await settled(server, 2);
  }
  const report = await clients.stop();
  t.diagnostic(`${report.connects.answered} new connections, ${report.websockets.answered} messages`);
  assertNothingLost(report);
  assert.ok(report.generations.length > kills, JSON.stringify(report.generations));
  await stopWithoutTrace(server);
});

test('masters are killed while they reload and while they adopt', async (t) => {
  let server = await startServer({ config: configOf() });
  const clients = await startLoad(server);
  const workers = [];
  for (const after of sanitized ? [60, 200] : [20, 60, 110, 160, 200, 240]) {
    await settled(server, 2);
    // Its end is of no interest.
    server.command('reload', '--wait');
    await pause(after);
    workers.push(...(await killMaster(server)).workers);
    // The next is killed, too, while it begins, and the third finds what both have left.
    const begun = await startServerUnready(server, after);
    workers.push(...(await killMaster(begun)).workers);
    server = await startAgain(server);
  }
  await settled(server, 2);
  await allGone(workers.filter((pid) => !server.workers().includes(pid)));
  const report = await clients.stop();
  t.diagnostic(`${report.connects.answered} new connections, ${report.websockets.answered} messages`);
  assertNothingLost(report);
  await stopWithoutTrace(server);
});

// A start that is given `milliseconds`, ready or not.
async function startServerUnready(server, milliseconds) {
  const begun = startServer({ config: configOf(), directory: server.directory });
  begun.catch(() => {});
  // Its pid file is there as soon as it holds it.
  const file = path.join(server.directory, 'ringmaster', 'ringmaster.pid');
  const pid = await eventually(() => {
    const written = Number(fs.readFileSync(file, 'utf8'));
    return written !== server.pid && alive(written) ? written : 0;
  }, 'the pid of the next master');
  await pause(milliseconds);
  const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  const child = { once: (_, resolve) => allGone([pid]).then(resolve) };
  return { pid, child, workers: () => children };
}

test('a start that fails leaves the workers as they were', async () => {
  const server = await startMovingServer({ orphaned_workers: 'serve', ready_timeout_ms: sanitized ? 4000 : 1500 });
  const peers = await Promise.all(Array.from({ length: 8 }, (_, i) => keptBy(server, `p${i}`)));
  const { workers, others } = await killMaster(server);
  await allGone(others);
  change(server, { fault: 'worker_dies' });
  await startInVain(server, [], /worker \d+ exited with status 8/);
  change(server, { fault: 'worker_hangs' });
  await startInVain(server, [], /was not ready after [\d.]+ s \(ready_timeout\)/);
  // In the middle of the hand-over: what was given comes back.
  change(server, { fault: 'load_dies', fault_at: 6, loads: path.join(server.directory, 'loads') });
  await startInVain(server, [], /exited with status 9/);
  change(server, { fault: undefined });
  assert.deepEqual(workers.map(alive), [true, true]);
  for (const { ask } of peers) assert.ok(workers.includes(Number((await ask()).pid)));
  assert.equal((await new Conversation(server.port).get('/hello')).status, 200);
  const next = await startMovingAgain(server);
  assert.equal(next.port, server.port);
  for (const { ask } of peers) assert.ok(next.workers().includes(Number((await ask()).pid)));
  await allGone(workers);
  for (const { peer } of peers) peer.socket.destroy();
  await stopWithoutTrace(next);
});

test('a wrong configuration and an address in use stop no worker', async () => {
  const server = await startServer({ config: configOf() });
  const { workers } = await killMaster(server);
  const taken = net.createServer();
  await new Promise((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const file = writeConfig(server.directory, '{"workers": "many"}');
  await startInVain(server, [file], /workers/);
  writeConfig(server.directory, configOf((config) => { config.workers = 1025; }));
  await startInVain(server, [file], /1025|1024/);
  writeConfig(server.directory, configOf((config) => {
    config.listeners.push({ address: `127.0.0.1:${taken.address().port}` });
  }));
  await startInVain(server, [file], /the address is in use/);
  taken.close();
  assert.equal((await new Conversation(server.port).get('/hello')).status, 200);
  assert.deepEqual(workers.map(alive), [true, true]);
  const next = await startAgain(server);
  await allGone(workers);
  await stopWithoutTrace(next);
});

test('commands say that there is no master, and `stop` stops what it left', async () => {
  for (const [words, lastCode] of [[['stop'], 1001], [['stop', '--now'], undefined]]) {
    const directory = makeDirectory();
    const server = await startServer({
      config: configOf((config) => { config.listeners.push({ address: `unix:${path.join(directory, 'app.sock')}` }); }),
      directory,
    });
    const file = path.join(server.directory, 'server.json');
    const { peer } = await openWebSocket(server.port, { path: '/ws' });
    const { workers, others } = await killMaster(server);
    for (const [command, code] of [['status', 3], ['connections', 3], ['reload', 1], ['upgrade', 1]]) {
      // A worker that has no time for an answer within a second is not counted.
      await eventually(async () => {
        const answer = await server.command(command, file);
        assert.equal(answer.code, code, command);
        assert.match(answer.stderr, /has no master; /);
        return /; 2 workers with 1 connection serve on without one/.test(answer.stderr);
      }, `both workers are seen by ${command}`);
    }
    peer.send(text('still there'));
    assert.deepEqual((await peer.waitFor(1))[0], ['text', 'still there']);
    const stopped = await server.command(...words, file);
    assert.equal(stopped.code, 0, stopped.stderr);
    assert.match(stopped.stdout, /stopped \(2 workers whose master was gone\)/);
    assert.deepEqual([...workers, ...others].filter(alive), []);
    const events = await peer.waitForEnd();
    assert.equal(events.find(([kind]) => kind === 'close')?.[1], lastCode);
    assert.deepEqual(runtimeFiles(server.directory), []);
    assert.ok(!fs.existsSync(path.join(server.directory, 'app.sock')));
    const again = await server.command('stop', file);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /is not running/);
    fs.rmSync(server.directory, { recursive: true });
  }
});
test('no worker stays for ever', async () => {
  const server = await startServer({ config: configOf((config) => { config.orphan_timeout = '1s'; }) });
  const { peer } = await openWebSocket(server.port, { path: '/ws' });
  const began = performance.now();
  const { workers } = await killMaster(server);
  await allGone(workers);
  assert.ok(performance.now() - began > 900);
  assert.equal((await peer.waitForEnd()).find(([kind]) => kind === 'close')?.[1], 1001);
  assert.match(server.output, /no master has come within orphan_timeout/);
  // What it left does not keep the next one from starting.
  const next = await startAgain(server);
  assert.equal((await next.status()).generation, 1);
  await stopWithoutTrace(next);
});

test('SIGTERM stops a worker that has no master', async () => {
  const server = await startServer({ config: configOf() });
  const { workers: [first, second] } = await killMaster(server);
  await eventually(() => server.output.match(/serves on until a new one adopts it/g)?.length === 2, 'two without a master');
  process.kill(first, 'SIGTERM');
  await allGone([first]);
  assert.ok(alive(second));
  // Who has a master again does not listen to it.
  const next = await startAgain(server);
  await allGone([second]);
  for (const pid of next.workers()) process.kill(pid, 'SIGTERM');
  await pause(200);
  assert.equal(next.workers().filter(alive).length, 2);
  await stopWithoutTrace(next);
});

test('a worker that a handler holds for too long ends, since no master replaces it', { skip: sanitized }, async () => {
  const settings = { STALLING_ORPHANS: 'serve', STALLING_HANDLER_TIMEOUT_MS: '100', STALLING_KILL_TIMEOUT_MS: '3000' };
  const server = await startProgram(process.env.STALLING_SERVER, settings);
  // Held when its master ends, and held later.
  const held = fetch(`${server.url}/spin?ms=30000`).catch((error) => error);
  await eventually(async () => (await server.counters()).handler_stalls > 0, 'a handler that holds its worker');
  const { workers } = await killMaster(server);
  assert.ok(await held instanceof Error);
  await eventually(() => workers.filter(alive).length === 1, 'the end of one of two');
  assert.match(server.output, /there is no master, this worker ends/);
  assert.ok(await fetch(`${server.url}/spin?ms=30000`).catch((error) => error) instanceof Error);
  await allGone(workers);
  fs.rmSync(server.directory, { recursive: true });
});

test('workers of another account are adopted', { skip: process.getuid() !== 0 && 'only root can become somebody else' }, async () => {
  const config = configOf((config) => {
    config.user = 'nobody';
    config.sandbox = 'required';
    config.routes = config.routes.filter(({ directory }) => !directory);
  });
  const server = await startServer({ config });
  const { peer } = await openWebSocket(server.port, { path: '/ws' });
  const { workers } = await killMaster(server);
  await eventually(async () => /2 workers with 1 connection serve on/.test((await server.command('status')).stderr), 'both are seen');
  const next = await startAgain(server, config);
  await allGone(workers);
  peer.send(text('still there'));
  assert.deepEqual((await peer.waitFor(1))[0], ['text', 'still there']);
  peer.socket.destroy();
  await stopWithoutTrace(next);
});

test('who waits in the queue of a worker that does not answer is served in the end', { skip: sanitized }, async () => {
  const server = await startServer({ config: configOf((config) => { config.workers = 1; }) });
  const file = path.join(server.directory, 'server.json');
  const { workers: [pid] } = await killMaster(server);
  process.kill(pid, 'SIGSTOP');
  const answers = Array.from({ length: 5 }, () => new Promise((resolve, reject) => {
    const socket = net.connect(server.port, '127.0.0.1', () => socket.write('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n'));
    socket.once('data', (bytes) => { resolve(`${bytes}`); socket.destroy(); });
    socket.once('error', reject);
  }));
  await startInVain(server, [file], /does not answer/);
  const begun = startAgain(server);
  await pause(300);
  process.kill(pid, 'SIGCONT');
  const next = await begun;
  for (const answer of await within(Promise.all(answers), 'answers')) assert.match(answer, /^HTTP\/1\.1 200 /);
  await allGone([pid]);
  await stopWithoutTrace(next);
});

test('other workers, listeners and a daemon take over', async () => {
  const socket = (directory) => ({ address: `unix:${path.join(directory, 'app.sock')}` });
  let server = await startServer({ config: configOf((config) => { config.workers = 3; }) });
  const { directory, port } = server;
  const { peer } = await openWebSocket(port, { path: '/ws' });
  let said = 0;
  const check = async () => {
    peer.send(text(`${said}`));
    assert.deepEqual((await peer.waitFor(said + 1))[said], ['text', `${said}`]);
    ++said;
    for (let i = 0; i < 20; ++i) assert.equal((await new Conversation(port).get('/hello')).status, 200);
  };
  for (const [count, withSocket] of [[1, false], [4, true], [2, true], [2, false], [3, true]]) {
    const { workers } = await killMaster(server);
    server = await startAgain(server, configOf((config) => {
      config.workers = count;
      if (withSocket) config.listeners.push(socket(directory));
    }));
    assert.equal(server.port, port);
    await allGone(workers);
    await settled(server, count);
    assert.equal(fs.existsSync(path.join(directory, 'app.sock')), withSocket);
    await check();
  }
  const { workers } = await killMaster(server);
  const file = path.join(directory, 'server.json');
  const started = await run(['start', '-d', file], { directory });
  assert.equal(started.code, 0, started.stderr);
  await allGone(workers);
  await check();
  peer.socket.destroy();
  assert.equal((await run(['stop', file], { directory })).code, 0);
  assert.deepEqual(runtimeFiles(directory), []);
  assert.ok(!fs.existsSync(path.join(directory, 'app.sock')));
  fs.rmSync(directory, { recursive: true });
});

test('a master that is replaced while adopted workers still answer knows them', async () => {
  const server = await startMovingServer({ orphaned_workers: 'serve' });
  const late = Array.from({ length: 6 }, () => new Conversation(server.port));
  const answers = late.map((conversation) => conversation.get('/later?ms=3000'));
  await eventually(async () => (await server.counters()).messages >= 6, 'requests at their handlers');
  const { workers } = await killMaster(server);
  const next = await startMovingAgain(server);
  assert.equal((await next.command('upgrade', '--wait')).code, 0);
  const { workers: listed } = await next.status();
  assert.ok(workers.some((pid) => listed.some((worker) => worker.pid === pid && worker.state === 'draining')));
  for (const answer of await Promise.all(answers)) assert.equal(answer.status, 200);
  await allGone(workers);
  await settled(next, 2);
  await stopWithoutTrace(next);
});
