// What `status` shows: figures that agree with what clients did, and the live view in a real terminal.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { binary, demoConfig, environment, eventually, root, run, startServer, within } from './lib/server.mjs';

const enterScreen = '\x1b[?1049h';
const leaveScreen = '\x1b[?1049l';
const hideCursor = '\x1b[?25l';
const showCursor = '\x1b[?25h';

const fetchHello = (port, target = '/hello') =>
  fetch(`http://127.0.0.1:${port}${target}`).then((response) => response.text());

// A program in a pseudo-terminal.
class TerminalProgram {
  constructor(server, columns, rows, args) {
    const helper = path.join(root, 'tests/e2e/lib/in_terminal.py');
    this.child = spawn('python3', [helper, columns, rows, binary, ...args].map(String), {
      env: environment(server.directory, { TERM: 'xterm' }),
    });
    this.output = '';
    this.errors = '';
    this.child.stdout.on('data', (piece) => { this.output += piece; });
    this.child.stderr.on('data', (piece) => { this.errors += piece; });
    this.closed = new Promise((resolve) => this.child.once('close', resolve));
  }

  command(text) { this.child.stdin.write(`${text}\n`); }

  // The newest whole screen, without control sequences.
  screen() {
    const screens = this.output.split('\x1b[H').filter((text) => text.includes('\x1b[J'));
    const last = screens.at(-1)?.split('\x1b[J')[0] ?? '';
    return last.replaceAll(/\x1b\[[0-9;?]*[A-Za-z]/g, '').split(/\r+\n/);
  }

  shows(pattern) { return eventually(() => pattern.test(this.screen().join('\n')), `${pattern} in ${this.screen().join('\n')}`); }

  async end() {
    await within(this.closed, 'end of the view');
    return JSON.parse(this.errors.trim().split('\n').at(-1));
  }
}

function assertRestored(output, result) {
  assert.ok(result.restored, 'the modes of the terminal are restored');
  assert.ok(output.indexOf(enterScreen) < output.indexOf(hideCursor));
  assert.ok(output.lastIndexOf(showCursor) > output.lastIndexOf(hideCursor), 'the cursor is shown again');
  assert.ok(output.lastIndexOf(leaveScreen) > output.lastIndexOf('\x1b[J'), 'nothing is drawn on the normal screen');
}

test('status --json agrees with what clients did', async () => {
  const server = await startServer();
  for (let i = 0; i < 5; i++) await fetchHello(server.port);
  const { totals, workers } = await server.status();
  assert.equal(totals.counters.messages, 5);
  assert.equal(totals.counters.http_responses_2xx, 5);
  assert.equal(totals.histograms.handler_time.count, 5);
  assert.equal(totals.histograms.queue_time.count, 5);
  const { p50_us, p99_us, p9999_us, max_us } = totals.histograms.handler_time;
  assert.ok(p50_us > 0 && p50_us <= p99_us && p99_us <= p9999_us && p9999_us <= max_us);
  assert.equal(totals.gauges.connections_open, totals.counters.connections_open);
  const sum = workers.reduce((count, worker) => count + worker.histograms.handler_time.count, 0);
  assert.equal(sum, 5);
  assert.ok(workers.every((worker) => worker.memory.anonymous_bytes > 0));
  await server.stop();
});

test('timings: false counts messages and times nothing', async () => {
  const server = await startServer({ config: demoConfig((config) => { config.timings = false; }) });
  await fetchHello(server.port);
  const { totals } = await server.status();
  assert.equal(totals.counters.messages, 1);
  assert.equal(totals.histograms.handler_time.count, 0);
  assert.equal(totals.histograms.turn_time.count, 0);
  await server.stop();
});

test('the table names why connections closed', async () => {
  const server = await startServer();
  const response = await fetch(`http://127.0.0.1:${server.port}/hello`, { headers: { Connection: 'close' } });
  await response.text();
  await eventually(async () => Object.keys((await server.status()).totals.closed).length > 0, 'a close');
  const table = await server.command('status');
  assert.match(table.stdout, /handler p50/);
  assert.match(table.stdout, /connections closed, by reason\n {2}\w+ +1\n/);
  assert.doesNotMatch(table.stdout, /connections refused/);
  await server.stop();
});

test('--watch --json prints a line per interval, with rates from the second on', async () => {
  const server = await startServer();
  const child = spawn(binary, ['status', '--watch', '0.2', '--json'], { env: environment(server.directory) });
  let output = '';
  child.stdout.on('data', (piece) => { output += piece; });
  const lines = () => output.split('\n').slice(0, -1).map((line) => JSON.parse(line));
  await eventually(() => lines().length >= 1, 'a first line');
  assert.equal(lines()[0].interval, undefined);
  await fetchHello(server.port);
  const line = await eventually(() => lines().find((each) => each.interval?.rates.messages > 0), 'a line with a rate');
  assert.ok(line.interval.seconds > 0);
  assert.equal(Math.round(line.interval.rates.messages * line.interval.seconds), 1);
  assert.equal(line.interval.histograms.handler_time.count, 1);
  child.kill('SIGTERM');
  await within(new Promise((resolve) => child.once('close', resolve)), 'end');
  await server.stop();
});

test('--watch without a terminal is refused with what to do', async () => {
  const server = await startServer();
  const { code, stdout, stderr } = await server.command('status', '--watch');
  assert.equal(code, 2);
  assert.equal(stdout, '');
  assert.match(stderr, /no terminal; with --json/);
  await server.stop();
});

test('--watch refuses an interval that is too short, and names the bounds', async () => {
  const { code, stderr } = await run(['status', '--watch', '0.01']);
  assert.equal(code, 2);
  assert.match(stderr, /--watch takes 0\.1 to 3600 seconds/);
});

test('--watch shows rates of what happens, fits the screen, and ends with q', async () => {
  const server = await startServer();
  const view = new TerminalProgram(server, 100, 30, ['status', '--watch', '0.2']);
  await view.shows(/worker 0 .*ready/);
  let requests = true;
  const load = (async () => { while (requests) await fetchHello(server.port); })();
  await view.shows(/messages\/s [1-9]/);
  await view.shows(/handler +[1-9].* (ns|us|ms)/);
  requests = false;
  await load;
  for (const line of view.screen()) assert.ok(line.length <= 100, line);

  view.command('size 60 12');
  await eventually(() => view.screen().length <= 12, 'a smaller screen');
  for (const line of view.screen()) assert.ok(line.length <= 60, line);
  view.command('key q');
  const result = await view.end();
  assert.equal(result.status, 0);
  assertRestored(view.output, result);
  await server.stop();
});

for (const [name, command] of [
  ['SIGTERM', `signal ${os.constants.signals.SIGTERM}`],
  ['Ctrl-C', 'key \x03'],
]) {
  test(`--watch restores the terminal on ${name}`, async () => {
    const server = await startServer();
    const view = new TerminalProgram(server, 80, 24, ['status', '--watch', '0.2']);
    await view.shows(/worker 0/);
    view.command(command);
    const result = await view.end();
    assert.equal(result.status, 0);
    assertRestored(view.output, result);
    await server.stop();
  });
}

test('--watch says that the server has gone, on a restored terminal', async () => {
  const server = await startServer();
  const view = new TerminalProgram(server, 80, 24, ['status', '--watch', '0.2']);
  await view.shows(/worker 0/);
  await server.stop();
  const result = await view.end();
  assert.equal(result.status, 1);
  assertRestored(view.output.slice(0, view.output.indexOf('error: ')), result);
  assert.match(view.output, /error: cannot connect to /);
});
