// Hundreds of malformed and boundary requests, each sent whole, cut in two at many places, and byte by byte. What comes
// back must be what the RFCs allow, exactly once, and the same wherever the bytes were cut; and nothing behind a refused
// request may ever be taken for a request.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { httpRequests } from './cases/http_requests.mjs';
import { byteByByte, cut, parseResponses, sendAll } from './lib/http_client.mjs';
import { startServer } from './lib/server.mjs';

const next = Buffer.from('GET /hello?next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
const parallel = 100;
// A long case is cut at its ends only: one connection for each of 100,000 positions would prove nothing more.
const cutsPerCase = 14;

// Cuts around every line end first, because that is where parsers change state; then at places spread over the rest.
function cutPositions(bytes, isLong) {
  const positions = new Set([1, 2, bytes.length - 1, bytes.length]);
  if (!isLong) {
    for (let at = bytes.indexOf(13); at >= 0 && positions.size < cutsPerCase; at = bytes.indexOf(13, at + 1)) {
      positions.add(at).add(at + 1).add(at + 2);
    }
  }
  for (let i = 1; positions.size < cutsPerCase && i < cutsPerCase; ++i) {
    positions.add(Math.floor((bytes.length * i) / cutsPerCase));
  }
  return [...positions].filter((at) => at > 0 && at < bytes.length + next.length);
}

// The answers as a comparable text: "200 hello | 400 -" and how the connection ended.
function outcomeOf({ bytes, failure }) {
  // A client that asked for the close and sends on may be reset; its answer must have come before that.
  const reset = failure === 'ECONNRESET' || failure === 'EPIPE';
  const asked = /^HTTP\/1\.1 200 [^]*\r\nConnection: close\r\n\r\nHello, World!$/i.test(bytes.toString('latin1'));
  if (failure && !(reset && asked)) return `${failure} after ${JSON.stringify(bytes.toString('latin1', 0, 300))}`;
  try {
    const finals = parseResponses(bytes).filter(({ status }) => status >= 200);
    const text = finals.map(({ status, body }) => {
      // The text of an error may vary; the answer to a good request may not.
      return status === 200 ? `200 ${JSON.stringify(body.toString('latin1'))}` : String(status);
    });
    return text.join(' | ');
  } catch (error) {
    return `no HTTP: ${error.message}`;
  }
}

function isAllowed({ outcomes, bodies }, outcome) {
  const statuses = outcome === '' ? [] : outcome.split(' | ').map((text) => Number(text.slice(0, 3)));
  const fits = outcomes.some((allowed) => {
    const goesOn = allowed.at(-1) === 'next';
    const wanted = goesOn ? [...allowed.slice(0, -1), 200] : allowed;
    return wanted.length === statuses.length && wanted.every((status, i) => status === statuses[i]);
  });
  if (!fits) return false;
  return (bodies ?? []).every((body, i) => outcome.split(' | ')[i] === `200 ${JSON.stringify(body)}`);
}

async function sendInBatches(port, inputs, options) {
  const outcomes = [];
  for (let i = 0; i < inputs.length; i += parallel) {
    const answers = await sendAll(port, inputs.slice(i, i + parallel), options);
    outcomes.push(...answers.map(outcomeOf));
  }
  return outcomes;
}

const server = await startServer();
const inputs = httpRequests.map(({ bytes }) => Buffer.concat([bytes, next]));

const whole = await sendInBatches(server.port, inputs.map((bytes) => [bytes]));

const cuts = httpRequests.flatMap(({ bytes, long }, i) => cutPositions(bytes, long).map((at) => ({ i, at })));
const halves = await sendInBatches(server.port, cuts.map(({ i, at }) => cut(inputs[i], [at])), { gap: 4 });

// A long input goes byte by byte at its beginning and its end.
const bytewise = await sendInBatches(server.port, inputs.map((bytes, i) => {
  if (!httpRequests[i].long) return byteByByte(bytes);
  const edges = 64 + next.length;
  return [...byteByByte(bytes.subarray(0, edges)), bytes.subarray(edges, -edges), ...byteByByte(bytes.subarray(-edges))];
}));

httpRequests.forEach((request, i) => {
  test(request.name, () => {
    assert.ok(isAllowed(request, whole[i]),
        `sent whole, the answers are [${whole[i]}]; allowed: ${JSON.stringify(request.outcomes)}`);
    cuts.forEach((place, j) => {
      if (place.i === i) assert.equal(halves[j], whole[i], `cut at ${place.at} the answers differ`);
    });
    assert.equal(bytewise[i], whole[i], 'byte by byte the answers differ');
  });
});

test('an unfinished request that ends with FIN is not answered as if it were whole', async () => {
  const { RawConnection } = await import('./lib/http_client.mjs');
  const connection = new RawConnection(server.port);
  await connection.connected;
  connection.socket.end('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello');
  await connection.closed;
  const statuses = parseResponses(connection.bytes).map(({ status }) => status);
  assert.ok(statuses.length === 0 || (statuses.length === 1 && statuses[0] === 400), String(statuses));
});

test('the server still answers, and stops cleanly', async () => {
  const [answer] = await sendInBatches(server.port, [[next]]);
  assert.equal(answer, '200 "Hello, World!"');
  await server.stop();
});
