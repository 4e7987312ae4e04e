// HAProxy in front of a server under test: the PROXY protocol as those speak it who wrote it down.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { eventually, makeDirectory, within } from './server.mjs';

const binary = ['/usr/sbin/haproxy', '/usr/local/sbin/haproxy', '/usr/bin/haproxy'].find((file) => fs.existsSync(file));
export const haproxyMissing = binary === undefined ? 'haproxy is not installed' : false;

export class Haproxy {
  // `mode`: tcp or http. `server`: what follows its server's address, "send-proxy-v2 check". `more`: lines of the
  // frontend. It listens on a port that the kernel chose here, since HAProxy cannot say which one it got; that it listens
  // shows in a unix socket beside it.
  static async start(port, { mode = 'tcp', server = '', more = [] }) {
    const directory = makeDirectory();
    const socket = path.join(directory, 'front.sock');
    const config = path.join(directory, 'haproxy.cfg');
    fs.writeFileSync(config, [
      'global',
      '  maxconn 200',
      'defaults',
      `  mode ${mode}`,
      '  timeout connect 5s',
      '  timeout client 30s',
      '  timeout server 30s',
      'frontend front',
      `  bind unix@${socket}`,
      '  bind fd@3',
      ...more.map((line) => `  ${line}`),
      '  default_backend back',
      'backend back',
      `  server ringmaster 127.0.0.1:${port} ${server}`,
      '',
    ].join('\n'));
    // A socket that listens already: the kernel chose its port, HAProxy inherits it.
    const listening = net.createServer();
    await new Promise((resolve) => listening.listen(0, '127.0.0.1', resolve));
    const proxy = new Haproxy();
    proxy.port = listening.address().port;
    proxy.output = '';
    proxy.child = spawn(binary, ['-db', '-f', config], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe', listening._handle.fd],
    });
    proxy.exited = new Promise((resolve) => proxy.child.once('close', resolve));
    for (const stream of [proxy.child.stdout, proxy.child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => { proxy.output += text; });
    }
    process.once('exit', () => proxy.child.kill('SIGKILL'));
    await eventually(() => fs.existsSync(socket) || proxy.child.exitCode !== null, 'haproxy listens');
    if (proxy.child.exitCode !== null) throw new Error(`haproxy ended: ${proxy.output}`);
    // From here on HAProxy alone accepts.
    listening.close();
    return proxy;
  }

  async stop() {
    this.child.kill('SIGTERM');
    await within(this.exited, 'the end of haproxy');
  }
}
