// Runs one attack against a stock server of its own and judges it: every attacker gone in time, health checks answered
// throughout, memory within what the configured limits allow, the right goodbye, the right counter.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { startAttackers } from './attackers.mjs';
import { HealthChecks } from './health.mjs';
import { waitedForCpu } from './cpu.mjs';
import { eventually, makeDirectory, sanitized, startServer, within } from './server.mjs';

export const attackerCount = 1000;
// Beyond its deadline an attacker may live this much longer, reset or goodbye, and this process's own lateness included.
const graceMilliseconds = sanitized ? 5000 : 1000;
// A turn of the worker reads the clock before it looks what has come.
const earlyMilliseconds = 10;

// What the suites configure: small limits, so that a server that ignored one would stand out, and no deadline but the
// one that an attack is about.
export const limits = {
  header_bytes_max: 4096,
  body_bytes_max: 65536,
  message_bytes_max: 65536,
  body_rate_bytes_min: 0,
  send_queue_bytes_max: 262144,
  send_queue_bytes_high: 65536,
  send_queue_bytes_low: 16384,
};
export const far = Object.fromEntries(
    ['handshake', 'header', 'body', 'message', 'read', 'write', 'lifetime'].map((key) => [key, '60s']));

// What the worker may hold beside what an attack makes it keep, in bytes.
const receiveBuffers = 128 * 16448;     // ring.receive_buffer_count and _bytes: touched when they are first used
const allocatorSlack = 2 << 20;         // what malloc keeps between its blocks
const perConnection = 512;              // slot, session, table; memory.test.mjs measures about 300
export const outputQueue = 17 * 1024;   // while an answer or a goodbye is on its way: SendQueue::kInlineBytes
export const filePiece = 128 * 1024;    // SendQueue::kFilePieceBytes

export const fileBytes = 8 << 20;

// The server under attack: one worker, not pinned, so that nothing but the attack keeps it from its work.
export async function startTarget({ timeouts = {}, limits: more = {} }) {
  const directory = makeDirectory();
  const files = path.join(directory, 'files');
  fs.mkdirSync(files);
  fs.writeFileSync(path.join(files, 'large.bin'), '');
  fs.truncateSync(path.join(files, 'large.bin'), fileBytes);
  return startServer({
    directory,
    config: {
      workers: 1,
      pin_workers: false,
      listeners: [{ address: '127.0.0.1:0' }],
      timeouts: { ...far, close: '1s', ...timeouts },
      limits: { ...limits, ...more },
      routes: [
        { path: '/hello', type: 'text', body: 'Hello, World!' },
        { path: '/echo', type: 'echo' },
        { path: '/ws', type: 'websocket-echo' },
        { path: '/files/', type: 'static', directory: files },
      ],
    },
  });
}

function memoryWatch(server) {
  const before = server.workerMemory();
  let peak = before;
  const look = () => { peak = Math.max(peak, server.workerMemory()); };
  const timer = setInterval(look, 50);
  return () => {
    clearInterval(timer);
    look();
    return peak - before;
  };
}

// Where the wait begins with the last progress of the output, an attacker cannot see it; the server's count of bytes
// sent shows when the last one stopped. Health checks send next to nothing.
function progressWatch(server) {
  const look = { sent: -1, at: 0, ended: false };
  const done = (async () => {
    while (!look.ended) {
      const asked = Number(process.hrtime.bigint()) / 1e6;
      const { bytes_sent: sent } = await server.counters();
      if (sent - look.sent > 65536) Object.assign(look, { sent, at: asked });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  return async () => {
    look.ended = true;
    await done;
    return look.at;
  };
}

const mebibytes = (bytes) => `${(bytes / (1 << 20)).toFixed(1)} MiB`;

// `spec`: name, timeouts, limits, deadline (ms), attack (see attackers.mjs), closed (the counter), goodbye(attacker) ->
// true when it was the right one, held: bytes one connection may make the worker keep, fromProgress: the deadline counts
// from the last progress of the output, and so do the figures; orClosed: counters that may have some of the attackers,
// where other limits may be first.
export async function runAttack(t, spec) {
  const server = await startTarget(spec);
  const health = await HealthChecks.start(server);
  const memory = memoryWatch(server);
  const before = (await server.counters())[spec.closed];
  const waitedBefore = waitedForCpu(server.workers()[0], 'self');

  const attackers = await startAttackers(server.port, spec.attack, attackerCount);
  const progress = spec.fromProgress ? progressWatch(server) : async () => null;
  const began = await within(attackers.ended, 'end of all attackers', spec.deadline + 180_000).then(progress, async (error) => {
    await progress();
    throw error;
  });
  const grown = memory();
  const waited = waitedForCpu(server.workers()[0], 'self') - waitedBefore;
  const healthFigures = await health.stop();

  const lived = attackers.all.map((attacker) => attacker.ended - (began ?? attacker.began)).sort((a, b) => a - b);
  const [min, median, max] = [lived[0], lived[lived.length >> 1], lived.at(-1)].map(Math.round);
  const bound = receiveBuffers + allocatorSlack + attackerCount * (perConnection + outputQueue + spec.held);
  t.diagnostic(`${attackerCount} attackers gone after ${min} / ${median} / ${max} ms (min / median / max) of ${spec.deadline}, ` +
      `${Math.round(waited)} ms without a CPU; ${healthFigures}; worker memory +${mebibytes(grown)} of ${mebibytes(bound)}`);

  const goodbyes = attackers.all.filter((attacker) => !spec.goodbye(attacker));
  assert.equal(goodbyes.length, 0, `${goodbyes.length} without the right goodbye, such as ` +
      `${goodbyes[0]?.how} ${JSON.stringify(goodbyes[0]?.head.toString('latin1'))} ... ${goodbyes[0]?.tail.toString('hex')}`);
  // Where progress counts, an attacker whose output stopped before the last one's is gone earlier.
  if (!spec.fromProgress) assert.ok(min >= spec.deadline - earlyMilliseconds, `one was gone after ${min} ms`);
  // While the machine runs others nobody can be sent away, nor seen to go.
  assert.ok(max <= spec.deadline + graceMilliseconds + waited, `one was there for ${max} ms`);
  if (!sanitized) assert.ok(grown <= bound, `the worker grew by ${grown} bytes, ${bound} are allowed`);

  await eventually(async () => (await server.counters()).connections_open === 0, 'no connection left');
  const counters = await server.counters();
  const others = (spec.orClosed ?? []).reduce((sum, counter) => sum + counters[counter], 0);
  assert.ok(counters[spec.closed] > before, `${spec.closed} counted none: ${JSON.stringify(counters)}`);
  assert.equal(counters[spec.closed] - before + others, attackerCount, `${spec.closed}: ${JSON.stringify(counters)}`);
  await server.stop();
  return counters;
}
