// Many hostile connections at once, on raw sockets. Each knows when its wait began and when the server ended it.

import net from 'node:net';
import { handshakeRequest } from './websocket_client.mjs';

const now = () => Number(process.hrtime.bigint()) / 1e6;
const headBytes = 512;
const tailBytes = 128;
const aByte = Buffer.alloc(1);
// Connections that are made at the same time: few, so that each is accepted soon after it was asked for.
const batchMax = 50;

// One of them. `attack` is an object of
//   open(attacker)      connected: send what begins the wait, then call attacker.begin()
//   websocket: true     opens a WebSocket first, at `path` (/ws); open() follows the 101
//   drip(attacker)      called every `every` milliseconds from begin() on
//   received(attacker, bytes)
//   reads: false        receives nothing, ever
//   reads: 'sips'       receives one byte at every drip
export class Attacker {
  constructor(port, attack, onEnd) {
    this.attack = attack;
    this.created = now();
    this.began = null;
    this.ended = null;
    this.step = 0;
    this.head = Buffer.alloc(0);  // the first bytes received
    this.tail = Buffer.alloc(0);  // the last ones
    this.upgraded = attack.websocket !== true;
    const sips = attack.reads === 'sips' ? { buffer: aByte, callback: () => false } : undefined;
    this.socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true, onread: sips });
    this.port = port;
    this.connected = new Promise((resolve, reject) => {
      this.socket.once('connect', () => {
        resolve();
        this.onConnect();
      });
      this.socket.once('error', reject);
    });
    this.connected.catch(() => {});
    const end = (how) => {
      if (this.ended !== null) return;
      this.ended = now();
      this.how = how;
      clearInterval(this.timer);
      this.socket.destroy();
      onEnd(this);
    };
    this.socket.on('end', () => end('end'));
    this.socket.on('error', (error) => end(error.code));
    this.socket.on('close', () => end('end'));
  }

  onConnect() {
    if (this.attack.websocket) {
      const host = `127.0.0.1:${this.port}`;
      this.greeted = now();
      this.socket.write(handshakeRequest({ path: this.attack.path, host, headers: { Origin: `http://${host}` } }).bytes);
    } else {
      if (this.attack.reads === false || this.attack.reads === 'sips') this.socket.pause();
      this.attack.open(this);
    }
    if (this.attack.reads !== 'sips') this.socket.on('data', (bytes) => this.onData(bytes));
    if (this.upgraded && (this.attack.reads === false || this.attack.reads === 'sips')) this.socket.pause();
  }

  onData(bytes) {
    if (this.head.length < headBytes) this.head = Buffer.concat([this.head, bytes.subarray(0, headBytes - this.head.length)]);
    this.tail = bytes.length >= tailBytes ? bytes.subarray(-tailBytes) : Buffer.concat([this.tail, bytes]).subarray(-tailBytes);
    if (!this.upgraded && this.head.includes('\r\n\r\n')) {
      this.upgraded = true;
      if (this.attack.reads === false) this.socket.pause();
      this.attack.open(this);
    } else {
      this.attack.received?.(this, bytes);
    }
  }

  // The wait that the server has to bound has begun: now, or when the connection was `created` or the handshake sent
  // (`greeted`).
  begin(at = now()) {
    this.began = at;
    if (!this.attack.drip) return;
    // Not all at the same moment.
    const every = this.attack.every ?? 100;
    setTimeout(() => {
      if (this.ended !== null) return;
      this.timer = setInterval(() => {
        if (this.attack.reads === 'sips') this.socket.resume();
        this.attack.drip(this);
      }, every);
    }, Math.random() * every);
  }

  write(bytes) {
    if (this.ended === null && this.socket.writable) this.socket.write(bytes);
  }

  // True while what was written before has not left.
  get blocked() {
    return this.socket.writableLength > 0;
  }
}

// `count` attackers. `ended` resolves to them all once the server has ended the last one.
export async function startAttackers(port, attack, count) {
  const all = [];
  let left = count;
  let last;
  const ended = new Promise((resolve) => { last = resolve; });
  while (all.length < count) {
    const batch = Array.from({ length: Math.min(batchMax, count - all.length) }, () =>
        new Attacker(port, attack, () => {
          if (--left === 0) last();
        }));
    all.push(...batch);
    await Promise.all(batch.map((attacker) => attacker.connected));
  }
  return { all, left: () => left, ended };
}
