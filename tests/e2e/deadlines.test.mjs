// Every deadline as a user sees it: set at the root, for a listener, for a route; exact; off; and what restarts it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { AtOnce } from './lib/at_once.mjs';
import { far, fileBytes } from './lib/attack_run.mjs';
import { Attacker } from './lib/attackers.mjs';
import { waitedForCpu } from './lib/cpu.mjs';
import { demoConfig, eventually, makeDirectory, sanitized, startServer, within } from './lib/server.mjs';
import { binary, opcodes, pong } from './lib/websocket_client.mjs';

const crlf = '\r\n';
// The figures, in milliseconds: for a route, at the root, for a listener.
const ofRoute = 300;
const ofRoot = 600;
const ofListener = 1000;
const earlyMilliseconds = 10;
const lateMilliseconds = sanitized ? 5000 : 500;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// One client: how long the server let it live from where its wait began.
class Client {
  constructor(port, attack) {
    this.ended = new Promise((resolve) => { this.attacker = new Attacker(port, attack, resolve); });
  }
  get lived() {
    return this.attacker.ended - this.attacker.began;
  }
  destroy() {
    this.attacker.socket.destroy();
  }
}

// What a client does, by the deadline it is about; `path` is the route's.
const get = (path) => `GET ${path} HTTP/1.1${crlf}Host: a${crlf}${crlf}`;
const post = (path, fields) => `POST ${path} HTTP/1.1${crlf}Host: a${crlf}${fields}${crlf}${crlf}`;
const begins = (bytes, more = {}) => (path) => ({
  open(attacker) {
    attacker.begin();
    attacker.write(bytes(path));
  },
  ...more,
});
const kept = { every: 50, drip: (attacker) => attacker.write('x') };

const kinds = {
  handshake: {
    act: () => ({ open: (attacker) => attacker.begin(attacker.created) }),
    closed: 'closed_handshake_timeout',
  },
  header: {
    act: begins(() => `GET / HTTP/1.1${crlf}A: `, kept),
    closed: 'closed_header_timeout',
  },
  body: {
    act: begins((path) => post(path, 'Content-Length: 1000'), kept),
    paths: ['/echo', '/echo-own', '/echo-off'],
    closed: 'closed_body_timeout',
  },
  body_rate: {
    // A deadline of the limits: it lies where the grace ends, as long as next to nothing comes.
    limits: (milliseconds) => milliseconds === 0 ? { body_rate_bytes_min: 0 }
        : { body_rate_bytes_min: '1MiB', body_grace: `${milliseconds}ms` },
    act: begins((path) => post(path, 'Transfer-Encoding: chunked') + `fff${crlf}`, kept),
    paths: ['/echo', '/echo-own', '/echo-off'],
    closed: 'closed_body_rate',
  },
  message: {
    act: (path) => ({ websocket: true, path, ...begins(() => binary('', { length: 1000 }), kept)() }),
    paths: ['/ws', '/ws-own', '/ws-off'],
    closed: 'closed_message_timeout',
  },
  read: {
    act: begins(get),
    paths: ['/hello', '/hello-own', '/hello-off'],
    closed: 'closed_read_timeout',
  },
  'read of a WebSocket': {
    key: 'read',
    act: (path) => ({ websocket: true, path, open: (attacker) => attacker.begin(attacker.greeted) }),
    paths: ['/ws', '/ws-own', '/ws-off'],
    closed: 'closed_read_timeout',
  },
  write: {
    act: begins((path) => `${get(`${path}large.bin`)}GET / HTTP/1.1${crlf}A: `, { ...kept, reads: false }),
    paths: ['/files/', '/files-own/', '/files-off/'],
    closed: 'closed_write_timeout',
  },
  close: {
    // Two messages in one read: there is no room for the second echo, so the server begins the closing handshake, which
    // the client does not finish.
    act: (path) => ({
      websocket: true,
      path,
      ...begins(() => Buffer.concat([binary(Buffer.alloc(5000)), binary(Buffer.alloc(5000))]))(),
    }),
    paths: ['/ws', '/ws-own', '/ws-off'],
    closed: 'closed_close_timeout',
  },
  lifetime: {
    act: (path) => ({
      websocket: true,
      path,
      open: (attacker) => attacker.begin(attacker.created),
      every: 50,
      drip: (attacker) => attacker.write(binary('busy')),
    }),
    paths: ['/ws', '/ws-own', '/ws-off'],
    closed: 'closed_lifetime',
  },
  'lifetime of HTTP': {
    key: 'lifetime',
    act: (path) => ({
      open(attacker) {
        attacker.begin(attacker.created);
        attacker.write(get(path));
      },
      every: 50,
      drip: (attacker) => attacker.write(get(path)),
    }),
    paths: ['/hello', '/hello-own', '/hello-off'],
    closed: 'closed_lifetime',
  },
};

// The root's figure, a listener with its own, a listener without; routes that inherit, with their own, without.
async function startFor(name) {
  const kind = kinds[name];
  const key = kind.key ?? name;
  const bound = (milliseconds) => kind.limits ? { limits: kind.limits(milliseconds) }
      : { timeouts: { [key]: `${milliseconds}ms` } };
  const directory = makeDirectory();
  fs.writeFileSync(path.join(directory, 'large.bin'), '');
  fs.truncateSync(path.join(directory, 'large.bin'), fileBytes);
  const routes = [];
  const add = (route, suffix, own) => {
    const routePath = route.path.endsWith('/') ? `${route.path.slice(0, -1)}${suffix}/` : route.path + suffix;
    routes.push({ ...route, path: routePath, ...own });
  };
  for (const route of [
    { path: '/hello', type: 'text', body: 'Hello, World!' },
    { path: '/echo', type: 'echo' },
    { path: '/ws', type: 'websocket-echo' },
    { path: '/files/', type: 'static', directory },
  ]) {
    add(route, '', {});
    if (kind.paths === undefined) continue;
    add(route, '-own', bound(ofRoute));
    add(route, '-off', bound(0));
  }
  const root = bound(ofRoot);
  const server = await startServer({
    directory,
    config: {
      workers: 1,
      pin_workers: false,
      timeouts: { ...far, close: '60s', ...root.timeouts },
      limits: {
        body_rate_bytes_min: 0,
        message_bytes_max: 8192,
        send_queue_bytes_max: 8192,
        send_queue_bytes_high: 8192,
        send_queue_bytes_low: 4096,
        ...root.limits,
      },
      listeners: [
        { address: '127.0.0.1:0' },
        { address: '127.0.0.1:0', ...bound(ofListener) },
        { address: '127.0.0.1:0', ...bound(0) },
      ],
      routes,
    },
  });
  const ports = [...new Set([...server.output.matchAll(/http:\/\/127\.0\.0\.1:(\d+)/g)].map((match) => Number(match[1])))];
  assert.equal(ports.length, 3, server.output);
  return { server, ports };
}

const waitedSince = (server) => {
  const before = waitedForCpu(server.workers()[0], 'self');
  return () => waitedForCpu(server.workers()[0], 'self') - before;
};

function assertLived(client, figure, waited, what) {
  const { lived } = client;
  assert.ok(lived >= figure - earlyMilliseconds, `${what}: ended after ${lived.toFixed(1)} ms of ${figure}`);
  assert.ok(lived <= figure + lateMilliseconds + waited, `${what}: ended after ${lived.toFixed(1)} ms of ${figure}`);
}

// Resolves to the figures in words.
async function measure(name) {
  const { server, ports: [root, listener, off] } = await startFor(name);
  const { act, paths: [plain, own, never] = ['/hello'], closed } = kinds[name];
  const waited = waitedSince(server);
  const timed = [['the root', root, plain, ofRoot], ['a listener', listener, plain, ofListener]];
  const unbounded = [['a listener without', off, plain]];
  if (own !== undefined) {
    timed.push(['a route', root, own, ofRoute], ['a route of that listener', listener, own, ofRoute],
               ['a route of the listener without', off, own, ofRoute]);
    unbounded.push(['a route without', root, never], ['a route without, of that listener', listener, never]);
  }
  const ending = timed.map(([, port, path]) => new Client(port, act(path)));
  const staying = unbounded.map(([, port, path]) => new Client(port, act(path)));
  await within(Promise.all(ending.map((client) => client.ended)), 'ends of all that have a deadline');
  // For at least three times the longest figure that could be meant.
  await pause(3 * ofListener);
  for (const [i, client] of staying.entries()) {
    assert.equal(client.attacker.ended, null, `${unbounded[i][0]}: ended, ${client.attacker.how} ${client.attacker.head}`);
    assert.notEqual(client.attacker.began, null, unbounded[i][0]);
    client.destroy();
  }
  for (const [i, [what, , , figure]] of timed.entries()) assertLived(ending[i], figure, waited(), what);
  await eventually(async () => (await server.counters()).connections_open === 0, 'no connection left');
  const counters = await server.counters();
  const expiries = Object.entries(counters).filter(([key, value]) =>
      /^closed_.*(timeout|rate|lifetime)$/.test(key) && value > 0);
  assert.deepEqual(expiries, [[closed, timed.length]]);
  const late = timed.map(([what, , , figure], i) => `${what} ${figure} +${(ending[i].lived - figure).toFixed(1)}`);
  const figures = `${late.join(', ')} ms; ${waited().toFixed(0)} ms without a CPU`;
  await server.stop();
  return figures;
}

// They wait nearly all the time.
const turns = new AtOnce(4);
for (const name of Object.keys(kinds)) {
  const figures = turns.run(() => measure(name));
  test(`${name}: at the root, for a listener, for a route, and off`, async (t) => t.diagnostic(await figures));
}

function startPlain(timeouts) {
  return startServer({
    config: demoConfig((config) => {
      config.workers = 1;
      config.pin_workers = false;
      config.timeouts = { ...far, ...timeouts };
    }),
  });
}

test('a request restarts the idle time', async () => {
  const server = await startPlain({ read: `${ofRoot}ms` });
  const waited = waitedSince(server);
  let requests = 0;
  const began = [];
  const client = new Client(server.port, {
    open(attacker) {
      attacker.begin();
      attacker.write(get('/hello'));
    },
    every: ofRoot / 2,
    drip(attacker) {
      if (++requests > 5) return;
      attacker.began = Number(process.hrtime.bigint()) / 1e6;
      began.push(attacker.began);
      attacker.write(get('/hello'));
    },
  });
  await within(client.ended, 'end of the idle connection');
  assert.equal(requests >= 5, true, `ended after ${requests} requests`);
  assertLived(client, ofRoot, waited(), 'idle behind the last request');
  await server.assertCounted({ closed_read_timeout: 1 });
  await server.stop();
});

test('a WebSocket is pinged before its read timeout; who answers stays, who does not is told 1001', async (t) => {
  const server = await startPlain({ read: `${ofListener}ms` });
  const waited = waitedSince(server);
  const isPing = (bytes) => bytes[0] === (0x80 | opcodes.ping) && bytes[1] === 0;
  const pings = { answered: 0, silent: [] };
  const alive = new Client(server.port, {
    websocket: true,
    open: (attacker) => attacker.begin(attacker.greeted),
    received(attacker, bytes) {
      if (!isPing(bytes)) return;
      ++pings.answered;
      attacker.write(pong(''));
    },
  });
  const dead = new Client(server.port, {
    websocket: true,
    open: (attacker) => attacker.begin(attacker.greeted),
    received(attacker, bytes) {
      if (isPing(bytes)) pings.silent.push(Number(process.hrtime.bigint()) / 1e6 - attacker.began);
    },
  });
  await within(dead.ended, 'end of the dead WebSocket');
  assertLived(dead, ofListener, waited(), 'a peer that answers no ping');
  assert.equal(pings.silent.length, 1);
  t.diagnostic(`pinged after ${pings.silent[0].toFixed(0)} ms, ended after ${dead.lived.toFixed(0)} ms of ${ofListener}`);
  assert.ok(pings.silent[0] >= ofListener / 2 - earlyMilliseconds && pings.silent[0] < dead.lived, `pinged after ${pings.silent[0]} ms`);
  assert.deepEqual([...dead.attacker.tail.subarray(-4)], [0x88, 2, 1001 >> 8, 1001 & 0xff]);

  await pause(3 * ofListener);
  assert.equal(alive.attacker.ended, null, 'the peer that answers was ended');
  assert.ok(pings.answered >= 4, `${pings.answered} pings`);
  await server.assertCounted({ closed_read_timeout: 1 });
  alive.destroy();
  await server.stop();
});
