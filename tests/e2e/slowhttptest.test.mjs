// The same attacks by a tool that is not ours: slowhttptest, a thousand connections each. It says whether the service
// stayed available, in its own connections and in time.

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { attackerCount, startTarget } from './lib/attack_run.mjs';
import { waitedForCpu } from './lib/cpu.mjs';
import { eventually, sanitized } from './lib/server.mjs';

const skip = spawnSync('slowhttptest', ['-h']).error ? 'slowhttptest is not installed' : false;
const deadline = 3000;
// It looks once a second, and needs a moment to connect.
const graceMilliseconds = (sanitized ? 10_000 : 1000) + 2000;
const secondsMax = 60;
// It says so often how it goes.
const statusEvery = 5000;

// Resolves to its report: whole text, and one row a second of {seconds, closed, pending, connected}. `enough` interrupts
// it, which it answers with its report.
function slowhttptest(server, enough, ...args) {
  const report = path.join(server.directory, 'report');
  const all = ['-c', attackerCount, '-r', attackerCount, '-i', 1, '-l', secondsMax, '-p', 10, '-g', '-o', report, ...args];
  return new Promise((resolve, reject) => {
    const child = execFile('slowhttptest', all.map(String), { timeout: (secondsMax + 20) * 1000, maxBuffer: 64 << 20 }, (error, stdout) => {
      // Its exit status says how the test ended, not whether it could run.
      if (!fs.existsSync(`${report}.csv`)) return reject(new Error(`no report: ${error?.message}\n${stdout.slice(-2000)}`));
      const [, ...lines] = fs.readFileSync(`${report}.csv`, 'utf8').trim().split('\n');
      const rows = lines.map((line) => {
        const [seconds, closed, pending, connected] = line.split(',').map(Number);
        return { seconds, closed, pending, connected };
      });
      resolve({ text: stdout.replace(/\x1b\[[0-9;]*m/g, ''), rows });
    });
    enough.then(() => child.kill('SIGINT'));
  });
}

// When the server had closed them all, in milliseconds from the moment it had accepted the last one.
async function timeToClose(server, closed) {
  const now = () => performance.now();
  const counters = () => server.counters();
  await eventually(async () => (await counters()).connections_accepted >= attackerCount, 'all connections', 60_000);
  const began = now();
  await eventually(async () => (await counters())[closed] >= attackerCount, `${attackerCount} of ${closed}`, 60_000);
  return now() - began;
}

for (const { name, args, key, closed, seesEnd } of [
  { name: 'slow heads (-H)', args: (url) => ['-H', '-u', `${url}/hello`], key: 'header', closed: 'closed_header_timeout', seesEnd: true },
  { name: 'slow content (-B)', args: (url) => ['-B', '-s', 60_000, '-u', `${url}/echo`], key: 'body', closed: 'closed_body_timeout', seesEnd: true },
  // It reads a little a second out of what its kernel has, and so learns only later that there is nothing behind it.
  { name: 'slow reading (-X)', args: (url) => ['-X', '-w', 512, '-y', 1024, '-n', 1, '-z', 32, '-u', `${url}/files/large.bin`],
    key: 'write', closed: 'closed_write_timeout', seesEnd: false },
]) {
  test(name, { skip }, async (t) => {
    const server = await startTarget({ timeouts: { [key]: `${deadline}ms` } });
    const waitedBefore = waitedForCpu(server.workers()[0], 'self');
    const closing = timeToClose(server, closed);
    const enough = seesEnd ? new Promise(() => {}) : closing.then(() => new Promise((resolve) => setTimeout(resolve, statusEvery)));
    const [{ text, rows }, took] = await Promise.all([slowhttptest(server, enough, ...args(server.url)), closing]);
    const waited = waitedForCpu(server.workers()[0], 'self') - waitedBefore;
    const peak = Math.max(...rows.map(({ connected }) => connected));
    t.diagnostic(`${peak} connected at once; the last was closed ${took.toFixed(0)} ms after it was accepted, deadline ` +
        `${deadline}, ${waited.toFixed(0)} ms without a CPU; test of ${rows.at(-1).seconds} s`);
    assert.match(text, /service available:\s+YES/);
    assert.doesNotMatch(text, /service available:\s+NO/);
    if (seesEnd) {
      assert.match(text, /Exit status:\s+No open connections left/);
      assert.equal(rows.at(-1).pending, 0);
    }
    assert.ok(took <= deadline + graceMilliseconds + waited, `the last was closed after ${took} ms`);
    await eventually(async () => (await server.counters()).connections_open === 0, 'no connection left');
    assert.equal((await server.counters())[closed], attackerCount);
    await server.stop();
  });
}
