// What a worker may still do once it serves: the user it becomes, the system calls and ring operations it is refused, and
// that it serves all the same. Only root can give privileges up, so without it the tests of the drop are left out.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import WebSocket from 'ws';
import { startProgram } from './lib/program.mjs';
import {
  binary, demoConfig, eventually, makeDirectory, patience, run, sanitized, startServer, within, writeConfig,
} from './lib/server.mjs';

const program = process.env.SANDBOXED_SERVER;
const root = process.getuid() === 0;
const onlyRoot = { skip: !root && 'only root can become somebody else' };
const [EPERM, EACCES, ENOENT] = [1, 13, 2];

// /proc/PID/status as an object of texts.
function processStatus(pid) {
  const text = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  return Object.fromEntries(text.split('\n').filter((line) => line.includes(':')).map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim().replace(/\s+/g, ' ')];
  }));
}

function children(pid) {
  return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
}

function threads(pid) {
  return fs.readdirSync(`/proc/${pid}/task`).map((thread) => processStatus(`${pid}/task/${thread}`));
}

async function get(server, target) {
  const response = await fetch(`${server.url}${target}`, { signal: AbortSignal.timeout(patience) });
  return { status: response.status, body: await response.text() };
}

async function tries(server, ...calls) {
  const answers = {};
  for (const call of calls) {
    const { body } = await get(server, `/try?call=${call}`);
    answers[call] = Number(/=(\d+)$/m.exec(body)?.[1] ?? NaN);
  }
  return answers;
}

async function echo(server) {
  const socket = new WebSocket(`ws://${server.host}:${server.port}/ws`, { origin: server.url });
  await within(new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject)), 'an open WebSocket');
  const answer = new Promise((resolve) => socket.once('message', (data) => resolve(String(data))));
  socket.send('sandboxed');
  assert.equal(await within(answer, 'an echo'), 'sandboxed');
  socket.terminate();
}

// The instance's files are root's: the directory must let others through to the static files.
function openDirectory() {
  const directory = makeDirectory();
  fs.chmodSync(directory, 0o755);
  return directory;
}

test('workers and the admin process become the user, the master stays, and all is served', onlyRoot, async () => {
  const directory = openDirectory();
  const files = path.join(directory, 'files');
  fs.mkdirSync(files, { mode: 0o755 });
  fs.writeFileSync(path.join(files, 'for-all.txt'), 'for all\n', { mode: 0o644 });
  fs.writeFileSync(path.join(files, 'for-root.txt'), 'for root\n', { mode: 0o600 });
  const log = path.join(directory, 'server.log');
  const accessLog = path.join(directory, 'access.log');
  const server = await startServer({
    directory,
    config: demoConfig((config) => {
      config.workers = 2;
      config.user = 'nobody';
      config.logging = { file: log, access_log: accessLog };
      config.routes.push({ path: '/files/', type: 'static', directory: files });
    }),
  });
  const master = processStatus(server.pid);
  assert.equal(master.Uid, '0 0 0 0');
  assert.equal(master.Seccomp, '0');
  assert.notEqual(Number.parseInt(master.CapEff, 16), 0);
  const pids = children(server.pid);
  assert.equal(pids.length, 3, 'two workers and the admin process');
  for (const pid of pids) {
    for (const status of threads(pid)) {
      assert.equal(status.Uid, '65534 65534 65534 65534');
      assert.equal(status.Gid, '65534 65534 65534 65534');
      assert.equal(status.Groups, '65534');
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) assert.equal(status[set], '0000000000000000', set);
      assert.equal(status.NoNewPrivs, '1');
      assert.equal(status.Seccomp, '2');
    }
  }

  assert.deepEqual(await get(server, '/hello'), { status: 200, body: 'Hello, World!' });
  assert.deepEqual(await get(server, '/files/for-all.txt'), { status: 200, body: 'for all\n' });
  assert.ok([403, 404].includes((await get(server, '/files/for-root.txt')).status));
  await echo(server);

  const status = await server.status();
  assert.equal(status.workers.length, 2);
  for (const worker of [...status.workers, status.admin]) {
    assert.deepEqual(worker.sandbox, {
      uid: 65534, gid: 65534, groups: [65534], capabilities: '0000000000000000', bounding_capabilities: '0000000000000000',
      no_new_privs: true, seccomp: 'filter',
    });
  }
  const table = await server.command('status');
  assert.match(table.stdout, /workers as {3}user 65534.*no capabilities, no_new_privs, system calls filtered\n/);

  // A worker that is restarted is no other.
  process.kill(pids[0], 'SIGKILL');
  const next = await eventually(async () => {
    const { workers } = await server.status();
    return workers.every((worker) => worker.state === 'ready') && workers.some((worker) => worker.restarts === 1) && workers;
  }, 'a restarted worker');
  for (const worker of next) assert.deepEqual([worker.sandbox.uid, worker.sandbox.seccomp], [65534, 'filter']);

  await server.stop();
});

test('the logs are opened before the drop, and written after it', onlyRoot, async () => {
  const directory = openDirectory();
  const logs = path.join(directory, 'logs');
  fs.mkdirSync(logs, { mode: 0o700 });  // as /var/log: the user may not make files there
  const files = ['server.log', 'access.log'].map((name) => path.join(logs, name));
  const server = await startServer({
    directory,
    config: demoConfig((config) => {
      config.user = 'nobody';
      config.group = 'nogroup';
      config.logging = { file: files[0], access_log: files[1] };
    }),
  });
  await get(server, '/hello');
  const log = fs.readFileSync(files[0], 'utf8');
  assert.match(log, /\[worker 0\] io_uring: .*operations: \d+ opcodes/);
  assert.match(log, /\[worker 0\] sandbox on: user 65534, group 65534 .*system calls filtered, ring restricted/);
  assert.equal(log.match(/sandbox on/g).length, 1, 'one worker says it for all');
  await eventually(() => /"GET \/hello" 200/.test(fs.readFileSync(files[1], 'utf8')), 'a line in the access log');
  await server.stop();
});

for (const [what, change, pattern] of [
  ['an unknown user', { user: 'no-such-user' }, /no user "no-such-user"/],
  ['an unknown group', { user: 'nobody', group: 'no-such-group' }, /no group "no-such-group"/],
  ['root as the user', { user: 'root' }, /"root" is root/],
  ['an account that has no group', { user: '54321' }, /54321.*set group/],
  ['a system call that is none', { sandbox_allow: ['exceve'] }, /sandbox_allow\[0\].*"exceve".*did you mean "execve"/],
  ['a mode that is none', { sandbox: 'strict' }, /sandbox: expected "off", "on" or "required"/],
]) {
  test(`check and start refuse ${what}`, async () => {
    const directory = makeDirectory();
    const file = writeConfig(directory, demoConfig((config) => Object.assign(config, change)));
    for (const command of ['check', 'start']) {
      const { code, stdout, stderr } = await run([command, file], { directory });
      assert.equal(code, 1, `${command}: ${stdout}`);
      assert.match(stderr, pattern, command);
      assert.doesNotMatch(stdout, /ready/);
    }
  });
}

test('check and start refuse a drop that the process has no right to', onlyRoot, async () => {
  const directory = openDirectory();
  // The binary may stand where only root can go.
  const copy = path.join(directory, 'server-binary');
  fs.copyFileSync(binary, copy);
  fs.chmodSync(copy, 0o755);
  const file = writeConfig(directory, { user: 'daemon', listeners: [{ address: '127.0.0.1:0' }] });
  for (const command of ['check', 'start']) {
    const { code, stdout, stderr } = await run(
        ['--reuid=nobody', '--regid=nogroup', '--clear-groups', copy, command, file], { directory, program: 'setpriv' });
    assert.equal(code, 1, `${command}: ${stdout} ${stderr}`);
    assert.match(stderr, /become user daemon, but this process \(uid 65534\) may not.*CAP_SETUID/);
    assert.doesNotMatch(stdout, /ready/);
  }
});

test('handlers are refused what every exploit asks for, with an error and not with death', async () => {
  const server = await startProgram(program);
  const refused = ['mount', 'unshare', 'setuid', 'kill', 'io_uring_setup', 'mmap_executable'];
  // A sanitizer's report needs these two.
  if (!sanitized) refused.push('execve', 'ptrace');
  for (const [call, errno] of Object.entries(await tries(server, ...refused))) assert.equal(errno, EPERM, call);
  assert.deepEqual(await tries(server, 'io_uring_register'), { io_uring_register: EACCES });
  const works = ['socket', 'open', 'memfd_create', 'fork', 'thread', 'dlopen', 'raise'];
  for (const [call, errno] of Object.entries(await tries(server, ...works))) assert.equal(errno, 0, call);
  const { totals } = await server.status();
  assert.equal(totals.restarts, 0);
  await server.stop();
});

test('sandbox_allow gives single system calls back', async () => {
  const server = await startProgram(program, { SANDBOXED_ALLOW: 'execve,io_uring_setup,mmap' });
  assert.deepEqual(await tries(server, 'execve', 'io_uring_setup', 'mmap_executable', 'mount'),
      { execve: ENOENT, io_uring_setup: 0, mmap_executable: 0, mount: EPERM });
  await server.stop();
});

test('without the sandbox nothing is refused, and status says so', async () => {
  const server = await startProgram(program, { SANDBOXED_MODE: 'off' });
  const answers = await tries(server, 'execve', 'kill', 'io_uring_setup', 'io_uring_register', 'mmap_executable');
  assert.deepEqual(answers, { execve: ENOENT, kill: 0, io_uring_setup: 0, io_uring_register: 0, mmap_executable: 0 });
  const { workers } = await server.status();
  for (const worker of workers) assert.equal(worker.sandbox.seccomp, 'off');
  assert.match((await server.command('status')).stdout, /system calls not filtered/);
  await server.stop();
});

test('a sandbox that is required starts where the kernel can', async () => {
  const server = await startProgram(program, { SANDBOXED_MODE: 'required' });
  assert.match(server.stderr, /sandbox required: .*system calls filtered, ring restricted/);
  await server.stop();
});

test('on_worker_open opens what the user may not; all after it is the user', onlyRoot, async () => {
  const server = await startProgram(program, { SANDBOXED_USER: 'nobody', SANDBOXED_OPEN: '/etc/shadow' });
  assert.equal((await get(server, '/identity')).body, 'handler=65534 start=65534 reads=true\n');
  assert.deepEqual(await tries(server, 'secret', 'kill'), { secret: EACCES, kill: EPERM });
  await server.stop();
});

test('an on_worker_open that fails stops the start with its reason', async () => {
  await assert.rejects(startProgram(program, { SANDBOXED_OPEN: '/nowhere/at/all' }), (error) => {
    assert.match(error.message, /on_worker_open: cannot open \/nowhere\/at\/all/);
    return true;
  });
});

test('a worker that aborts still dies of it, and is restarted', async () => {
  const server = await startProgram(program);
  await assert.rejects(get(server, '/abort'));
  const { workers } = await eventually(async () => {
    const status = await server.status();
    return status.totals.restarts === 1 && status.workers.every((worker) => worker.state === 'ready') && status;
  }, 'a restarted worker');
  assert.deepEqual(workers.map((worker) => worker.last_exit_signal).sort((a, b) => a - b), [0, 6]);
  await server.stop();
});

test('a server that was started without privileges is sandboxed all the same', onlyRoot, async () => {
  const directory = openDirectory();
  fs.chownSync(directory, 65534, 65534);
  const copy = path.join(directory, 'server-binary');
  fs.copyFileSync(binary, copy);
  fs.chmodSync(copy, 0o755);
  const file = writeConfig(directory, {
    user: 'nobody', listeners: [{ address: '127.0.0.1:0' }], routes: [{ path: '/hello', type: 'text', body: 'Hello' }],
  });
  const script = path.join(directory, 'start.sh');
  fs.writeFileSync(script, `#!/bin/sh\nshift\nexec setpriv --reuid=nobody --regid=nogroup --clear-groups ${copy} start ${file}\n`,
      { mode: 0o755 });
  const server = await startServer({ directory, program: script });
  assert.equal((await get(server, '/hello')).body, 'Hello');
  for (const pid of children(server.pid)) {
    const status = processStatus(pid);
    assert.equal(status.Uid, '65534 65534 65534 65534');
    assert.equal(status.CapEff, '0000000000000000');
    assert.equal(status.Seccomp, '2');
  }
  await server.stop();
});
