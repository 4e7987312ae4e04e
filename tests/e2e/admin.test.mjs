// The admin listener: figures and health from a process of its own, whatever the workers do.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { askAdmin } from './lib/admin_client.mjs';
import {
  binary, demoConfig, eventually, makeDirectory, patience, run, sanitized, startServer, within, writeConfig,
} from './lib/server.mjs';

const stuckServer = process.env.RINGMASTER_STUCK_SERVER ??
    path.resolve(path.dirname(binary), '../../tests/e2e/programs/stuck_server');
const token = 'a-token-for-the-tests';
const paths = ['/', '/metrics', '/status.json', '/healthz', '/readyz'];

const onTcp = (change = () => {}) => demoConfig((config) => {
  config.admin = { address: '127.0.0.1:0', token };
  change(config);
});
const adminAddress = async (server) => (await server.status()).admin.address;

test('"auto" is a unix socket for its user alone, gone with the server', async () => {
  const server = await startServer();
  const address = await adminAddress(server);
  assert.match(address, /^unix:\/.*\/ringmaster\/ringmaster\.admin\.sock$/);
  assert.ok(server.output.includes(`admin          ${address}\n`), server.output);
  const file = address.slice('unix:'.length);
  assert.equal(fs.statSync(file).mode & 0o7777, 0o600);
  assert.match((await server.command('status')).stdout, /^admin +\d+ +ready/m);
  assert.ok((await server.command('status')).stdout.includes(address));
  await server.stop();
  assert.ok(!fs.existsSync(file));
});

test('every path answers, is not stored and forbids what it does not need', async () => {
  const server = await startServer();
  const address = await adminAddress(server);
  for (const each of paths) {
    const answer = await askAdmin(address, each);
    assert.equal(answer.status, 200, each);
    assert.equal(answer.headers['cache-control'], 'no-store', each);
    assert.equal(answer.headers['x-content-type-options'], 'nosniff', each);
    assert.match(answer.headers['content-security-policy'], /^default-src 'none';.*frame-ancestors 'none'/, each);
    const head = await askAdmin(address, each, { method: 'HEAD' });
    assert.equal(head.status, 200, each);
    assert.equal(head.body, '');
    assert.equal((await askAdmin(address, each, { method: 'DELETE' })).status, 405, each);
  }
  assert.equal((await askAdmin(address, '/hello')).status, 404);
  const status = JSON.parse((await askAdmin(address, '/status.json')).body);
  assert.equal(status.totals.histograms.handler_time.buckets, undefined);
  const withBuckets = JSON.parse((await askAdmin(address, '/status.json?buckets')).body);
  assert.ok(Array.isArray(withBuckets.totals.histograms.handler_time.buckets));
  assert.equal(status.pid, server.pid);
  assert.equal(status.admin.state, 'ready');
  assert.equal(status.workers.length, server.workers().length);
  assert.ok(!server.workers().includes(status.admin.pid));
  assert.match((await askAdmin(address, '/healthz')).body, /^ok: (\d+) of \1 workers ready\n$/);
  await server.stop();
});

test('/metrics is what Prometheus reads', { skip: fs.existsSync('/usr/bin/promtool') ? false : 'promtool is not installed' },
    async () => {
  const server = await startServer();
  await fetch(`${server.url}/hello`);
  const answer = await askAdmin(await adminAddress(server), '/metrics');
  assert.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  assert.match(answer.body, /^ringmaster_connections_accepted_total\{worker="0"\} \d+$/m);
  const check = await new Promise((resolve) => {
    const child = execFile('/usr/bin/promtool', ['check', 'metrics'], (error, stdout, stderr) =>
        resolve({ code: error?.code ?? 0, text: stdout + stderr }));
    child.stdin.end(answer.body);
  });
  assert.deepEqual(check, { code: 0, text: '' });
  await server.stop();
});

test('what the help says works: curl --unix-socket', async () => {
  const server = await startServer();
  const socket = (await adminAddress(server)).slice('unix:'.length);
  const text = execFileSync('curl', ['-sS', '--fail', '--unix-socket', socket, 'http://localhost/healthz'],
      { encoding: 'utf8', timeout: patience });
  assert.match(text, /^ok: /);
  assert.match((await server.command('--help')).stdout, /curl --unix-socket/);
  await server.stop();
});

test('a TCP listener wants the token for everything but the page without figures', async () => {
  const server = await startServer({ config: onTcp() });
  const address = await adminAddress(server);
  assert.match(address, /^127\.0\.0\.1:[1-9]\d*$/);
  for (const each of [...paths, '/nothing-here']) {
    const without = await askAdmin(address, each);
    const wrong = await askAdmin(address, each, { token: 'a-token-for-the-testS' });
    const right = await askAdmin(address, each, { token });
    if (each === '/') {
      assert.deepEqual([without.status, wrong.status, right.status], [200, 200, 200]);
      continue;
    }
    assert.deepEqual([without.status, wrong.status, right.status], [401, 401, each === '/nothing-here' ? 404 : 200], each);
    assert.equal(without.headers['www-authenticate'], 'Bearer realm="admin"');
    assert.equal(wrong.headers['www-authenticate'], 'Bearer realm="admin", error="invalid_token"');
    assert.ok(!/\d/.test(without.body), without.body);
  }
  // A prefix, a longer one, another scheme, none.
  for (const field of [token.slice(0, -1), `${token}x`].map((each) => `Bearer ${each}`).concat(`Basic ${token}`, token)) {
    assert.equal((await askAdmin(address, '/metrics', { headers: { Authorization: field } })).status, 401, field);
  }
  await server.stop();
});

for (const [where, config] of [['loopback', onTcp()], ['a tunnel to the unix socket', demoConfig()]]) {
  test(`a name that was made to point at ${where} is refused`, async () => {
    const server = await startServer({ config });
    const address = await adminAddress(server);
    for (const each of paths) {
      assert.equal((await askAdmin(address, each, { token, headers: { Host: 'rebound.example' } })).status, 421, each);
      assert.equal((await askAdmin(address, each, { token, headers: { Host: 'localhost:9000' } })).status, 200, each);
    }
    await server.stop();
  });
}

test('no start and no good check without a long token on TCP; the environment wins', async () => {
  const directory = makeDirectory();
  const check = async (admin, env = {}) => {
    const file = writeConfig(directory, demoConfig((config) => { config.admin = admin; }));
    const [checked, started] = [await run(['check', file], { directory, env }), await run(['start', file], { directory, env })];
    assert.equal(checked.code, 1);
    assert.equal(started.code, 1);
    assert.equal(started.stderr, checked.stderr);
    return checked.stderr;
  };
  assert.match(await check({ address: '127.0.0.1:0' }), /needs a token of at least 16 characters.*openssl rand/);
  assert.match(await check({ address: '127.0.0.1:0', token }, { RINGMASTER_ADMIN_TOKEN: 'short' }), /has 5 characters/);
  fs.rmSync(directory, { recursive: true });

  const other = 'another-token-from-the-environment';
  const server = await startServer({ config: onTcp(), env: { RINGMASTER_ADMIN_TOKEN: other } });
  const address = await adminAddress(server);
  assert.equal((await askAdmin(address, '/healthz', { token })).status, 401);
  assert.equal((await askAdmin(address, '/healthz', { token: other })).status, 200);
  await server.stop();
});

test('"off" means no process and no socket', async () => {
  const server = await startServer({ config: demoConfig((config) => { config.admin = { address: 'off' }; }) });
  assert.equal((await server.status()).admin, undefined);
  const children = fs.readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8').trim().split(' ').map(Number);
  assert.deepEqual(children, server.workers());
  assert.ok(!fs.existsSync(path.join(server.directory, 'ringmaster/ringmaster.admin.sock')));
  await server.stop();
});

test('it is small, takes no share of the totals and comes back when it dies', async () => {
  const server = await startServer();
  const address = await adminAddress(server);
  for (let i = 0; i < 50; ++i) for (const each of paths) assert.equal((await askAdmin(address, each)).status, 200);
  const before = await server.status();
  assert.equal(before.totals.counters.connections_accepted, 0);
  assert.ok(before.admin.counters.connections_accepted >= 250);
  const memory = fs.readFileSync(`/proc/${before.admin.pid}/status`, 'utf8');
  const kib = Number(/RssAnon:\s+(\d+) kB/.exec(memory)[1]);
  console.log(`# memory of the admin process that no file backs: ${kib} KiB`);
  assert.ok(sanitized || kib < 8 * 1024, `${kib} KiB`);

  process.kill(before.admin.pid, 'SIGKILL');
  const after = await eventually(async () => {
    const { admin } = await server.status();
    return admin.restarts === 1 && admin.state === 'ready' && admin;
  }, 'the next admin process');
  assert.notEqual(after.pid, before.admin.pid);
  assert.equal((await askAdmin(address, '/readyz')).status, 200);
  await server.stop();
});

test('it answers within 100 ms while every worker is stuck in a handler', async () => {
  const directory = makeDirectory();
  const fifo = path.join(directory, 'release');
  execFileSync('mkfifo', [fifo]);
  const server = await startServer({ program: stuckServer, directory, env: { STUCK_FIFO: fifo } });
  const workers = server.workers();
  const stuck = () => new Set([...server.stderr.matchAll(/^stuck: (\d+)$/gm)].map((match) => Number(match[1])));
  const requests = [];
  // The kernel spreads connections over the workers by a hash: more of them, until each worker has one.
  await eventually(() => {
    if (requests.length < 200) requests.push(fetch(`${server.url}/block`).then((answer) => answer.text(), () => 'cut off'));
    return stuck().size === workers.length;
  }, 'every worker in its handler');
  assert.deepEqual([...stuck()].sort(), [...workers].sort());

  const address = `unix:${path.join(directory, 'ringmaster/stuck.admin.sock')}`;
  for (const each of paths) {
    const times = [];
    for (let i = 0; i < 21; ++i) {
      const answer = await askAdmin(address, each);
      // Health changes its mind after handler_timeout.
      assert.ok(answer.status === 200 || (answer.status === 503 && /^\/(health|ready)z$/.test(each)), each);
      times.push(answer.milliseconds);
    }
    times.sort((a, b) => a - b);
    console.log(`# ${each}: ${times[10].toFixed(1)} ms in the middle, ${times[20].toFixed(1)} ms at most`);
    assert.ok(times[10] < (sanitized ? 1000 : 100), `${each}: ${times}`);
  }
  const health = () => askAdmin(address, '/healthz');
  await eventually(async () => (await health()).status === 503, '/healthz sees that nobody moves');
  assert.match((await health()).body, /^not ok: 0 of 2 workers ready\nworker 0 is held by a handler for \d+\.\d s\n/);
  // A reader of the FIFO waits for a writer; one that keeps it open lets all of them pass.
  const release = fs.openSync(fifo, fs.constants.O_RDWR);
  const texts = await within(Promise.all(requests), 'answers of the handlers');
  assert.ok(texts.every((text) => text === 'released\n'), texts.join());
  fs.closeSync(release);
  await eventually(async () => (await health()).status === 200, '/healthz sees that they move again');
  await server.stop();
});

test('/readyz says 503 while the server drains, and the listener lasts until the last worker is gone', async () => {
  const server = await startServer();
  const address = await adminAddress(server);
  assert.equal((await askAdmin(address, '/readyz')).status, 200);
  // A request whose content has begun keeps its worker from leaving.
  const socket = net.connect(server.port, '127.0.0.1');
  let answer = '';
  socket.setEncoding('latin1').on('data', (text) => { answer += text; });
  const ended = new Promise((resolve) => socket.on('close', resolve));
  socket.write('POST /echo HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
  await eventually(() => answer.includes('100 Continue'), 'the server waits for content');
  server.child.kill('SIGTERM');
  const draining = await eventually(async () => {
    const ready = await askAdmin(address, '/readyz');
    return ready.status === 503 && ready;
  }, 'a server that is not ready');
  assert.match(draining.body, /^not ok: stopping, 0 of \d+ workers ready\nworker 0 is stop/);
  assert.equal((await askAdmin(address, '/status.json')).status, 200);
  socket.end('12345');
  await within(ended, 'end of the connection');
  assert.match(answer, /12345$/);
  await server.stop();
  await assert.rejects(askAdmin(address, '/readyz'));
});
