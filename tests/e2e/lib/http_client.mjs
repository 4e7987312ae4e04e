// A strict HTTP/1.1 client on a raw socket: it sends exactly the bytes it is told, cut where it is told, and parses
// what comes back without forgiving anything.

import { once } from 'node:events';
import net from 'node:net';
import { sanitized } from './server.mjs';

export const crlf = '\r\n';

// No answer in this time is called a hang; every timeout of the demonstration configuration is longer.
const hangsAfter = sanitized ? 9_000 : 6_000;

const headEnd = Buffer.from('\r\n\r\n');

function parseHead(text) {
  const lines = text.split('\r\n');
  const statusLine = /^HTTP\/1\.1 (\d{3}) ([^\r\n]*)$/.exec(lines[0]);
  if (!statusLine) throw new Error(`not a status line: ${JSON.stringify(lines[0].slice(0, 80))}`);
  const headers = {};
  for (const line of lines.slice(1)) {
    const field = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/.exec(line);
    if (!field) throw new Error(`not a header field: ${JSON.stringify(line)}`);
    const name = field[1].toLowerCase();
    headers[name] = name in headers ? `${headers[name]}, ${field[2]}` : field[2];
  }
  return { status: Number(statusLine[1]), reason: statusLine[2], headers };
}

function parseChunked(bytes, offset) {
  const pieces = [];
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', offset);
    if (lineEnd < 0) return null;
    const line = bytes.toString('latin1', offset, lineEnd);
    if (!/^[0-9a-fA-F]+$/.test(line)) throw new Error(`not a chunk size: ${JSON.stringify(line)}`);
    const size = parseInt(line, 16);
    offset = lineEnd + 2;
    if (size === 0) {
      if (bytes.length < offset + 2) return null;
      if (bytes.toString('latin1', offset, offset + 2) !== crlf) throw new Error('bytes after the last chunk');
      return { body: Buffer.concat(pieces), end: offset + 2 };
    }
    if (bytes.length < offset + size + 2) return null;
    pieces.push(bytes.subarray(offset, offset + size));
    if (bytes.toString('latin1', offset + size, offset + size + 2) !== crlf) throw new Error('chunk without end');
    offset += size + 2;
  }
}

// Takes one response from the front of `bytes`. Returns null while it is incomplete, else {response, end}. Throws on
// anything that is no HTTP. `noBody`: the response to a HEAD request.
export function parseResponse(bytes, { noBody = false, ended = false } = {}) {
  const end = bytes.indexOf(headEnd);
  if (end < 0) return null;
  const response = parseHead(bytes.toString('latin1', 0, end));
  const bodyBegin = end + 4;
  const { status, headers } = response;
  if (noBody || status < 200 || status === 204 || status === 304) {
    return { response: { ...response, body: Buffer.alloc(0) }, end: bodyBegin };
  }
  if (headers['transfer-encoding'] !== undefined) {
    if (headers['content-length'] !== undefined) throw new Error('both Content-Length and Transfer-Encoding');
    const chunked = parseChunked(bytes, bodyBegin);
    return chunked && { response: { ...response, body: chunked.body }, end: chunked.end };
  }
  if (headers['content-length'] !== undefined) {
    if (!/^\d+$/.test(headers['content-length'])) throw new Error('bad Content-Length in the response');
    const bodyEnd = bodyBegin + Number(headers['content-length']);
    if (bytes.length < bodyEnd) return null;
    return { response: { ...response, body: bytes.subarray(bodyBegin, bodyEnd) }, end: bodyEnd };
  }
  if (!ended) return null;
  return { response: { ...response, body: bytes.subarray(bodyBegin) }, end: bytes.length };
}

// All responses in `bytes`, final ones and 1xx. `heads[i]` true: the i-th final response answers a HEAD.
export function parseResponses(bytes, heads = []) {
  const responses = [];
  let finals = 0;
  while (bytes.length > 0) {
    const parsed = parseResponse(bytes, { noBody: heads[finals] === true, ended: true });
    if (parsed === null) throw new Error(`an incomplete response: ${JSON.stringify(bytes.toString('latin1', 0, 200))}`);
    responses.push(parsed.response);
    if (parsed.response.status >= 200) ++finals;
    bytes = bytes.subarray(parsed.end);
  }
  return responses;
}

// A connection that collects what it receives until the server closes it.
export class RawConnection {
  constructor(port, host = '127.0.0.1', options = {}) {
    this.received = [];
    this.ended = false;
    this.failure = null;
    this.socket = net.connect({ port, host, noDelay: true, allowHalfOpen: true, ...options });
    this.connected = new Promise((resolve, reject) => {
      this.socket.once('connect', resolve);
      this.socket.once('error', reject);
    });
    this.connected.catch(() => {});
    this.closed = new Promise((resolve) => {
      const finish = () => {
        clearTimeout(this.timer);
        this.ended = true;
        resolve(this);
      };
      this.socket.on('data', (bytes) => this.received.push(bytes));
      this.socket.on('end', () => {
        this.socket.end();
        finish();
      });
      this.socket.on('error', (error) => {
        this.failure ??= error.code;
        finish();
      });
      this.socket.on('close', finish);
      this.timer = setTimeout(() => {
        this.failure = 'hangs';
        this.socket.destroy();
        finish();
      }, hangsAfter);
    });
  }

  write(bytes) {
    if (!this.ended && this.socket.writable) this.socket.write(bytes);
  }

  get bytes() {
    return Buffer.concat(this.received);
  }
}

// A connection that is asked one thing after the other. `first`: bytes in front of the first request, such as a PROXY
// protocol header. `options`: those of net.connect.
export class Conversation extends RawConnection {
  constructor(port, { first = '', ...options } = {}) {
    super(port, '127.0.0.1', options);
    this.taken = 0;
    if (first.length > 0) this.write(first);
  }

  // Sends `request` (bytes or text) and resolves to its response. Rejects if the connection ends without one.
  async ask(request) {
    this.write(request);
    for (;;) {
      const parsed = parseResponse(this.bytes.subarray(this.taken), { ended: this.ended });
      if (parsed !== null) {
        this.taken += parsed.end;
        return parsed.response;
      }
      if (this.ended) throw new Error(`no response: ${this.failure ?? 'the server closed'}`);
      await Promise.race([once(this.socket, 'data').catch(() => {}), this.closed]);
    }
  }

  get(target = '/hello', fields = '') {
    return this.ask(`GET ${target} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
  }

  end() {
    this.socket.destroy();
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Sends many inputs at the same time, each on a connection of its own, each cut into the pieces given; the i-th pieces
// of all leave before the (i+1)-th of any, with time in between for the server to read them apart.
// `inputs`: arrays of pieces (Buffers). Resolves to one {bytes, failure} each, when the server has closed them all.
export async function sendAll(port, inputs, { gap = 0 } = {}) {
  const connections = inputs.map(() => new RawConnection(port));
  await Promise.all(connections.map((connection) => connection.connected));
  const rounds = Math.max(...inputs.map((pieces) => pieces.length));
  for (let round = 0; round < rounds; ++round) {
    connections.forEach((connection, i) => {
      if (round < inputs[i].length) connection.write(inputs[i][round]);
    });
    await (gap > 0 && round + 1 < rounds ? pause(gap) : turn());
  }
  await Promise.all(connections.map((connection) => connection.closed));
  return connections.map(({ bytes, failure }) => ({ bytes, failure }));
}

// Cuts `bytes` at the given positions.
export function cut(bytes, positions) {
  const pieces = [];
  let begin = 0;
  for (const position of [...positions, bytes.length]) {
    if (position > begin) pieces.push(bytes.subarray(begin, position));
    begin = Math.max(begin, position);
  }
  return pieces;
}

export function byteByByte(bytes) {
  return cut(bytes, Array.from({ length: bytes.length }, (_, i) => i));
}

// One request string (latin1) on one connection; resolves to the parsed responses once the server has closed.
export async function exchange(port, request, heads = []) {
  const [{ bytes, failure }] = await sendAll(port, [[Buffer.from(request, 'latin1')]]);
  if (failure) throw new Error(`the connection ended with ${failure} after ${JSON.stringify(bytes.toString('latin1'))}`);
  return parseResponses(bytes, heads);
}
