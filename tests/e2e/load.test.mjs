// Under load from h2load: every request answered, none with an error, and the counters agree with the client.

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { startServer } from './lib/server.mjs';

const skip = spawnSync('h2load', ['--version']).error ? 'h2load is not installed' : false;

function h2load(...args) {
  return new Promise((resolve, reject) => {
    execFile('h2load', ['--h1', '-t', '1', ...args], { timeout: 60_000 }, (error, stdout, stderr) => {
      if (error) return reject(new Error(`${error.message}\n${stdout}\n${stderr}`));
      const requests = /requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/.exec(stdout);
      const [, total, , done, succeeded, failed, errored, timeout] = requests.map(Number);
      const [, good] = /status codes: (\d+) 2xx/.exec(stdout).map(Number);
      resolve({ total, done, succeeded, failed, errored, timeout, good, stdout });
    });
  });
}

for (const [name, ...args] of [
  ['64 connections', '-c', '64'],
  ['64 connections, 16 requests at once on each', '-c', '64', '-m', '16'],
  ['512 connections', '-c', '512'],
]) {
  test(`${name} for 2 seconds`, { skip }, async (t) => {
    const server = await startServer();
    const result = await h2load('-D', '2', '--warm-up-time', '0', ...args, `${server.url}/hello`);
    t.diagnostic(`${result.done} requests`);
    assert.ok(result.done > 1000, result.stdout);
    assert.equal(result.failed + result.errored + result.timeout, 0, result.stdout);
    assert.equal(result.good, result.succeeded, result.stdout);
    const { messages } = await server.counters();
    assert.ok(messages >= result.good, `${messages} counted, ${result.good} answered`);
    await server.stop();
  });
}
test('10,000 requests with exactly as many answers', { skip }, async () => {
  const server = await startServer();
  const result = await h2load('-n', '10000', '-c', '50', '-m', '8', `${server.url}/hello`);
  assert.equal(result.succeeded, 10000, result.stdout);
  assert.equal(result.good, 10000, result.stdout);
  await server.stop();
});
