// What 10,000 idle WebSockets cost, and that the memory comes back when they close.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { demoConfig, eventually, sanitized, startServer } from './lib/server.mjs';
import { close, openWebSocket } from './lib/websocket_client.mjs';

const count = 10_000;
const bytesPerConnectionMax = 384;
const descriptors = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
const skip = sanitized ? 'a sanitizer has memory of its own'
    : descriptors !== 'unlimited' && Number(descriptors) < 2 * count ? `RLIMIT_NOFILE is ${descriptors}; ${2 * count} are needed`
    : false;

async function openMany(port, howMany) {
  const peers = [];
  while (peers.length < howMany) {
    const batch = Math.min(200, howMany - peers.length);
    const opened = await Promise.all(Array.from({ length: batch }, () => openWebSocket(port)));
    for (const { peer } of opened) peers.push(peer);
  }
  return peers;
}

async function closeMany(peers) {
  for (let i = 0; i < peers.length; i += 200) {
    const batch = peers.slice(i, i + 200);
    for (const peer of batch) peer.send(close(1000));
    await Promise.all(batch.map((peer) => peer.waitForEnd()));
  }
}

async function settled(server, open) {
  await eventually(async () => (await server.counters()).connections_open === open, `${open} connections open`);
  return server.workerMemory();
}

test(`${count} idle WebSockets cost at most ${bytesPerConnectionMax} bytes each and give them back`, { skip }, async (t) => {
  const server = await startServer({ config: demoConfig((config) => { config.workers = 1; }) });
  // The first connections bring pools, code pages and the allocator's own memory with them.
  await closeMany(await openMany(server.port, 200));
  const before = await settled(server, 0);

  const peers = await openMany(server.port, count);
  const during = await settled(server, count);
  const perConnection = (during - before) / count;
  t.diagnostic(`${perConnection.toFixed(0)} bytes per idle WebSocket`);

  await closeMany(peers);
  const after = await settled(server, 0);
  t.diagnostic(`resident: ${before} before, ${during} with ${count} connections, ${after} behind them`);

  // Once more: what grows again and again is a leak, whatever one round costs.
  await closeMany(await openMany(server.port, count));
  const afterSecond = await settled(server, 0);

  assert.ok(perConnection <= bytesPerConnectionMax, `${perConnection} bytes per connection`);
  assert.ok(after <= before * 1.05 + (1 << 20), `${after} bytes behind, ${before} before`);
  assert.ok(afterSecond <= after * 1.05 + (1 << 20), `${afterSecond} bytes after the second round, ${after} after the first`);
  await server.stop();
});
