// Starts the stock server for a test, on a port the kernel chooses, with every file of the instance in a directory of
// its own; stops it and judges how it ended.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
export const binary = path.resolve(
    process.env.RINGMASTER_BINARY ?? path.join(root, 'build-release/tools/ringmaster/ringmaster'));
// Meson says whether the binary carries a sanitizer: it is slower then, and its memory says nothing.
export const sanitized = process.env.RINGMASTER_SANITIZED === '1';
// Every wait in these tests is bounded by this; a sanitizer on a busy machine is the slow case.
export const patience = sanitized ? 60_000 : 20_000;

const demo = path.join(root, 'tools/ringmaster/demo.json');
const running = new Set();
// A test that failed may leave its server behind; it does not keep the suite from ending (unref below), and ends with it.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export function makeDirectory() {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'ringmaster-e2e-'));
}

// The demonstration configuration on a free port. `change` edits it before it is written.
export function demoConfig(change = () => {}) {
  const config = JSON.parse(fs.readFileSync(demo, 'utf8'));
  config.listeners = [{ ...config.listeners?.[0], address: '127.0.0.1:0' }];
  // Of the instance's files the test decides, through XDG_RUNTIME_DIR.
  for (const key of ['name', 'pid_file', 'control_socket']) delete config[key];
  // The file is copied elsewhere, so its relative directories must not be relative to it.
  for (const route of config.routes ?? []) {
    if (route.directory && !path.isAbsolute(route.directory)) {
      route.directory = path.resolve(path.dirname(demo), route.directory);
    }
  }
  change(config);
  return config;
}

export function environment(directory, extra = {}) {
  const env = { ...process.env, XDG_RUNTIME_DIR: directory, ...extra };
  delete env.RINGMASTER_ALLOWED_ORIGINS;
  delete env.RINGMASTER_ADMIN_TOKEN;
  return Object.assign(env, extra);
}

export function writeConfig(directory, config) {
  const file = path.join(directory, 'server.json');
  fs.writeFileSync(file, typeof config === 'string' ? config : JSON.stringify(config, null, 2));
  return file;
}

// Runs the binary to its end. Resolves to {code, signal, stdout, stderr}; never rejects for an exit status.
export function run(args, { directory, env = {}, timeout = patience, program = binary } = {}) {
  return new Promise((resolve) => {
    execFile(program, args, { env: environment(directory, env), timeout, cwd: directory }, (error, stdout, stderr) => {
      resolve({
        code: error ? (typeof error.code === 'number' ? error.code : null) : 0,
        signal: error?.signal ?? null,
        failure: error?.message ?? '',
        stdout,
        stderr,
      });
    });
  });
}

// `what`: text, or a function that makes it when it is needed.
export function within(promise, what, milliseconds = patience) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no ${typeof what === 'function' ? what() : what} within ${milliseconds} ms`));
    }, milliseconds);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

// Polls a condition that no event announces (a process that goes away, a number in /proc).
export async function eventually(condition, what, milliseconds = patience) {
  const end = Date.now() + milliseconds;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${milliseconds} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// By its title, "NAME: admin"; a process that is gone is neither.
function isAdmin(pid) {
  try {
    return /^[^\0]*: admin\0/.test(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  } catch {
    return false;
  }
}

export class RunningServer {
  constructor(child, directory, program = binary) {
    this.child = child;
    this.program = program;
    this.directory = directory;
    this.stdout = '';
    this.stderr = '';
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        running.delete(child);
        resolve({ code, signal });
      });
    });
  }

  get pid() {
    return this.child.pid;
  }

  get url() {
    return `http://${this.host}:${this.port}`;
  }

  get output() {
    return this.stdout + this.stderr;
  }

  command(...args) {
    return run(args, { directory: this.directory, program: this.program });
  }

  async status() {
    const { code, signal, failure, stdout, stderr } = await this.command('status', '--json');
    assert.equal(code, 0, `status --json failed, signal ${signal}: ${failure} ${stderr}`);
    return JSON.parse(stdout);
  }

  // All workers' counters together, by name.
  async counters() {
    return (await this.status()).totals.counters;
  }

  // Counters of connections that have ended. A client may see its end first: behind the server's last byte there is the
  // client's own FIN, which the server waits for.
  async assertCounted(expected) {
    let counters;
    await eventually(async () => {
      counters = await this.counters();
      return Object.entries(expected).every(([name, count]) => counters[name] >= count);
    }, JSON.stringify(expected)).catch(() => {});
    for (const [name, count] of Object.entries(expected)) assert.equal(counters[name], count, name);
  }

  // The worker processes: the master's children without the admin process.
  workers() {
    const children = fs.readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8');
    return children.trim().split(' ').filter((pid) => pid !== '' && !isAdmin(pid)).map(Number);
  }

  // Resident memory of all workers that is not backed by a file, in bytes.
  workerMemory() {
    let bytes = 0;
    for (const pid of this.workers()) {
      const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
      bytes += Number(/RssAnon:\s+(\d+) kB/.exec(status)[1]) * 1024;
    }
    return bytes;
  }

  assertNoReport() {
    assert.doesNotMatch(
        this.output, /AddressSanitizer|LeakSanitizer|runtime error:|CHECK failed|Check failed/, this.output.slice(-8000));
  }

  // Ends the server with `signal` and requires a clean exit.
  async stop(signal = 'SIGTERM') {
    this.child.kill(signal);
    const { code, signal: killed } = await within(this.exited, `end after ${signal}`);
    this.assertNoReport();
    assert.equal(killed, null, this.output.slice(-4000));
    assert.equal(code, 0, this.output.slice(-4000));
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

// Starts the server in the foreground and waits until it says that it is ready. `program`: another one than the stock
// server, which takes no configuration.
export async function startServer({ config = demoConfig(), args = [], env = {}, directory = makeDirectory(), program } = {}) {
  const words = program ? [] : [writeConfig(directory, config)];
  const child = spawn(program ?? binary, ['start', ...words, ...args], {
    env: environment(directory, env),
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  for (const handle of [child, child.stdout, child.stderr]) handle.unref();
  const server = new RunningServer(child, directory, program);
  const ready = new Promise((resolve, reject) => {
    const look = () => {
      const found = /(?:http:\/\/|listening on\s+)(127\.0\.0\.1|\[::1\]):([1-9]\d*)/.exec(server.output);
      if (found && /\bready\b/.test(server.output)) {
        server.host = found[1];
        server.port = Number(found[2]);
        resolve();
      }
    };
    child.stdout.setEncoding('utf8').on('data', (text) => { server.stdout += text; look(); });
    child.stderr.setEncoding('utf8').on('data', (text) => { server.stderr += text; look(); });
    child.once('error', reject);
    server.exited.then(({ code, signal }) =>
        reject(new Error(`the server ended (${code ?? signal}) before it was ready:\n${server.output}`)));
  });
  await within(ready, `"ready" from the server; so far:\n${server.output}`);
  return server;
}
