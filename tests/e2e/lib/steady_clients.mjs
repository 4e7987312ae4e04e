// Runs the steady clients (programs/steady): traffic that loses nothing while a server is reloaded, and the report of
// what it lost.

import { spawn } from 'node:child_process';
import path from 'node:path';
import { patience, root, within } from './server.mjs';

export const steadyClients = path.resolve(
    process.env.STEADY_CLIENTS ?? path.join(root, 'build-release/tests/e2e/programs/steady_clients'));

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

// { keepalive: 10, progress: true, seconds: 2 } as a command line.
function asArguments(flags) {
  return Object.entries(flags).flatMap(([name, value]) => {
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    return value === true ? [flag] : value === false ? [] : [`${flag}=${value}`];
  });
}

export class SteadyClients {
  constructor(child) {
    this.child = child;
    this.stdout = '';
    this.stderr = '';
    // False when it ended without being so.
    this.isReady = new Promise((resolve) => {
      child.stderr.setEncoding('utf8').on('data', (text) => {
        this.stderr += text;
        if (/^ready$/m.test(this.stderr)) resolve(true);
      });
      for (const end of ['close', 'error']) child.once(end, () => resolve(false));
    });
    child.stdout.setEncoding('utf8').on('data', (text) => { this.stdout += text; });
    this.exited = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        running.delete(child);
        resolve({ code, signal });
      });
    });
  }

  get pid() {
    return this.child.pid;
  }

  // Waits for its end and gives {code, report, stderr}; `report` is its JSON, null when it printed none.
  async finished(milliseconds = patience) {
    const { code, signal } = await within(this.exited, `end of the steady clients\n${this.stderr}`, milliseconds);
    if (signal !== null) throw new Error(`the steady clients ended by ${signal}:\n${this.stderr}`);
    return { code, report: this.stdout === '' ? null : JSON.parse(this.stdout), stderr: this.stderr };
  }

  // Ends the traffic, waits for what is outstanding, and gives the report.
  async stop() {
    this.child.stdin.end();
    return (await this.finished()).report;
  }
}

// `flags` by their names in camel case, see `steady_clients --help`. Ends at the latest with this process.
export function launchSteadyClients(flags) {
  const child = spawn(steadyClients, asArguments({ untilStdinEnds: true, ...flags }), {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  running.add(child);
  for (const handle of [child, child.stdout, child.stderr, child.stdin]) handle.unref();
  // It may have ended when stop() is called.
  child.stdin.on('error', () => {});
  return new SteadyClients(child);
}

// The same, once all connections that stay are open.
export async function startSteadyClients(flags) {
  const clients = launchSteadyClients(flags);
  const ready = await within(clients.isReady, '"ready" from the steady clients');
  if (!ready) await clients.exited;  // throws when it could not be started
  if (!ready) throw new Error(`the steady clients ended before they were ready:\n${clients.stderr}\n${clients.stdout}`);
  return clients;
}

// For a test's message: what went wrong, without all the rest.
export function describeFailures(report) {
  const lines = report.first_failures.map((failure) => JSON.stringify(failure));
  return `${report.failed} failed\n${lines.join('\n')}`;
}
