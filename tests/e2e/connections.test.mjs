// `connections` and `kill`: what an operator sees and does.

import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { startProgram } from './lib/program.mjs';
import { eventually, sanitized, startServer, within } from './lib/server.mjs';
import { openWebSocket, text } from './lib/websocket_client.mjs';

async function list(server, ...options) {
  const { code, stdout, stderr } = await server.command('connections', '--json', ...options);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

function connect(server, request = '') {
  return new Promise((resolve, reject) => {
    const socket = net.connect(server.port, '127.0.0.1', () => {
      if (request) socket.write(request);
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

// Everything until the end, which is an end or a reset.
function readToEnd(socket) {
  return within(new Promise((resolve) => {
    let received = '';
    socket.setEncoding('latin1').on('data', (piece) => { received += piece; });
    socket.on('error', () => {});
    socket.once('close', () => resolve(received));
  }), 'end of the connection');
}

test('lists an idle request connection, an upgraded one and one that drips its head', async () => {
  const server = await startServer();
  const idle = await connect(server, 'GET /hello HTTP/1.1\r\nHost: x\r\n\r\n');
  const dripping = await connect(server, 'GET /hel');
  const { peer } = await openWebSocket(server.port, { path: '/ws' });
  peer.send(text('hello'));
  const all = await eventually(async () => {
    const { connections } = await list(server);
    return connections.length === 3 && connections.every(({ bytes_received: bytes }) => bytes > 0) && connections;
  }, 'three connections in the list');
  const of = (socket) => all.find(({ peer: address }) => address === `127.0.0.1:${socket.localPort}`);
  assert.equal(of(idle).protocol, 'http');
  assert.equal(of(idle).messages, 1);
  assert.equal(of(idle).deadline.reason, 'read_timeout');
  assert.ok(of(idle).deadline.in_seconds > 60 && of(idle).deadline.in_seconds <= 75);
  assert.equal(of(dripping).deadline.reason, 'header_timeout');
  assert.equal(of(dripping).bytes_received, 8);
  const upgraded = all.find(({ protocol }) => protocol === 'websocket');
  assert.ok(upgraded, JSON.stringify(all));
  assert.equal(upgraded.state, 'open');

  assert.deepEqual((await list(server, '--protocol', 'websocket')).connections.map(({ id }) => id), [upgraded.id]);
  assert.equal((await list(server, '--peer', '10.0.0.0/8')).connections.length, 0);
  assert.equal((await list(server, '--sort', 'in', '--top', '1')).connections.length, 1);
  const table = await server.command('connections');
  assert.match(table.stdout, new RegExp(`^${upgraded.id} +\\d+ +websocket`, 'm'));
  assert.match(table.stdout, /3 of 3 connections/);

  idle.destroy();
  dripping.destroy();
  peer.destroy();
  await server.stop();
});

test('kill closes a WebSocket with 1008 and aborts a request connection', async () => {
  const server = await startServer();
  const idle = await connect(server, 'GET /hello HTTP/1.1\r\nHost: x\r\n\r\n');
  const socket = await connect(server, 'GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n' +
      'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
  const ends = [readToEnd(idle), readToEnd(socket)];
  const ids = await eventually(async () => {
    const { connections } = await list(server);
    return connections.length === 2 && connections.some(({ protocol }) => protocol === 'websocket') &&
        connections.map(({ id }) => id);
  }, 'two connections');
  const killed = await server.command('kill', ...ids);
  assert.equal(killed.code, 0, killed.stderr);
  assert.equal(killed.stdout, ids.map((id) => `killed ${id}\n`).join(''));
  const [, frames] = await Promise.all(ends);
  assert.ok(frames.endsWith('\x88\x02\x03\xf0'), JSON.stringify(frames.slice(-20)));
  await eventually(async () => (await server.counters()).closed_killed === 2, 'both counted');
  const again = await server.command('kill', ids[0]);
  assert.equal(again.code, 1);
  assert.equal(again.stderr, `error: there is no connection ${ids[0]}\n`);
  await server.stop();
});

test('a worker that is busy is named, the others are listed, two clients are served at once', async () => {
  const server = await startProgram(process.env.STALLING_SERVER, { STALLING_HANDLER_TIMEOUT_MS: '0' });
  const sockets = [];
  for (let i = 0; i < 20; ++i) {
    sockets.push(await connect(server, 'GET /worker HTTP/1.1\r\nHost: x\r\n\r\n'));
  }
  const before = await eventually(async () => {
    const listing = await list(server);
    return listing.connections.length === 20 && listing;
  }, 'twenty connections');
  assert.deepEqual(before.workers.map(({ state }) => state), ['listed', 'listed']);
  const busy = before.connections[0];
  sockets.find((socket) => `127.0.0.1:${socket.localPort}` === busy.peer)
      .write('GET /spin?ms=10000 HTTP/1.1\r\nHost: x\r\n\r\n');
  const during = await eventually(async () => {
    const [one, two] = await Promise.all([list(server), list(server)]);
    assert.deepEqual(one.workers, two.workers);
    return one.workers[busy.worker].state === 'busy' && one;
  }, 'a busy worker');
  assert.equal(during.connections.length, before.workers[1 - busy.worker].connections);
  const { stderr } = await server.command('kill', busy.id);
  assert.match(stderr, /is busy: no answer/);
  // It is killed when its worker goes on.
  await eventually(async () => (await list(server)).connections.length === 19, 'the kill');
  for (const socket of sockets) socket.destroy();
  await server.stop();
});

test('many connections are listed without holding the loop', { skip: sanitized }, async () => {
  const count = 5000;
  const server = await startProgram(process.env.STALLING_SERVER, { STALLING_HANDLER_TIMEOUT_MS: '200' });
  const sockets = [];
  while (sockets.length < count) {
    sockets.push(...await Promise.all(Array.from({ length: 100 }, () => connect(server))));
  }
  const listing = await list(server);
  assert.equal(listing.total, count);
  assert.equal(new Set(listing.connections.map(({ id }) => id)).size, count);
  assert.equal((await server.status()).totals.counters.handler_stalls, 0, server.output);
  for (const socket of sockets) socket.destroy();
  await server.stop();
});

test('a handler sets the read timeout of its own connection, and of no other', async () => {
  const server = await startProgram(process.env.STALLING_SERVER);
  const impatient = await connect(server, 'GET /read?ms=300 HTTP/1.1\r\nHost: x\r\n\r\n');
  const patient = await connect(server, 'GET /worker HTTP/1.1\r\nHost: x\r\n\r\n');
  const begin = Date.now();
  assert.match(await readToEnd(impatient), /set\n$/);
  assert.ok(Date.now() - begin >= 250, `closed after ${Date.now() - begin} ms`);
  const [{ peer, deadline }] = (await list(server)).connections;
  assert.equal(peer, `127.0.0.1:${patient.localPort}`);
  assert.ok(deadline.in_seconds > 60);
  patient.destroy();

  const { peer: socket } = await openWebSocket(server.port, { path: '/echo' });
  socket.send(text('read 400'));
  // It is asked for a sign of life at half of it, gives none, and is told 1001.
  const events = await socket.waitForEnd();
  assert.deepEqual(events.map(([kind, value]) => (kind === 'close' ? value : kind)), ['text', 'ping', 1001, 'end']);
  await server.assertCounted({ closed_read_timeout: 2 });
  await server.stop();
});
