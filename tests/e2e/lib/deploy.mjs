// What an operator does to a running server (reload, upgrade), and what must be left of it afterwards.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { askAdmin } from './admin_client.mjs';
import { eventually } from './server.mjs';

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// For the length of a run: what stands in the environment, or what a quick run does.
export function numberFrom(variable, otherwise) {
  const text = process.env[variable];
  if (text === undefined || text === '') return otherwise;
  assert.match(text, /^\d+$/, `${variable} must be a number`);
  return Number(text);
}

// `reload --wait` or `upgrade --wait`, which must succeed. Gives what it printed.
export async function deploy(server, command = 'reload') {
  const { code, signal, stdout, stderr } = await server.command(command, '--wait');
  assert.equal(code, 0, `${command} --wait: ${signal ?? code}\n${stdout}${stderr}\n${server.output.slice(-4000)}`);
  return stdout;
}

// A deploy that must come to nothing, for a reason that `pattern` describes and that is visible everywhere.
export async function deployInVain(server, pattern, command = 'reload') {
  const before = await server.status();
  const { code, stdout, stderr } = await server.command(command, '--wait');
  assert.equal(code, 1, stdout + stderr);
  assert.match(stderr, /abandoned/);
  assert.match(stderr, pattern);
  const status = await server.status();
  assert.equal(status.generation, before.generation);
  assert.equal(status.version, before.version);
  assert.equal(status.reload.upgrades, before.reload.upgrades);
  if (command === 'upgrade') return stderr;
  assert.equal(status.reload.last_result, 'abandoned');
  assert.match(status.reload.last_reason, pattern);
  assert.equal(status.reload.abandoned, before.reload.abandoned + 1);
  assert.equal(status.reload.state, 'idle');
  const { stdout: table } = await server.command('status');
  assert.match(table, pattern);
  const { body: metrics } = await askAdmin(status.admin.address, '/metrics');
  const found = /^ringmaster_reloads_total\{result="abandoned"\} (\d+)$/m.exec(metrics);
  assert.equal(Number(found?.[1]), status.reload.abandoned, 'the counter');
  return stderr;
}

const children = (pid) => fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);

export function stateOf(pid) {
  try {
    return /^State:\s+(\S)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1];
  } catch {
    return null;  // gone
  }
}

export const alive = (pid) => ![null, 'Z', 'X'].includes(stateOf(pid));

export function descriptorCount(pid) {
  return fs.readdirSync(`/proc/${pid}/fd`).length;
}

// Every process of the server, and how many descriptors each has: {master, workers: [...]} by role, so that the same
// server after a deploy can be compared with the one before.
export async function descriptorCounts(server) {
  return { master: descriptorCount(server.pid), workers: server.workers().map(descriptorCount).sort((a, b) => a - b) };
}

// Waits until old workers have left: `count` workers, the admin process, no zombie.
export async function settled(server, count) {
  await eventually(async () => {
    const pids = children(server.pid);
    if (pids.some((pid) => stateOf(pid) === 'Z') || server.workers().length !== count || pids.length !== count + 1) return false;
    const status = await server.status();
    return status.reload.state === 'idle' && status.workers.filter(({ state }) => state === 'ready').length === count &&
        status.admin?.state === 'ready';
  }, `${count} workers and the admin process; there are ${children(server.pid).map((pid) => `${pid} ${stateOf(pid)}`)}`);
}

export function allProcesses(server) {
  return [server.pid, ...children(server.pid)];
}

// For a server that is started again at the same place.
export function freePort() {
  return new Promise((resolve, reject) => {
    const listener = net.createServer();
    listener.once('error', reject);
    listener.listen(0, '127.0.0.1', () => {
      const { port } = listener.address();
      listener.close(() => resolve(port));
    });
  });
}
