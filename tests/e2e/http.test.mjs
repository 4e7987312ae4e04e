// HTTP as good clients speak it: curl for what curl does, a raw socket where the order of bytes matters.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { exchange, parseResponses, RawConnection } from './lib/http_client.mjs';
import { demoConfig, makeDirectory, patience, startServer, within } from './lib/server.mjs';

const files = makeDirectory();
fs.writeFileSync(path.join(files, 'page.html'), '<!doctype html><title>x</title>');
fs.writeFileSync(path.join(files, 'digits.txt'), '0123456789');
fs.writeFileSync(path.join(files, 'empty.txt'), '');
fs.writeFileSync(path.join(files, 'a b+ü.txt'), 'odd name');
fs.writeFileSync(path.join(files, 'large.bin'), Buffer.alloc(8 << 20, 'large file '));
fs.mkdirSync(path.join(files, 'folder'));
fs.symlinkSync('/etc/hostname', path.join(files, 'outside'));

const server = await startServer({
  config: demoConfig((config) => {
    config.routes.push({ path: '/files/', type: 'static', directory: files });
  }),
});

// curl's answer: {status, headers, body, blocks}; `blocks` are all heads that came, 1xx too.
function curl(target, ...args) {
  return new Promise((resolve, reject) => {
    const trailer = '\\n%{http_code}';
    // Node gives a child sockets for its output; curl cannot open those by name, so the heads go through a file.
    const heads = path.join(makeDirectory(), 'heads');
    const all = ['-sS', '--max-time', String(patience / 1000), '-D', heads, '-w', trailer, ...args,
      target.startsWith('http') ? target : `${server.url}${target}`];
    execFile('curl', all, { encoding: 'buffer', maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      if (error) return reject(new Error(`curl ${args.join(' ')} ${target}: ${stderr}`));
      const end = stdout.lastIndexOf(10);
      const status = Number(stdout.toString('latin1', end + 1));
      const headers = {};
      const blocks = fs.readFileSync(heads, 'latin1').trim().split('\r\n\r\n');
      for (const line of blocks.at(-1).split('\r\n').slice(1)) {
        headers[line.slice(0, line.indexOf(':')).toLowerCase()] = line.slice(line.indexOf(':') + 1).trim();
      }
      resolve({ status, headers, blocks, body: stdout.subarray(0, end) });
    });
  });
}

test('GET /hello', async () => {
  const { status, headers, body } = await curl('/hello');
  assert.equal(status, 200);
  assert.equal(body.toString(), 'Hello, World!');
  assert.equal(headers['content-length'], '13');
  assert.match(headers['content-type'], /^text\/plain/);
  assert.ok(Math.abs(Date.parse(headers.date) - Date.now()) < 5000, headers.date);
  assert.match(headers.date, /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d GMT$/);
});
test('GET / is the page', async () => {
  const { status, headers, body } = await curl('/');
  assert.equal(status, 200);
  assert.match(headers['content-type'], /^text\/html/);
  assert.match(body.toString(), /<!doctype html>/i);
});
test('GET /json is JSON', async () => {
  const { headers, body } = await curl('/json');
  assert.match(headers['content-type'], /^application\/json/);
  assert.equal(typeof JSON.parse(body.toString()), 'object');
});
test('GET /status.json has names, workers and totals', async () => {
  const { status, headers, body } = await curl('/status.json');
  assert.equal(status, 200);
  assert.match(headers['content-type'], /^application\/json/);
  const report = JSON.parse(body.toString());
  assert.ok(report.totals.counters.connections_accepted >= 1);
  assert.ok(Array.isArray(report.workers));
});
test('HEAD has the fields of GET and no body', async () => {
  const { status, headers, body } = await curl('/hello', '-I');
  assert.equal(status, 200);
  assert.equal(headers['content-length'], '13');
  assert.equal(body.toString().includes('Hello'), false);
});
test('HEAD of a file tells its size', async () => {
  const { headers } = await curl('/files/large.bin', '-I');
  assert.equal(headers['content-length'], String(8 << 20));
});
for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH']) {
  test(`${method} /echo sends the body back`, async () => {
    const { status, body } = await curl('/echo', '-X', method, '-H', 'Content-Type: text/plain', '-d', `body of ${method}`);
    assert.equal(status, 200);
    assert.equal(body.toString(), `body of ${method}`);
  });
}
test('OPTIONS of a route lists its methods, or the route answers it', async () => {
  const { status, headers } = await curl('/hello', '-X', 'OPTIONS');
  assert.ok([200, 204, 405].includes(status), String(status));
  if (status !== 200) assert.match(headers.allow ?? '', /GET/);
});
test('OPTIONS *', async () => {
  const { status } = await curl(server.url, '-X', 'OPTIONS', '--request-target', '*');
  assert.ok([200, 204].includes(status), String(status));
});
test('405 names what is allowed', async () => {
  const { status, headers } = await curl('/hello', '-X', 'DELETE');
  assert.equal(status, 405);
  assert.match(headers.allow, /GET/);
});
test('404 for an unknown path', async () => assert.equal((await curl('/nowhere')).status, 404));
test('a chunked request body comes back whole', async () => {
  const { status, body } = await curl('/echo', '-H', 'Transfer-Encoding: chunked', '-H', 'Expect:', '--data-binary',
      `@${path.join(files, 'digits.txt')}`);
  assert.equal(status, 200);
  assert.equal(body.toString(), '0123456789');
});
test('a body of 512 KiB with Expect: 100-continue', async () => {
  const file = path.join(makeDirectory(), 'half.bin');
  fs.writeFileSync(file, Buffer.alloc(512 << 10, 'half a mebibyte '));
  const { status, body, blocks } = await curl('/echo', '-H', 'Expect: 100-continue', '--data-binary', `@${file}`);
  assert.equal(status, 200);
  assert.ok(body.equals(fs.readFileSync(file)));
  assert.match(blocks[0], /^HTTP\/1\.1 100 /);
});
test('100 Continue comes before the body is sent, and only once', async () => {
  const connection = new RawConnection(server.port);
  await connection.connected;
  connection.write('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n');
  await within(new Promise((resolve) => connection.socket.once('data', resolve)), '100 Continue');
  assert.equal(connection.bytes.toString(), 'HTTP/1.1 100 Continue\r\n\r\n');
  connection.write('hello');
  await connection.closed;
  const responses = parseResponses(connection.bytes);
  assert.deepEqual(responses.map(({ status }) => status), [100, 200]);
  assert.equal(responses[1].body.toString(), 'hello');
});
test('Expect for a body above the limit is refused without a 100', async () => {
  const responses = await exchange(server.port,
      'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\nExpect: 100-continue\r\n\r\n');
  assert.deepEqual(responses.map(({ status }) => status), [413]);
});
test('a keep-alive connection is used again', async () => {
  const url = `${server.url}/hello`;
  const { stdout } = await promisify(execFile)('curl',
      ['-sS', '--max-time', '20', '-w', '%{num_connects}\n', '-o', '/dev/null', '-o', '/dev/null', '-o', '/dev/null', url, url, url]);
  assert.deepEqual(stdout.trim().split('\n'), ['1', '0', '0']);
});
test('HTTP/1.0 without keep-alive closes', async () => {
  const { status, headers } = await curl('/hello', '--http1.0');
  assert.equal(status, 200);
  assert.doesNotMatch(headers.connection ?? '', /keep-alive/i);
});
test('a hundred pipelined requests are answered in order', async () => {
  const paths = Array.from({ length: 100 }, (_, i) => i);
  const requests = paths.map((i) => `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${String(i).length}\r\n\r\n${i}`);
  const last = 'GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
  const responses = await exchange(server.port, requests.join('') + last);
  assert.deepEqual(responses.map(({ body }) => body.toString()), [...paths.map(String), 'Hello, World!']);
});
test('pipelined files and texts keep their order', async () => {
  const request = (target, more = '') => `GET ${target} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
  const responses = await exchange(server.port, request('/files/large.bin') + request('/hello') + request('/files/digits.txt') +
      request('/nowhere') + request('/hello', 'Connection: close\r\n'));
  assert.deepEqual(responses.map(({ status }) => status), [200, 200, 200, 404, 200]);
  assert.equal(responses[0].body.length, 8 << 20);
  assert.equal(responses[2].body.toString(), '0123456789');
});

// --- Files --------------------------------------------------------------------------------------------------------------

test('a file has type, size, ETag and Last-Modified', async () => {
  const { status, headers, body } = await curl('/files/page.html');
  assert.equal(status, 200);
  assert.match(headers['content-type'], /^text\/html/);
  assert.match(headers.etag, /^(W\/)?"[^"]+"$/);
  assert.ok(!Number.isNaN(Date.parse(headers['last-modified'])));
  assert.match(headers['accept-ranges'] ?? 'bytes', /bytes/);
  assert.match(body.toString(), /<title>x/);
});
test('a large file arrives whole', async () => {
  const { body } = await curl('/files/large.bin');
  assert.ok(body.equals(fs.readFileSync(path.join(files, 'large.bin'))));
});
test('an empty file is a 200 without content', async () => {
  const { status, headers } = await curl('/files/empty.txt');
  assert.equal(status, 200);
  assert.equal(headers['content-length'], '0');
});
test('a name with a space, a plus and an umlaut', async () => {
  const { status, body } = await curl('/files/a%20b+%C3%BC.txt');
  assert.equal(status, 200);
  assert.equal(body.toString(), 'odd name');
});
for (const [range, status, body, contentRange] of [
  ['bytes=0-3', 206, '0123', 'bytes 0-3/10'], ['bytes=4-', 206, '456789', 'bytes 4-9/10'],
  ['bytes=-2', 206, '89', 'bytes 8-9/10'], ['bytes=5-100', 206, '56789', 'bytes 5-9/10'],
  ['bytes=0-0', 206, '0', 'bytes 0-0/10'], ['bytes=-100', 206, '0123456789', 'bytes 0-9/10'],
  ['bytes=10-', 416, null, 'bytes */10'], ['bytes=-0', 416, null, 'bytes */10'],
  // What is no valid range is ignored (RFC 9110 section 14.2).
  ['bytes=5-4', 200, '0123456789', undefined], ['bytes=a-b', 200, '0123456789', undefined], ['items=0-1', 200, '0123456789', undefined],
]) {
  test(`Range: ${range} gets ${status}`, async () => {
    const answer = await curl('/files/digits.txt', '-H', `Range: ${range}`);
    assert.equal(answer.status, status);
    if (body !== null) assert.equal(answer.body.toString(), body);
    assert.equal(answer.headers['content-range'], contentRange);
  });
}
test('If-None-Match with the ETag is a 304 without a body', async () => {
  const { headers: { etag } } = await curl('/files/digits.txt');
  const { status, headers, body } = await curl('/files/digits.txt', '-H', `If-None-Match: ${etag}`);
  assert.equal(status, 304);
  assert.equal(body.length, 0);
  assert.equal(headers.etag, etag);
});
for (const [name, value] of [['a list', (etag) => `"x", ${etag}`], ['an asterisk', () => '*'],
  ['its weak form', (etag) => (etag.startsWith('W/') ? etag : `W/${etag}`)]]) {
  test(`If-None-Match as ${name} is a 304`, async () => {
    const { headers: { etag } } = await curl('/files/digits.txt');
    assert.equal((await curl('/files/digits.txt', '-H', `If-None-Match: ${value(etag)}`)).status, 304);
  });
}
test('If-None-Match with another ETag is a 200', async () => {
  assert.equal((await curl('/files/digits.txt', '-H', 'If-None-Match: "other"')).status, 200);
});
test('If-Modified-Since the time of the file is a 304, before it a 200', async () => {
  const { headers } = await curl('/files/digits.txt');
  const field = 'If-Modified-Since';
  assert.equal((await curl('/files/digits.txt', '-H', `${field}: ${headers['last-modified']}`)).status, 304);
  assert.equal((await curl('/files/digits.txt', '-H', `${field}: Thu, 01 Jan 1970 00:00:10 GMT`)).status, 200);
});
test('If-None-Match wins over If-Modified-Since', async () => {
  const { headers } = await curl('/files/digits.txt');
  const { status } = await curl('/files/digits.txt', '-H', 'If-None-Match: "other"', '-H', `If-Modified-Since: ${headers['last-modified']}`);
  assert.equal(status, 200);
});
for (const target of ['/files/../../etc/passwd', '/files/%2e%2e/%2e%2e/etc/passwd', '/files/..%2f..%2fetc%2fpasswd',
  '/files/folder/../../etc/passwd', '/files//etc/passwd', '/files/outside', '/files/folder', '/files/digits.txt/', '/files/digits.txt%00.html']) {
  test(`no way out of the directory: ${target}`, async () => {
    const { status, body } = await curl(target, '--path-as-is');
    assert.ok([301, 308, 400, 403, 404].includes(status), String(status));
    assert.doesNotMatch(body.toString(), /root:|nobody/);
  });
}
test('POST of a file is refused', async () => assert.equal((await curl('/files/digits.txt', '-d', 'x')).status, 405));
test('the demonstration serves something below /static/', async () => {
  const { status } = await curl('/static/');
  assert.ok([200, 301, 308, 403, 404].includes(status), String(status));
});
test('200 connections at the same time, each with ten requests', async () => {
  const request = 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(9) + 'GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
  const all = await Promise.all(Array.from({ length: 200 }, () => exchange(server.port, request)));
  for (const responses of all) assert.deepEqual(responses.map(({ status }) => status), Array(10).fill(200));
});
test('a stop lets a request in progress finish and says Connection: close', async () => {
  const connection = new RawConnection(server.port);
  await connection.connected;
  connection.write('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n');
  await within(new Promise((resolve) => connection.socket.once('data', resolve)), '100 Continue');
  const stopped = server.stop();
  await new Promise((resolve) => setTimeout(resolve, 200));
  connection.write('0123456789');
  await connection.closed;
  const responses = parseResponses(connection.bytes);
  assert.deepEqual(responses.map(({ status }) => status), [100, 200]);
  assert.match(responses[1].headers.connection ?? '', /close/i);
  await stopped;
});
