// The stock server as a person at a terminal sees it: commands, exit statuses, messages, signals.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import {
  demoConfig, eventually, makeDirectory, patience, run, startServer, within, writeConfig,
} from './lib/server.mjs';

async function get(port, target = '/hello') {
  const response = await fetch(`http://127.0.0.1:${port}${target}`, { signal: AbortSignal.timeout(patience) });
  return { status: response.status, body: await response.text() };
}

const alive = (pid) => fs.existsSync(`/proc/${pid}`);

test('--help names every command and exits 0', async () => {
  const { code, stdout } = await run(['--help']);
  assert.equal(code, 0);
  for (const word of ['start', 'stop', 'status', 'check', '-d', '--json', '--version']) assert.match(stdout, new RegExp(word));
});
test('without a command the help is printed', async () => {
  const { stdout, stderr } = await run([]);
  assert.match(stdout + stderr, /start/);
});
test('--version prints a version', async () => {
  const { code, stdout } = await run(['--version']);
  assert.equal(code, 0);
  assert.match(stdout, /\d+\.\d+\.\d+/);
});
for (const args of [['strat'], ['--nonsense'], ['start', '--nonsense'], ['start', 'a.json', 'b.json']]) {
  test(`"${args.join(' ')}" is refused with a hint`, async () => {
    const { code, stderr } = await run(args);
    assert.equal(code, 2);
    assert.ok(stderr.length > 0);
    if (args[0] === 'strat') assert.match(stderr, /start/);
  });
}
test('check accepts the demonstration configuration', async () => {
  const directory = makeDirectory();
  const { code, stderr } = await run(['check', writeConfig(directory, demoConfig())], { directory });
  assert.equal(code, 0, stderr);
});
for (const [name, config, pattern] of [
  ['an unknown key', '{\n  "listeners": [],\n  "lissteners": []\n}', /server\.json:3:.*lissteners/s],
  ['a wrong type', '{\n  "workers": "many"\n}', /server\.json:2:.*workers/s],
  ['a number for a duration', '{\n  "timeouts": {\n    "read": 75\n  }\n}', /server\.json:3:.*timeouts\.read/s],
  ['broken JSON', '{\n  "workers": 1,,\n}', /server\.json/],
  ['a missing static directory',
    '{"routes": [\n{"path": "/s/", "type": "static", "directory": "/nowhere/at/all"}]}', /routes\[0\]\.directory.*\/nowhere/s],
  ['an address that is none', '{"listeners": [{"address": "nonsense"}]}', /listeners\[0\]\.address/],
  ['an empty file', '', /server\.json/],
]) {
  test(`check and start refuse ${name} with its place`, async () => {
    const directory = makeDirectory();
    const file = writeConfig(directory, config);
    for (const command of ['check', 'start']) {
      const { code, stdout, stderr } = await run([command, file], { directory });
      assert.ok(code === 1 || code === 2, `${command}: exit status ${code}`);
      assert.match(stderr, pattern, command);
      assert.doesNotMatch(stdout, /ready/);
    }
  });
}
test('a configuration that is not there is refused by name', async () => {
  const directory = makeDirectory();
  const { code, stderr } = await run(['start', path.join(directory, 'none.json')], { directory });
  assert.ok(code === 1 || code === 2);
  assert.match(stderr, /none\.json/);
});
test('start, status, stop', async () => {
  const server = await startServer();
  assert.deepEqual(await get(server.port), { status: 200, body: 'Hello, World!' });
  const status = await server.command('status');
  assert.equal(status.code, 0, status.stderr);
  assert.match(status.stdout, new RegExp(String(server.port)));
  const json = await server.status();
  assert.equal(json.pid, server.pid);
  assert.ok(json.workers.length >= 1);
  assert.ok(json.totals.counters.connections_accepted >= 1);
  const { code, stderr } = await server.command('stop');
  assert.equal(code, 0, stderr);
  // The command returns when the last process is gone, so nothing has to be waited for.
  assert.equal(alive(server.pid) && fs.readFileSync(`/proc/${server.pid}/stat`, 'utf8').split(' ')[2] !== 'Z', false);
  assert.deepEqual(await within(server.exited, 'exit'), { code: 0, signal: null });
  server.assertNoReport();
});
test('stop and status without a server say so', async () => {
  const directory = makeDirectory();
  const stop = await run(['stop'], { directory });
  assert.equal(stop.code, 1);
  assert.match(stop.stderr, /not running/i);
  const status = await run(['status'], { directory });
  assert.ok([1, 3].includes(status.code), String(status.code));
  assert.match(status.stdout + status.stderr, /not running/i);
});
test('a second start is refused with the process id of the first', async () => {
  const server = await startServer();
  const { code, stderr } = await run(['start', path.join(server.directory, 'server.json')], { directory: server.directory });
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`\\b${server.pid}\\b`));
  assert.equal((await get(server.port)).status, 200);
  await server.stop();
});
test('a port in use is explained, and nothing is left running', async () => {
  const holder = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => holder.once('listening', resolve));
  const { port } = holder.address();
  const directory = makeDirectory();
  const file = writeConfig(directory, demoConfig((config) => { config.listeners[0].address = `127.0.0.1:${port}`; }));
  const { code, stdout, stderr } = await run(['start', file], { directory });
  holder.close();
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`${port}.*in use|in use.*${port}`, 's'));
  assert.doesNotMatch(stdout, /ready/);
  assert.notEqual((await run(['status'], { directory })).code, 0);
});
test('-d returns when the daemon is ready; stop ends it', async () => {
  const directory = makeDirectory();
  const file = writeConfig(directory, demoConfig());
  const { code, stdout, stderr } = await run(['start', '-d', file], { directory });
  assert.equal(code, 0, stderr);
  const [, port] = /127\.0\.0\.1:([1-9]\d*)/.exec(stdout + stderr);
  assert.equal((await get(Number(port))).status, 200);
  const { pid, workers } = JSON.parse((await run(['status', '--json'], { directory })).stdout);
  assert.ok(alive(pid));
  const stop = await run(['stop'], { directory });
  assert.equal(stop.code, 0, stop.stderr);
  await eventually(() => !alive(pid) && workers.every((worker) => !alive(worker.pid)), 'master and workers gone');
});
test('-d with a bad configuration fails in the calling terminal', async () => {
  const directory = makeDirectory();
  const { code, stderr } = await run(['start', '-d', writeConfig(directory, '{"workers": -1}')], { directory });
  assert.ok(code === 1 || code === 2);
  assert.match(stderr, /workers/);
});
test('a stale pid file does not block a start', async () => {
  const first = await startServer();
  const { directory } = first;
  const workers = first.workers();
  first.child.kill('SIGKILL');
  await within(first.exited, 'exit');
  // Workers without a master leave by themselves.
  await eventually(() => workers.every((pid) => !alive(pid)), 'workers gone after their master');
  const second = await startServer({ directory });
  assert.equal((await get(second.port)).status, 200);
  await second.stop();
});
for (const signal of ['SIGTERM', 'SIGQUIT', 'SIGINT']) {
  test(`${signal} ends it cleanly with a summary`, async () => {
    const server = await startServer();
    await get(server.port);
    const workers = server.workers();
    await server.stop(signal);
    assert.match(server.stdout.trim().split('\n').at(-1), /stopped: .*connections/);
    assert.ok(workers.every((pid) => !alive(pid)), 'a worker outlived its master');
  });
}
test('a second SIGINT stops at once', async () => {
  const server = await startServer();
  // A request whose body never ends holds the graceful stop.
  const socket = net.connect(server.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello');
  const idle = net.connect(server.port, '127.0.0.1');
  const idleClosed = new Promise((resolve) => idle.on('end', resolve).on('error', resolve).resume());
  await eventually(async () => (await server.counters()).connections_open >= 2, 'both connections are there');
  server.child.kill('SIGINT');
  // An idle connection is closed at once: that shows that the first signal has arrived.
  await within(idleClosed, 'end of the idle connection');
  server.child.kill('SIGINT');
  const { signal } = await within(server.exited, 'exit after the second SIGINT', 10_000);
  assert.equal(signal, null);
  socket.destroy();
});
test('a worker that is killed is replaced, and the service goes on', async () => {
  const server = await startServer({ config: demoConfig((config) => { config.workers = 2; }) });
  const before = server.workers();
  assert.equal(before.length, 2);
  process.kill(before[0], 'SIGKILL');
  await eventually(() => {
    const now = server.workers();
    return now.length === 2 && !now.includes(before[0]);
  }, 'a new worker');
  await eventually(async () => {
    const { workers } = await server.status();
    return workers.length === 2 && !workers.some((worker) => worker.pid === before[0]);
  }, 'status shows the new worker');
  for (let i = 0; i < 40; ++i) assert.equal((await get(server.port)).status, 200);
  assert.match(JSON.stringify(await server.status()), /"restarts":1/);
  await server.stop();
});
test('a unix socket is served with its mode and removed at the end', async () => {
  const directory = makeDirectory();
  const socketPath = path.join(directory, 'http.sock');
  const server = await startServer({
    directory,
    config: demoConfig((config) => {
      config.listeners.push({ address: `unix:${socketPath}`, unix: { mode: '0600' } });
    }),
  });
  assert.equal(fs.statSync(socketPath).mode & 0o777, 0o600);
  const answer = await within(new Promise((resolve, reject) => {
    const socket = net.connect(socketPath);
    let text = '';
    socket.on('data', (bytes) => { text += bytes; }).on('end', () => resolve(text)).on('error', reject);
    socket.write('GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  }), 'answer');
  assert.match(answer, /^HTTP\/1\.1 200 .*Hello, World!$/s);
  server.child.kill('SIGTERM');
  await within(server.exited, 'exit');
  assert.equal(fs.existsSync(socketPath), false);
});
test('IPv6 is served', async (t) => {
  const directory = makeDirectory();
  const config = demoConfig((c) => { c.listeners = [{ address: '[::1]:0' }]; });
  if (!fs.existsSync('/proc/net/if_inet6') || !fs.readFileSync('/proc/net/if_inet6', 'utf8').trim()) {
    t.skip('this machine has no IPv6');
    return;
  }
  const server = await startServer({ directory, config });
  const response = await fetch(`http://[::1]:${server.port}/hello`);
  assert.equal(await response.text(), 'Hello, World!');
  await server.stop();
});
