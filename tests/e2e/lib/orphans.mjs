// A server whose master dies, and what is left of it: workers without a master (orphaned_workers "serve").

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { alive, allProcesses } from './deploy.mjs';
import { eventually, within } from './server.mjs';

// Ends it as the kernel does. Gives its children: {workers, others}. `server.exited` would wait for its output's end,
// which workers keep open.
export async function killMaster(server) {
  const workers = server.workers();
  const others = allProcesses(server).filter((pid) => pid !== server.pid && !workers.includes(pid));
  const ended = new Promise((resolve) => server.child.once('exit', resolve));
  process.kill(server.pid, 'SIGKILL');
  await within(ended, 'end of the master');
  return { workers, others };
}

export async function allGone(pids) {
  await eventually(() => !pids.some(alive), `end of ${pids.filter(alive)}`);
}

// The files by which a server is found.
export function runtimeFiles(directory) {
  const runtime = path.join(directory, 'ringmaster');
  return fs.existsSync(runtime) ? fs.readdirSync(runtime).sort() : [];
}

// Stops it by its command; neither process nor file is left.
export async function stopWithoutTrace(server) {
  const pids = allProcesses(server);
  const { code, stderr } = await server.command('stop');
  assert.equal(code, 0, stderr);
  await allGone(pids);
  server.assertNoReport();
  assert.deepEqual(runtimeFiles(server.directory), []);
  fs.rmSync(server.directory, { recursive: true });
}
