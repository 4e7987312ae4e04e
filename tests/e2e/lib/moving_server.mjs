// Starts tests/e2e/programs/moving_server.cc from a copy of its own, so that its file can be replaced while it runs, as
// an installation does it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { makeDirectory, root, startServer } from './server.mjs';

export const releases = {
  1: process.env.MOVING_SERVER_1 ?? path.join(root, 'build-release/tests/e2e/programs/moving_server_1'),
  2: process.env.MOVING_SERVER_2 ?? path.join(root, 'build-release/tests/e2e/programs/moving_server_2'),
};

// What is at `file` from now on: a rename, so nobody ever sees half of it. `mode` 0: nothing is there.
export function replaceProgram(server, file, mode = 0o755) {
  const next = `${server.program}.next`;
  fs.copyFileSync(file, next);
  fs.chmodSync(next, mode);
  fs.renameSync(next, server.program);
}

// The settings that processes started from now on have. What is said before stays unless it is undefined.
export function change(server, settings) {
  server.settings = { ...server.settings, ...settings };
  const lines = Object.entries(server.settings).filter(([, value]) => value !== undefined).map(([key, value]) => `${key}=${value}\n`);
  const file = path.join(server.directory, 'settings');
  fs.writeFileSync(`${file}.next`, lines.join(''));
  fs.renameSync(`${file}.next`, file);
}

// `server.linePort` is the port of the lines.
export async function startMovingServer(settings = {}, release = 1) {
  const directory = makeDirectory();
  const program = path.join(directory, 'moving_server');
  change({ directory }, settings);
  const first = { directory, program };
  replaceProgram(first, releases[release]);
  const server = await startServer({ directory, program, env: { MOVING_SETTINGS: path.join(directory, 'settings') } });
  server.settings = settings;
  const ports = [...server.output.matchAll(/listening on\s+127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port));
  assert.equal(ports.length, 2, server.output);
  server.linePort = ports[1];
  const run = server.command.bind(server);
  // Which program is asked does not matter, and the one that is installed may be none.
  server.command = (...args) => {
    const installed = server.program;
    server.program = releases[release];
    const result = run(...args);
    server.program = installed;
    return result;
  };
  return server;
}

// "release=1 pid=4711 name=x" as { release: '1', pid: '4711', name: 'x' }; a value goes to the next key.
export function parseAnswer(text) {
  return Object.fromEntries([...text.matchAll(/(\w+)=(.*?)(?=\s+\w+=|\s*$)/g)].map(([, key, value]) => [key, value]));
}
