// A few connections of each kind that exchange verified messages all the time, and open again when they end: for runs in
// which servers stop and workers die. Whoever ends it says so before (excuse): every other end is a failure.

import net from 'node:net';
import { pause } from './deploy.mjs';
import { parseResponse } from './http_client.mjs';
import { patience } from './server.mjs';
import { openWebSocket, text } from './websocket_client.mjs';

const interval = 40;

export class LightLoad {
  constructor(port, { websockets = 6, keepalive = 6 } = {}) {
    this.port = port;
    this.counts = { websockets, keepalive };
    this.failures = [];
    this.answered = { websockets: 0, keepalive: 0, connects: 0 };
    this.clients = new Set();
    this.connects = new Set();
    this.connecting = false;
  }

  fail(what) {
    this.failures.push(`${new Date().toISOString()} ${what}`);
  }

  // Opens what is missing and begins to open new connections.
  async begin() {
    const missing = (kind) => this.counts[kind] - [...this.clients].filter((client) => client.kind === kind).length;
    await Promise.all([
      ...Array.from({ length: missing('websockets') }, () => this.#openWebSocket()),
      ...Array.from({ length: missing('keepalive') }, () => this.#openKeepAlive()),
    ]);
    if (this.connecting) return;
    this.connecting = true;
    this.connector = this.#connectOften();
  }

  // No new connections from now on; waits for those under way.
  async pauseConnects() {
    this.connecting = false;
    await this.connector;
    await Promise.all(this.connects);
  }

  // The local ports of connections that may end from now on, or all.
  excuse(ports = null) {
    for (const client of this.clients) {
      if (ports === null || ports.has(client.port)) client.excused = true;
    }
    for (const connect of this.connects) connect.excused = true;
  }

  // Every excused one has ended. Else it lives on, and that is to be counted again.
  async excusedEnded() {
    const end = performance.now() + patience;
    while ([...this.clients].some(({ excused }) => excused)) {
      if (performance.now() > end) throw new Error('connections that should have ended are open');
      await pause(5);
    }
  }

  async end() {
    await this.pauseConnects();
    this.ending = true;
    for (const client of this.clients) client.socket.destroy();
  }

  async #openWebSocket() {
    const { status, peer } = await openWebSocket(this.port);
    if (status !== 101) throw new Error(`a handshake got ${status}`);
    const client = { kind: 'websockets', socket: peer.socket, port: peer.socket.localPort, sent: 0, seen: 0, closeCode: null };
    this.clients.add(client);
    peer.push = (event) => this.#onEvent(client, event);
    client.timer = setInterval(() => {
      if (client.closeCode !== null) return;
      if (client.sent - client.seen > 5000 / interval) {
        this.fail(`WebSocket ${client.port}: no answer to ${client.seen + 1} for 5 s`);
        this.#onEnd(client, null);
        peer.destroy();
        return;
      }
      peer.send(text(`${client.port}.${++client.sent}`));
    }, interval).unref();
  }

  #onEvent(client, [kind, value]) {
    if (kind === 'text') {
      ++client.seen;
      ++this.answered.websockets;
      if (value !== `${client.port}.${client.seen}`) this.fail(`WebSocket ${client.port}: ${value} instead of ${client.seen}`);
    } else if (kind === 'close') {
      client.closeCode = value;
      client.socket.end();
    } else if (kind === 'end') {
      this.#onEnd(client, value ?? null);
    } else {
      this.fail(`WebSocket ${client.port}: ${kind}`);
    }
  }

  #onEnd(client, error) {
    if (!this.clients.delete(client)) return;
    clearInterval(client.timer);
    client.ended = true;
    client.how = error ?? client.closeCode ?? 'end';
    client.onEnd?.(client);
    if (this.ending || client.excused) return;
    this.fail(`${client.kind} ${client.port}: ended by ${client.how}`);
  }

  async #openKeepAlive() {
    const socket = net.connect({ port: this.port, host: '127.0.0.1', noDelay: true });
    const client = { kind: 'keepalive', socket, sent: 0, seen: 0 };
    let received = Buffer.alloc(0);
    let error = null;
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    client.port = socket.localPort;
    this.clients.add(client);
    const ask = () => {
      if (client.ended) return;
      const body = `${client.port}.${++client.sent}`;
      client.asked = performance.now();
      socket.write(`PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    };
    client.timer = setInterval(() => {
      if (client.sent === client.seen || performance.now() - client.asked < 5000) return;
      this.fail(`kept connection ${client.port}: no answer for 5 s`);
      this.#onEnd(client, null);
      socket.destroy();
    }, 500).unref();
    socket.on('data', (bytes) => {
      received = Buffer.concat([received, bytes]);
      const parsed = parseResponse(received);
      if (parsed === null) return;
      received = received.subarray(parsed.end);
      ++client.seen;
      ++this.answered.keepalive;
      const { status, body, headers } = parsed.response;
      if (status !== 200 || `${body}` !== `${client.port}.${client.sent}` || received.length > 0) {
        this.fail(`kept connection ${client.port}: ${status} ${body} instead of ${client.sent}`);
      }
      if (headers.connection === 'close') {
        // Its right at any time; nothing is lost.
        client.excused = true;
        return;
      }
      setTimeout(ask, interval).unref();
    });
    socket.on('error', ({ code }) => { error = code; });
    socket.on('close', () => {
      // An end while nothing is asked, too, is its right (RFC 9112 section 9.8), but no reset.
      if (client.sent === client.seen && error === null && received.length === 0) client.excused = true;
      this.#onEnd(client, error);
    });
    ask();
  }

  async #connectOften() {
    while (this.connecting) {
      const connect = this.#connectOnce();
      this.connects.add(connect);
      connect.finally(() => this.connects.delete(connect));
      await pause(25);
    }
  }

  #connectOnce() {
    let done;
    const promise = new Promise((resolve) => { done = resolve; });
    const socket = net.connect({ port: this.port, host: '127.0.0.1' });
    let received = Buffer.alloc(0);
    let error = null;
    const timer = setTimeout(() => {
      this.fail('a new connection got no answer for 10 s');
      socket.destroy();
    }, 10_000).unref();
    socket.on('connect', () => socket.write('GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'));
    socket.on('data', (bytes) => { received = Buffer.concat([received, bytes]); });
    socket.on('error', ({ code }) => { error = code; });
    socket.on('close', () => {
      clearTimeout(timer);
      const parsed = error === null ? parseResponse(received, { ended: true }) : null;
      if (parsed?.response.status === 200 && `${parsed.response.body}` === 'Hello, World!') {
        ++this.answered.connects;
      } else if (!promise.excused) {
        this.fail(`a new connection: ${error ?? JSON.stringify(`${received}`.slice(0, 60))}`);
      }
      done();
    });
    return promise;
  }
}
