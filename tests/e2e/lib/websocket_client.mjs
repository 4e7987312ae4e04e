// A strict WebSocket peer on a raw socket: it builds any frame, right or wrong, and refuses what a server must not send.

import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';
import { patience, within } from './server.mjs';

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

// One frame. Every part can be wrong on purpose: `rsv` (0-7), `masked: false`, any `opcode`, `length` that lies,
// `lengthForm` 7 | 16 | 64 that is not the shortest.
export function frame(opcode, payload = '', { fin = true, rsv = 0, masked = true, mask = null, length = null, lengthForm = null } = {}) {
  const data = Buffer.isBuffer(payload) ? payload : Buffer.from(payload, 'utf8');
  const bytes = length ?? data.length;
  const form = lengthForm ?? (bytes < 126 ? 7 : bytes < 65536 ? 16 : 64);
  const header = Buffer.alloc(2 + (form === 16 ? 2 : form === 64 ? 8 : 0));
  header[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  header[1] = (masked ? 0x80 : 0) | (form === 7 ? Number(bytes) : form === 16 ? 126 : 127);
  if (form === 16) header.writeUInt16BE(Number(bytes), 2);
  if (form === 64) header.writeBigUInt64BE(BigInt(bytes), 2);
  if (!masked) return Buffer.concat([header, data]);
  const key = mask ?? randomBytes(4);
  const hidden = Buffer.from(data);
  for (let i = 0; i < hidden.length; ++i) hidden[i] ^= key[i & 3];
  return Buffer.concat([header, key, hidden]);
}

export const text = (payload, options) => frame(opcodes.text, payload, options);
export const binary = (payload, options) => frame(opcodes.binary, payload, options);
export const continuation = (payload, options) => frame(opcodes.continuation, payload, options);
export const ping = (payload, options) => frame(opcodes.ping, payload, options);
export const pong = (payload, options) => frame(opcodes.pong, payload, options);

export function close(code, reason = '', options) {
  if (code === undefined) return frame(opcodes.close, '', options);
  const status = Buffer.alloc(2);
  status.writeUInt16BE(code);
  return frame(opcodes.close, Buffer.concat([status, Buffer.from(reason)]), options);
}

function takeFrame(bytes) {
  if (bytes.length < 2) return null;
  const [first, second] = bytes;
  const fin = (first & 0x80) !== 0;
  const opcode = first & 0x0f;
  if (first & 0x70) throw new Error('the server set a reserved bit');
  if (second & 0x80) throw new Error('the server masked a frame');
  let length = second & 0x7f;
  let begin = 2;
  if (length === 126) {
    if (bytes.length < 4) return null;
    length = bytes.readUInt16BE(2);
    if (length < 126) throw new Error('a length that is not the shortest');
    begin = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return null;
    length = Number(bytes.readBigUInt64BE(2));
    if (length < 65536) throw new Error('a length that is not the shortest');
    begin = 10;
  }
  if (opcode >= 8 && (length > 125 || !fin)) throw new Error('a control frame that is long or fragmented');
  if (![0, 1, 2, 8, 9, 10].includes(opcode)) throw new Error(`the server sent opcode ${opcode}`);
  if (bytes.length < begin + length) return null;
  return { fin, opcode, payload: bytes.subarray(begin, begin + length), end: begin + length };
}

export class WebSocketPeer {
  constructor(socket, head) {
    this.socket = socket;
    this.pieces = head.length > 0 ? [head] : [];
    this.events = [];  // ['text', string] | ['binary', Buffer] | ['ping'|'pong', Buffer] | ['close', code, reason] | ['end']
    this.fragments = null;
    this.waiting = [];
    socket.removeAllListeners('data');
    socket.on('data', (bytes) => {
      this.pieces.push(bytes);
      this.parse();
    });
    socket.on('end', () => this.finish('end'));
    socket.on('error', (error) => this.finish(error.code));
    socket.on('close', () => this.finish('end'));
    this.parse();
  }

  push(event) {
    if (this.events.at(-1)?.[0] === 'end') throw new Error('an event after the end');
    this.events.push(event);
    this.waiting.splice(0).forEach((wake) => wake());
  }

  finish(how) {
    if (this.finished) return;
    this.finished = true;
    this.push(how === 'end' ? ['end'] : ['end', how]);
    this.socket.end();
  }

  parse() {
    // A large message comes in many pieces; they are joined only when the frame can be complete.
    const total = this.pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (total < (this.needed ?? 0)) return;
    let bytes = Buffer.concat(this.pieces);
    try {
      for (;;) {
        const found = takeFrame(bytes);
        if (found === null) break;
        bytes = bytes.subarray(found.end);
        this.onFrame(found);
      }
    } catch (error) {
      this.push(['violation', error.message]);
      this.socket.destroy();
      return;
    }
    this.needed = bytes.length >= 10 && (bytes[1] & 0x7f) === 127 ? Number(bytes.readBigUInt64BE(2)) + 10 : 0;
    this.pieces = bytes.length > 0 ? [bytes] : [];
  }

  onFrame({ fin, opcode, payload }) {
    if (this.events.some(([kind]) => kind === 'close')) throw new Error('a frame after the close frame');
    if (opcode === opcodes.close) {
      if (payload.length === 1) throw new Error('a close frame with one byte');
      return payload.length === 0 ? this.push(['close', null, ''])
          : this.push(['close', payload.readUInt16BE(0), payload.toString('utf8', 2)]);
    }
    if (opcode === opcodes.ping) return this.push(['ping', payload]);
    if (opcode === opcodes.pong) return this.push(['pong', payload]);
    if (opcode === opcodes.continuation) {
      if (!this.fragments) throw new Error('a continuation of nothing');
    } else {
      if (this.fragments) throw new Error('a new message inside another');
      this.fragments = { opcode, payloads: [] };
    }
    this.fragments.payloads.push(payload);
    if (!fin) return;
    const message = Buffer.concat(this.fragments.payloads);
    const kind = this.fragments.opcode === opcodes.text ? 'text' : 'binary';
    this.fragments = null;
    this.push([kind, kind === 'text' ? new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(message) : message]);
  }

  send(...frames) {
    if (this.socket.writable) this.socket.write(Buffer.concat(frames));
  }

  // One write (and so one segment) for every `size` bytes; the loop turns in between.
  async sendChopped(bytes, size) {
    for (let at = 0; at < bytes.length && !this.finished; at += size) {
      if (this.socket.writable) this.socket.write(bytes.subarray(at, at + size));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  // Resolves when `count` events have come, or the end.
  async waitFor(count, milliseconds = patience) {
    await within((async () => {
      while (this.events.length < count && !this.finished) {
        await new Promise((resolve) => this.waiting.push(resolve));
      }
    })(), () => `${count} events; so far ${describe(this.events)}`, milliseconds);
    return this.events;
  }

  // Resolves with all events when the server has closed the connection.
  async waitForEnd(milliseconds = patience / 2) {
    return this.waitFor(Infinity, milliseconds);
  }

  destroy() {
    this.socket.destroy();
  }
}

export function describe(events) {
  const shorten = (part) => {
    const value = Buffer.isBuffer(part) ? `0x${part.toString('hex', 0, 24)}` : JSON.stringify(part);
    return value.length > 60 ? `${value.slice(0, 60)}...(${part.length})` : value;
  };
  return events.map((event) => `[${event.map(shorten).join(' ')}]`).join(' ') || 'none';
}

export function handshakeRequest({ path = '/ws', key = randomBytes(16).toString('base64'), host = 'a', headers = {}, omit = [] } = {}) {
  const fields = {
    Host: host,
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': key,
    ...headers,
  };
  const lines = Object.entries(fields).filter(([name]) => !omit.includes(name)).map(([name, value]) => `${name}: ${value}\r\n`);
  return { key, bytes: Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1') };
}

export function acceptOf(key) {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

// Opens a WebSocket. The demonstration's /ws wants its own origin, so one is sent unless headers say otherwise.
// Resolves to {status, headers, peer}; `peer` only for 101.
export async function openWebSocket(port, { path = '/ws', headers = {}, behind = Buffer.alloc(0), omit = [] } = {}) {
  const host = `127.0.0.1:${port}`;
  const fields = { Origin: `http://${host}`, ...headers };
  for (const name of Object.keys(fields)) if (fields[name] === null) delete fields[name];
  const { key, bytes } = handshakeRequest({ path, host, headers: fields, omit });
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  let received = Buffer.alloc(0);
  const answer = new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('end', () => reject(new Error(`closed during the handshake: ${received}`)));
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      const end = received.indexOf('\r\n\r\n');
      if (end >= 0) resolve({ head: received.toString('latin1', 0, end), rest: received.subarray(end + 4) });
    });
  });
  socket.write(Buffer.concat([bytes, behind]));
  const { head, rest } = await within(answer, 'answer to the handshake');
  const [statusLine, ...lines] = head.split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)[1]);
  const answered = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
  if (status !== 101) {
    socket.destroy();
    return { status, headers: answered };
  }
  if (answered['sec-websocket-accept'] !== acceptOf(key)) throw new Error('a wrong Sec-WebSocket-Accept');
  socket.removeAllListeners();
  return { status, headers: answered, peer: new WebSocketPeer(socket, rest) };
}
