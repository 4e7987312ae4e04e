// The door as clients see it, with two workers: every limit holds over both, every refusal is counted, and a worker
// that is killed takes its connections out of the counts.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import net from 'node:net';
import { test } from 'node:test';
import { parseResponse } from './lib/http_client.mjs';
import { demoConfig, eventually, patience, startServer, within } from './lib/server.mjs';

const request = 'GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n';

function startDoor(limits, listener = {}) {
  return startServer({
    config: demoConfig((config) => {
      config.workers = 2;
      config.limits = { ...config.limits, ...limits };
      Object.assign(config.listeners[0], listener);
    }),
  });
}

// A client that sends one request at once and keeps its connection open.
class Client {
  constructor(server, from) {
    this.bytes = Buffer.alloc(0);
    this.ended = false;
    this.socket = net.connect({ port: server.port, host: server.host.replace(/[[\]]/g, ''), localAddress: from });
    this.settled = new Promise((resolve) => {
      this.socket.on('connect', () => this.socket.write(request));
      this.socket.on('data', (bytes) => {
        this.bytes = Buffer.concat([this.bytes, bytes]);
        if (this.response) resolve(this.response.status);
      });
      this.socket.on('error', (error) => resolve(error.code));
      this.socket.on('close', () => {
        this.ended = true;
        resolve('closed');
      });
    });
  }

  get response() {
    return parseResponse(this.bytes)?.response ?? null;
  }

  get status() {
    return this.response?.status ?? null;
  }

  close() {
    this.socket.destroy();
  }
}

const open = (server, count, from) => Array.from({ length: count }, () => new Client(server, from));
const closeAll = (clients) => clients.forEach((client) => client.close());
const count = (clients, status) => clients.filter((client) => client.status === status).length;
// How many got which status; whoever got none, under what happened instead.
async function expectOutcomes(clients, expected, message) {
  const outcomes = {};
  for (const outcome of await within(Promise.all(clients.map((client) => client.settled)), 'answer to every client')) {
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
  assert.deepEqual(outcomes, expected, message);
}
const opened = async (server) => (await server.counters()).connections_open;

// All counters of refusals; each test says which of them it raised.
async function refusals(server) {
  const counters = Object.entries(await server.counters());
  return Object.fromEntries(counters.filter(([name, value]) => name.startsWith('refused_') && value > 0));
}

async function expectRefusals(server, expected) {
  assert.deepEqual(await refusals(server), expected);
}

// One after the other: 200 or 503.
async function askAll(server, number, from) {
  const clients = [];
  for (let i = 0; i < number; ++i) {
    clients.push(new Client(server, from));
    await within(clients.at(-1).settled, 'answer');
  }
  return clients;
}

test('at connections_max of the server the rest wait and are served one by one as others leave', async () => {
  const server = await startDoor({ connections_max: 8 });
  const clients = open(server, 13);
  await eventually(() => count(clients, 200) === 8, 'eight are served');
  // Every connection is accepted or queued by now; a ninth answer within this time would be one too many.
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(count(clients, 200), 8);
  assert.equal(await opened(server), 8);
  for (let served = 9; served <= 13; ++served) {
    clients.find((client) => client.status === 200 && !client.ended && !client.socket.destroyed).close();
    await eventually(() => count(clients, 200) === served, `${served} have been served`);
    assert.ok(await opened(server) <= 8);
  }
  await expectRefusals(server, {});
  closeAll(clients);
  await server.stop();
});

test('with at_limit "refuse" the rest get a 503, and room that is made is used', async () => {
  const server = await startDoor({ connections_max: 8, at_limit: 'refuse' });
  const clients = open(server, 13);
  await expectOutcomes(clients, { 200: 8, 503: 5 });
  for (const { response } of clients.filter((client) => client.status === 503)) {
    assert.equal(response.headers['retry-after'], '1');
    assert.equal(response.headers.connection, 'close');
  }
  await expectRefusals(server, { refused_server_max: 5 });
  clients.find((client) => client.status === 200).close();
  await eventually(async () => await opened(server) === 7, 'one has left');
  const more = await askAll(server, 2);
  assert.deepEqual(more.map((client) => client.status), [200, 503]);
  closeAll([...clients, ...more]);
  await server.stop();
});

test('connections_max of a listener counts both workers', async () => {
  const server = await startDoor({}, { limits: { connections_max: 5, at_limit: 'refuse' } });
  const clients = open(server, 9);
  await expectOutcomes(clients, { 200: 5, 503: 4 });
  await expectRefusals(server, { refused_listener_max: 4 });
  closeAll(clients);
  await server.stop();
});

test('worker_connections_max refuses where at_limit says so', async () => {
  const server = await startDoor({ worker_connections_max: 3, at_limit: 'refuse' });
  const clients = open(server, 30);
  await expectOutcomes(clients, { 200: 6, 503: 24 });
  await expectRefusals(server, { refused_worker_max: 24 });
  closeAll(clients);
  await server.stop();
});

test('curl reads the whole 503, also with a body under way', async () => {
  const server = await startDoor({ connections_max: 1, at_limit: 'refuse' });
  const [holder] = await askAll(server, 1);
  assert.equal(holder.status, 200);
  const curl = (...args) => new Promise((resolve) => {
    const all = ['-sS', '-i', '--max-time', String(patience / 1000), ...args, `${server.url}/hello`];
    execFile('curl', all, (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }));
  });
  for (const args of [[], ['--data-binary', 'x'.repeat(30_000)], ['-H', 'Expect: 100-continue', '-d', 'x']]) {
    const { code, stdout, stderr } = await curl(...args);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^HTTP\/1\.1 503 Service Unavailable\r\n/);
    assert.match(stdout, /\r\n\r\nToo many connections, go slow\.\n$/);
  }
  await expectRefusals(server, { refused_server_max: 3 });
  holder.close();
  await server.stop();
});

test('connections_max of an address counts both workers and each address alone', async () => {
  const server = await startDoor({ address: { connections_max: 3 } });
  const two = open(server, 6, '127.0.0.2');
  const three = open(server, 3, '127.0.0.3');
  await expectOutcomes(two, { 200: 3, 503: 3 });
  await expectOutcomes(three, { 200: 3 });
  await expectRefusals(server, { refused_address_max: 3 });
  two.find((client) => client.status === 200).close();
  await eventually(async () => await opened(server) === 5, 'one has left');
  const more = await askAll(server, 2, '127.0.0.2');
  assert.deepEqual(more.map((client) => client.status), [200, 503]);
  closeAll([...two, ...three, ...more]);
  await server.stop();
});

test('an IPv6 address counts with its network', async () => {
  const server = await startDoor({ address: { connections_max: 2 } }, { address: '[::1]:0' });
  const clients = open(server, 4);
  await expectOutcomes(clients, { 200: 2, 503: 2 });
  await expectRefusals(server, { refused_address_max: 2 });
  closeAll(clients);
  await server.stop();
});

test('exempt addresses are neither counted nor refused', async () => {
  const server = await startDoor({ address: { connections_max: 1, accept_rate: '1/h', exempt: ['127.0.0.2'] } });
  const exempt = open(server, 10, '127.0.0.2');
  await expectOutcomes(exempt, { 200: 10 });
  const others = await askAll(server, 2, '127.0.0.3');
  assert.deepEqual(others.map((client) => client.status), [200, 503]);
  await expectRefusals(server, { refused_address_max: 1 });
  closeAll([...exempt, ...others]);
  await server.stop();
});

test('deny and allow decide before anything is said', async () => {
  const server = await startDoor({}, { allow: ['127.0.0.0/30'], deny: ['127.0.0.2/32'] });
  const [allowed, denied, foreign] = [new Client(server, '127.0.0.1'), new Client(server, '127.0.0.2'),
    new Client(server, '127.0.0.9')];
  assert.equal(await allowed.settled, 200);
  for (const client of [denied, foreign]) {
    assert.match(String(await within(client.settled, 'close')), /^(closed|ECONNRESET|EPIPE)$/);
    assert.equal(client.bytes.length, 0);
  }
  await expectRefusals(server, { refused_denied: 2 });
  closeAll([allowed]);
  await server.stop();
});

test('accept rates of server, listener and address, each with its counter', async () => {
  // An hour: nothing is allowed again while the test runs.
  for (const [limits, listener, counter] of [
    [{ accept_rate: '1/h burst 6' }, {}, 'refused_server_rate'],
    [{}, { limits: { accept_rate: '1/h burst 6' } }, 'refused_listener_rate'],
    [{ address: { accept_rate: '1/h burst 6' } }, {}, 'refused_address_rate'],
  ]) {
    const server = await startDoor(limits, listener);
    const clients = open(server, 10);
    await expectOutcomes(clients, { 200: 6, 503: 4 }, counter);
    await expectRefusals(server, { [counter]: 4 });
    closeAll(clients);
    await server.stop();
  }
});

test('a worker that is killed takes its connections out of every count', async () => {
  const server = await startDoor({ connections_max: 6, at_limit: 'refuse', address: { connections_max: 6 } },
                                 { limits: { connections_max: 6 } });
  for (let round = 0; round < 3; ++round) {
    const clients = open(server, 6);
    await expectOutcomes(clients, { 200: 6 }, `round ${round}`);
    const victim = server.workers()[round % 2];
    process.kill(victim, 'SIGKILL');
    await eventually(async () => {
      const { workers } = await server.status();
      return workers.length === 2 && workers.every((worker) => worker.state === 'ready' && worker.pid !== victim);
    }, 'a new worker');
    // Whom the other worker holds is still counted.
    const left = clients.filter((client) => !client.ended).length;
    assert.equal(await opened(server), left);
    const more = await askAll(server, 8);
    const outcomes = left === 6 ? { 503: 8 } : { 200: 6 - left, 503: 2 + left };
    await expectOutcomes(more, outcomes, `round ${round}, ${left} were left`);
    closeAll([...clients, ...more]);
    await eventually(async () => await opened(server) === 0, 'all have left');
  }
  await server.stop();
});

test('refusals are logged at a bounded rate and with their reason', async () => {
  const server = await startDoor({ address: { connections_max: 1 } });
  const clients = open(server, 200, '127.0.0.2');
  await expectOutcomes(clients, { 200: 1, 503: 199 });
  await expectRefusals(server, { refused_address_max: 199 });
  closeAll(clients);
  await eventually(async () => await opened(server) === 0, 'all have left');
  const lines = server.output.match(/connection of 127\.0\.0\.2:\d+ refused: connections_max of its address/g) ?? [];
  assert.ok(lines.length > 0, server.output);
  // Ten a second and worker; the clients above took a few seconds at most.
  assert.ok(lines.length < 150, `${lines.length} lines`);
  await server.stop();
});
