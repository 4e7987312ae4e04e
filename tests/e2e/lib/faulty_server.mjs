// An HTTP and WebSocket server that answers as it must, but for what a test makes it do wrong: GET is greeted, a PUT's
// content comes back, a WebSocket's messages too.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';

const greeting = Buffer.from('Hello!');

// One HTTP response with exact length.
export function response(body, { status = '200 OK', fields = '' } = {}) {
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n${fields}\r\n`), body,
  ]);
}

// One unmasked frame.
export function serverFrame(opcode, payload, fin = true) {
  const length = payload.length < 126 ? Buffer.from([payload.length])
                                      : Buffer.from([126, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([Buffer.from([(fin ? 128 : 0) | opcode]), length, payload]);
}

function takeRequest(bytes) {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = bytes.toString('latin1', 0, end);
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
  if (bytes.length < end + 4 + length) return null;
  return {
    method: head.split(' ', 1)[0],
    key: /\r\nsec-websocket-key: (\S+)/i.exec(head)?.[1],
    close: /\r\nconnection: close/i.test(head),
    body: bytes.subarray(end + 4, end + 4 + length),
    bytes: end + 4 + length,
  };
}

function takeFrame(bytes) {
  if (bytes.length < 2) return null;
  const short = bytes[1] & 127;
  const begin = short === 126 ? 8 : 6;
  if (bytes.length < begin) return null;
  const length = short === 126 ? bytes.readUInt16BE(2) : short;
  if (bytes.length < begin + length) return null;
  const payload = Buffer.from(bytes.subarray(begin, begin + length));
  for (let i = 0; i < length; ++i) payload[i] ^= bytes[begin - 4 + (i & 3)];
  return { fin: (bytes[0] & 128) !== 0, opcode: bytes[0] & 15, payload, bytes: begin + length };
}

class Connection {
  constructor(socket, index, faults) {
    Object.assign(this, { socket, index, faults, unread: Buffer.alloc(0), fragments: [], upgraded: false });
    this.messages = 0;
    socket.setNoDelay(true).on('error', () => {});
    if (faults.connection?.(this)) return;
    socket.on('data', (bytes) => {
      this.unread = Buffer.concat([this.unread, bytes]);
      if (!this.upgraded) this.takeRequests();
      if (this.upgraded) this.takeFrames();
    });
  }

  write(...pieces) {
    if (this.socket.writable) this.socket.write(Buffer.concat(pieces));
  }

  takeRequests() {
    const requests = [];
    for (let request; !this.upgraded && (request = takeRequest(this.unread));) {
      this.unread = this.unread.subarray(request.bytes);
      if (request.key) this.upgrade(request.key);
      else requests.push(request);
    }
    if (requests.length === 0 || this.faults.requests?.(requests, this)) return;
    for (const request of requests) this.answer(request);
  }

  answer(request, options = {}) {
    const fields = (options.fields ?? '') + (request.close ? 'Connection: close\r\n' : '');
    this.write(response(request.method === 'GET' ? greeting : request.body, { ...options, fields }));
    if (request.close) this.socket.end();
  }

  upgrade(key) {
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    this.write(Buffer.from('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
                           `Sec-WebSocket-Accept: ${accept}\r\n\r\n`));
    this.upgraded = true;
  }

  takeFrames() {
    for (let frame; (frame = takeFrame(this.unread));) {
      this.unread = this.unread.subarray(frame.bytes);
      if (frame.opcode === 8) {
        if (this.faults.close?.(frame.payload, this)) continue;
        this.socket.end(serverFrame(8, frame.payload));
      } else if (frame.opcode === 9) {
        if (!this.faults.ping?.(frame.payload, this)) this.write(serverFrame(10, frame.payload));
      } else {
        this.fragments.push(frame);
        if (!frame.fin) continue;
        const message = {
          opcode: this.fragments[0].opcode,
          payload: Buffer.concat(this.fragments.map(({ payload }) => payload)),
          number: ++this.messages,
        };
        this.fragments = [];
        if (!this.faults.message?.(message, this)) this.echo(message);
      }
    }
  }

  echo({ opcode, payload }) {
    this.write(serverFrame(opcode, payload));
  }
}

// `faults` may have connection(connection), requests(requests, connection) with all that came at once, message(message,
// connection), ping(payload, connection) and close(payload, connection); each returns true for what it has dealt with.
export async function startFaultyServer(faults = {}) {
  const sockets = new Set();
  const server = net.createServer({ allowHalfOpen: false });
  let count = 0;
  server.on('connection', (socket) => {
    sockets.add(socket.unref());
    socket.on('close', () => sockets.delete(socket));
    new Connection(socket, count++, faults);
  });
  // A test that failed may leave it behind.
  server.listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  return {
    port: server.address().port,
    // New connections are refused from now on.
    stopListening: () => new Promise((resolve) => {
      server.close();
      setImmediate(resolve);
    }),
    end() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
