// Handlers that hold the loop of their worker: seen in the log with their stack, replaced when they never end, and no
// harm to the other workers.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import { test } from 'node:test';
import { startProgram } from './lib/program.mjs';
import { eventually, sanitized } from './lib/server.mjs';

const program = process.env.STALLING_SERVER;

function get(server, path, { agent, timeout = 30_000 } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port: server.port, path, agent, timeout }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => { body += text; });
      response.on('end', () => resolve(body));
    });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error(`no answer to ${path}`)));
  });
}

// A connection of its own that is known to live in worker `index`: the kernel chooses, so several are tried.
async function connectTo(server, index) {
  for (let i = 0; i < 200; ++i) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const found = /worker=(\d+) pid=(\d+)/.exec(await get(server, '/worker', { agent }));
    if (Number(found[1]) === index) return { agent, pid: Number(found[2]) };
    agent.destroy();
  }
  throw new Error(`the kernel gave no connection to worker ${index}`);
}

test('a handler that computes too long is shown with its stack and its connection', async () => {
  const server = await startProgram(program, { STALLING_HANDLER_TIMEOUT_MS: '100' });
  const answer = await get(server, '/spin?ms=600');
  assert.match(answer, /^rounds=[1-9]/);
  await eventually(() => /the turn that held the loop is over, it lasted 0\.\d+ s/.test(server.output), 'its end');
  const text = server.output;
  assert.match(text, /warn +\[worker \d\] a handler has held the loop for 0\.[1-5]\d* s/);
  assert.match(text, /it serves connection [0-9a-f]+ from 127\.0\.0\.1:\d+/);
  assert.match(text, /#\d+ +.*SpinInAHandler\(\) \(stalling_server\+0x[0-9a-f]+\)/, text);
  assert.match(text, /ringmaster::Worker::Turn\(\)|ringmaster::RunWorker\(\)/, text);
  const counters = (await server.status()).totals.counters;
  assert.equal(counters.handler_stalls, 1);
  await server.stop();
});

test('a handler that sleeps is shown too, and sleeps its time', async () => {
  const server = await startProgram(program, { STALLING_HANDLER_TIMEOUT_MS: '100' });
  const begin = Date.now();
  assert.match(await get(server, '/sleep?ms=700'), /^interruptions=\d/);
  assert.ok(Date.now() - begin >= 690);
  await eventually(() => /SleepInAHandler\(\)/.test(server.output), 'its name');
  await server.stop();
});

test('a worker that is stuck is replaced while the others serve', async () => {
  const server = await startProgram(program, {
    STALLING_HANDLER_TIMEOUT_MS: '100', STALLING_KILL_TIMEOUT_MS: '1500',
  });
  const stuck = await connectTo(server, 0);
  const other = await connectTo(server, 1);
  const lost = get(server, '/spin?ms=100000', { agent: stuck.agent }).then(
      () => 'answered', (error) => error.code ?? error.message);
  await eventually(() => /a handler has held the loop/.test(server.output), 'the report');
  // The other worker answers all the time, and so does status.
  let slowest = 0;
  while (!/was killed by signal 9/.test(server.output)) {
    const begin = Date.now();
    await get(server, '/worker', { agent: other.agent });
    slowest = Math.max(slowest, Date.now() - begin);
    await server.status();
    assert.ok(Date.now() - begin < 30_000, server.output);
  }
  if (!sanitized) assert.ok(slowest < 1000, `the other worker needed ${slowest} ms`);
  assert.equal(await lost, 'ECONNRESET');
  const next = await connectTo(server, 0);
  assert.notEqual(next.pid, stuck.pid);
  const { workers } = await server.status();
  assert.equal(workers[0].restarts, 1);
  assert.equal(workers[0].stuck_replaced, 1);
  assert.equal(workers[0].last_exit_signal, 9);
  assert.equal(workers[1].restarts, 0);
  assert.match(server.output, /longer than handler_kill_timeout[^]*#\d+ +.*SpinInAHandler/);
  await server.stop();
});

test('a worker whose whole process was stopped is replaced', async () => {
  const server = await startProgram(program, { STALLING_KILL_TIMEOUT_MS: '1000' });
  const { pid, agent } = await connectTo(server, 0);
  agent.destroy();
  process.kill(pid, 'SIGSTOP');
  await eventually(() => /gives no sign of life/.test(server.output), 'the master noticing it');
  await eventually(async () => (await server.status()).workers[0].state === 'ready', 'its successor');
  assert.ok(!fs.existsSync(`/proc/${pid}`));
  await server.stop();
});

test('workers that only wait are left alone, and so is one that was stopped for a moment', async () => {
  const server = await startProgram(program, { STALLING_HANDLER_TIMEOUT_MS: '100', STALLING_KILL_TIMEOUT_MS: '3000' });
  const { pid, agent } = await connectTo(server, 0);
  process.kill(pid, 'SIGSTOP');
  await new Promise((resolve) => setTimeout(resolve, 1000));  // what is tested is that nothing happens meanwhile
  process.kill(pid, 'SIGCONT');
  assert.match(await get(server, '/worker', { agent }), new RegExp(`pid=${pid}`));
  const { workers, totals } = await server.status();
  assert.deepEqual(workers.map((worker) => worker.restarts), [0, 0]);
  assert.equal(totals.counters.handler_stalls, 0, server.output);
  await server.stop();
});
