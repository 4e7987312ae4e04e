// The example programs: each is a server and its own control tool. Their addresses are part of the example, so a test is
// left out when somebody else on this machine listens there.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { binary, environment, makeDirectory, patience, within } from './lib/server.mjs';
import { close, openWebSocket, text } from './lib/websocket_client.mjs';

const examples = path.resolve(path.dirname(binary), '../examples');

function isFree(port) {
  return new Promise((resolve) => {
    const probe = net.createServer().once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

// Starts `name` as a daemon, runs `body`, stops it; every command must succeed.
async function withDaemon(t, name, port, body) {
  if (!(await isFree(port))) return t.skip(`port ${port} is taken on this machine`);
  const directory = makeDirectory();
  const run = (...args) => promisify(execFile)(path.join(examples, name), args,
      { env: environment(directory), cwd: directory, timeout: patience });
  await run('start', '-d');
  try {
    assert.match((await run('status')).stdout, new RegExp(String(port)));
    await body();
  } finally {
    await run('stop');
  }
  await assert.rejects(run('status'));
}

test('game: a WebSocket with a context for each player', (t) => withDaemon(t, 'game', 8081, async () => {
  const headers = { Origin: 'http://127.0.0.1:8081' };
  const { peer } = await openWebSocket(8081, { path: '/play', headers });
  peer.send(text('hello'), close(1000));
  assert.deepEqual((await peer.waitForEnd())[0], ['text', 'anon: hello']);
  const stranger = await openWebSocket(8081, { path: '/play', headers: { Origin: 'http://evil.example' } });
  assert.equal(stranger.status, 403);
}));
test('line_server: lines in pieces are answered with their number', (t) => withDaemon(t, 'line_server', 7000, async () => {
  const socket = net.connect({ port: 7000, host: '127.0.0.1', noDelay: true });
  let received = '';
  const answered = new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('data', (bytes) => {
      received += bytes;
      if (received.split('\n').length > 3) resolve();
    });
  });
  for (const piece of ['on', 'e\ntwo', '\r', '\nthree\n']) {
    socket.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await within(answered, 'three lines');
  socket.destroy();
  assert.equal(received, '1 one\n2 two\n3 three\n');
}));
