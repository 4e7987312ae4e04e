// Starts one of the programs in tests/programs, which take their settings from the environment, in the foreground.

import { execFile, spawn } from 'node:child_process';
import { environment, makeDirectory, patience, RunningServer, within } from './server.mjs';

export async function startProgram(program, env = {}) {
  const directory = makeDirectory();
  const settings = environment(directory, env);
  const child = spawn(program, ['start'], { env: settings, cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  process.once('exit', () => child.kill('SIGKILL'));
  for (const handle of [child, child.stdout, child.stderr]) handle.unref();
  const server = new RunningServer(child, directory);
  server.command = (...args) => new Promise((resolve) => {
    execFile(program, args, { env: settings, timeout: patience, cwd: directory, maxBuffer: 1 << 28 },
        (error, stdout, stderr) => resolve({
          code: error ? error.code : 0, signal: error?.signal ?? null, failure: error?.message ?? '', stdout, stderr,
        }));
  });
  const ready = new Promise((resolve, reject) => {
    const look = () => {
      const found = /listening on\s+127\.0\.0\.1:([1-9]\d*)/.exec(server.output);
      if (!found || !/\bready\b/.test(server.output)) return;
      server.host = '127.0.0.1';
      server.port = Number(found[1]);
      resolve();
    };
    child.stdout.setEncoding('utf8').on('data', (text) => { server.stdout += text; look(); });
    child.stderr.setEncoding('utf8').on('data', (text) => { server.stderr += text; look(); });
    child.once('error', reject);
    server.exited.then(({ code }) => reject(new Error(`the program ended (${code}) early:\n${server.output}`)));
  });
  await within(ready, `"ready" from ${program}`);
  return server;
}
