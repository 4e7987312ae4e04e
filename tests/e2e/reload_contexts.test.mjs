// What an application has of its own for a connection, through reloads from release to release: the file of the
// program is replaced while it runs.

import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { alive, deploy, pause, settled } from './lib/deploy.mjs';
import { Conversation } from './lib/http_client.mjs';
import { change, parseAnswer, releases, replaceProgram, startMovingServer } from './lib/moving_server.mjs';
import { eventually, patience, sanitized, within } from './lib/server.mjs';
import { frame, opcodes, openWebSocket, text } from './lib/websocket_client.mjs';

// One that is asked and answers, over WebSocket or as lines.
class Asked {
  static async websocket(port, path) {
    const asked = new Asked();
    ({ peer: asked.peer } = await openWebSocket(port, { path }));
    return asked;
  }

  static async lines(port) {
    const asked = new Asked();
    asked.socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    asked.lines = '';
    asked.socket.setEncoding('utf8').on('data', (piece) => { asked.lines += piece; });
    asked.socket.on('close', () => { asked.ended = true; });
    await new Promise((resolve, reject) => asked.socket.once('connect', resolve).once('error', reject));
    return asked;
  }

  async ask(message) {
    if (this.socket) {
      this.socket.write(`${message}\n`);
      const end = await eventually(() => {
        assert.ok(!this.ended, 'the server ended the connection');
        return this.lines.indexOf('\n') + 1;
      }, 'a line');
      const line = this.lines.slice(0, end);
      this.lines = this.lines.slice(end);
      return parseAnswer(line);
    }
    const { length } = this.peer.events;
    this.peer.send(text(message));
    const events = await this.peer.waitFor(length + 1);
    assert.equal(events[length][0], 'text', JSON.stringify(events[length]));
    return parseAnswer(events[length][1]);
  }

  destroy() {
    (this.socket ?? this.peer).destroy();
  }
}

async function assertAnswer(asked, message, expected, workers) {
  const { pid, ...answer } = await asked.ask(message);
  assert.deepEqual(answer, expected);
  assert.ok(workers.includes(Number(pid)), `${pid} is none of ${workers}`);
}

for (const [kind, open] of [
  ['a WebSocket', (server) => Asked.websocket(server.port, '/kept')],
  ['lines', (server) => Asked.lines(server.linePort)],
]) {
  test(`the context of ${kind} goes from release 1 to 2 and back, counted once each`, async () => {
    const server = await startMovingServer();
    const first = await open(server);
    const second = await open(server);
    await assertAnswer(first, 'name Ada', { release: '1', name: 'Ada', count: '1', note: 'new', given: '0', taken: '0' }, server.workers());
    await assertAnswer(second, 'x', { release: '1', name: 'nobody', count: '1', note: 'new', given: '0', taken: '0' }, server.workers());

    replaceProgram(server, releases[2]);
    await deploy(server);
    await settled(server, 2);
    assert.equal((await server.status()).version, '2.0');
    await assertAnswer(first, 'x', { release: '2', name: 'Ada', count: '2', note: 'from 1', given: '1', taken: '1' }, server.workers());
    await assertAnswer(first, 'name Grace', { release: '2', name: 'Grace', count: '3', note: 'from 2', given: '1', taken: '1' }, server.workers());

    // The same release again: what is new in it stays.
    await deploy(server);
    await settled(server, 2);
    await assertAnswer(first, 'x', { release: '2', name: 'Grace', count: '4', note: 'from 2', given: '2', taken: '2' }, server.workers());

    // Back: release 1 leaves out what it does not know.
    replaceProgram(server, releases[1]);
    await deploy(server);
    await settled(server, 2);
    assert.equal((await server.status()).version, '1.0');
    await assertAnswer(first, 'x', { release: '1', name: 'Grace', count: '5', note: 'from 1', given: '3', taken: '3' }, server.workers());
    await assertAnswer(second, 'x', { release: '1', name: 'nobody', count: '2', note: 'from 1', given: '3', taken: '3' }, server.workers());
    first.destroy();
    second.destroy();
    await server.stop();
  });
}

test('a master that upgrades to release 2 keeps contexts, and is release 2 then', async () => {
  const server = await startMovingServer();
  const asked = await Asked.websocket(server.port, '/kept');
  await asked.ask('name Ada');
  replaceProgram(server, releases[2]);
  await deploy(server, 'upgrade');
  await settled(server, 2);
  const { pid, version, reload } = await server.status();
  assert.deepEqual([pid, version, reload.upgrades], [server.pid, '2.0', 1]);
  await assertAnswer(asked, 'x', { release: '2', name: 'Ada', count: '2', note: 'from 1', given: '1', taken: '1' }, server.workers());
  asked.destroy();
  await server.stop();
});

test('contexts that cannot be saved stay, are served, and get 1001 spread at the end of drain_timeout', { skip: sanitized }, async (t) => {
  const drain = 1500;
  const spread = 1500;
  const server = await startMovingServer({ drain_timeout_ms: drain, drain_spread_ms: spread });
  const old = server.workers();
  const staying = await Promise.all(Array.from({ length: 60 }, () => Asked.websocket(server.port, '/stays')));
  const moving = await Asked.websocket(server.port, '/kept');
  for (const [i, asked] of staying.entries()) await asked.ask(`name ${i}`);
  replaceProgram(server, releases[2]);
  await deploy(server);
  const began = performance.now();
  const ends = staying.map(async ({ peer }) => {
    await peer.waitFor(3, 2 * patience);  // two answers, the close frame
    const time = performance.now() - began;
    peer.send(frame(opcodes.close, Buffer.from([0x03, 0xe9])));
    return time;
  });
  await assertAnswer(moving, 'x', { release: '2', name: 'nobody', count: '1', note: 'from 1', given: '1', taken: '1' }, server.workers().filter((pid) => !old.includes(pid)));
  // A third generation: two of them drain side by side.
  await deploy(server);
  for (const [i, asked] of staying.entries()) {
    await assertAnswer(asked, 'x', { release: '1', name: `${i}`, count: '2', note: 'stays', given: '0', taken: '0' }, old);
  }
  assert.ok(old.every(alive));
  assert.ok(performance.now() - began < drain, 'this machine is too slow for the times of this test');
  const times = (await within(Promise.all(ends), 'ends of all that stayed')).sort((a, b) => a - b);
  for (const { peer } of staying) {
    const [, , close, end] = await peer.waitForEnd();
    assert.deepEqual([close, end], [['close', 1001, close[2]], ['end']]);
  }
  t.diagnostic(`closed from ${times[0].toFixed(0)} to ${times.at(-1).toFixed(0)} ms after the reload`);
  assert.ok(times[0] > drain - 100, `the first went after ${times[0]} ms`);
  assert.ok(times.at(-1) < drain + spread + 1000, `the last went after ${times.at(-1)} ms`);
  // Not one wave: each quarter of the time has its part of them.
  for (let quarter = 0; quarter < 4; ++quarter) {
    const from = drain + quarter * spread / 4;
    const count = times.filter((time) => time >= from - (quarter === 0 ? 100 : 0) && time < from + spread / 4).length;
    assert.ok(count >= 5 && count <= 30, `${count} of 60 in quarter ${quarter}: ${times.map(Math.round)}`);
  }
  await settled(server, 2);
  await assertAnswer(moving, 'x', { release: '2', name: 'nobody', count: '2', note: 'from 1', given: '2', taken: '2' }, server.workers());
  moving.destroy();
  await server.stop();
});

test('an answer that comes later comes from the old worker, and the connection goes on in the new one', async () => {
  const server = await startMovingServer();
  const old = server.workers();
  const conversations = Array.from({ length: 10 }, () => new Conversation(server.port));
  const late = conversations.map((conversation) => conversation.get('/later?ms=1500'));
  // Two requests, of which the first one waits.
  const pipelined = new Conversation(server.port);
  const both = pipelined.get('/later?ms=1500');
  pipelined.write('GET /who HTTP/1.1\r\nHost: a\r\n\r\n');
  await eventually(async () => (await server.counters()).messages >= 11, 'requests at their handlers');
  replaceProgram(server, releases[2]);
  await deploy(server);
  for (const answer of await Promise.all([...late, both])) {
    assert.equal(answer.status, 200);
    const { release, pid } = parseAnswer(`${answer.body}`);
    assert.equal(release, '1');
    assert.ok(old.includes(Number(pid)));
    assert.equal(answer.headers.connection, undefined, 'it is not told to go: it can move');
  }
  assert.equal((await pipelined.ask('')).status, 200);
  await settled(server, 2);
  for (const conversation of [...conversations, pipelined]) {
    const answer = await conversation.get('/who');
    const { release, pid } = parseAnswer(`${answer.body}`);
    assert.equal(release, '2');
    assert.ok(server.workers().includes(Number(pid)));
    assert.equal(answer.headers['x-generation'], '2');
    conversation.end();
  }
  await server.stop();
});

test('a connection that is killed while its batch is under way ends, and its worker lives', { skip: sanitized }, async () => {
  const server = await startMovingServer({ workers: 1 });
  const killed = await Asked.websocket(server.port, '/kept');
  const kept = await Asked.websocket(server.port, '/kept');
  await killed.ask('name Ada');
  await kept.ask('name Grace');
  const { stdout } = await server.command('connections', '--json');
  const { id } = JSON.parse(stdout).connections.find(({ peer }) => peer === `127.0.0.1:${killed.peer.socket.localPort}`);
  const [old] = server.workers();
  change(server, { fault: 'load_pauses', fault_at: 2, fault_ms: 1500, loads: `${server.directory}/loads` });
  const deployed = deploy(server);
  await eventually(() => server.output.includes('a handler has held the loop'), 'the hand-off that pauses');
  const { code, stderr } = await server.command('kill', id);
  assert.equal(code, 0, stderr);
  await deployed;
  await within(killed.peer.waitForEnd(), 'end of the one that was killed');
  await assertAnswer(kept, 'x', { release: '1', name: 'Grace', count: '2', note: 'from 1', given: '1', taken: '1' }, server.workers().filter((pid) => pid !== old));
  await settled(server, 1);
  const { totals } = await server.status();
  assert.equal(totals.restarts, 0);
  assert.equal(totals.gauges.connections_open, 1);
  kept.destroy();
  await server.stop();
});
