// Connections in the middle of something when the server is reloaded, once and twice: what was half said is finished
// behind the reload as if nothing had happened. Deadlines and limits go on counting.

import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { deploy, pause, settled } from './lib/deploy.mjs';
import { parseResponse } from './lib/http_client.mjs';
import { demoConfig, eventually, patience, sanitized, startServer, within } from './lib/server.mjs';
import { binary, continuation, frame, opcodes, openWebSocket, ping, text } from './lib/websocket_client.mjs';

const crlf = '\r\n';

// Bytes that differ everywhere, so that a hole or a repetition shows.
function pattern(bytes, seed = 1) {
  const data = Buffer.alloc(bytes);
  let state = seed;
  for (let i = 0; i < bytes; ++i) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = state >>> 24;
  }
  return data;
}

// A connection that reads when it is asked to and knows all it got.
class Client {
  constructor(port) {
    this.received = Buffer.alloc(0);
    this.ended = null;
    this.socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    this.connected = new Promise((resolve, reject) => {
      this.socket.once('connect', resolve);
      this.socket.once('error', reject);
    });
    this.socket.on('data', (bytes) => { this.received = Buffer.concat([this.received, bytes]); });
    this.socket.on('end', () => { this.ended ??= 'end'; });
    this.socket.on('error', (error) => { this.ended ??= error.code; });
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  // The next response, which must be whole; it may be the last.
  async response(status = 200) {
    const parsed = await eventually(() => {
      const response = parseResponse(this.received);
      if (!response) assert.equal(this.ended, null, `${this.ended} instead of a response`);
      return response;
    }, 'a response');
    this.received = this.received.subarray(parsed.end);
    assert.equal(parsed.response.status, status);
    return parsed.response;
  }

  async end() {
    assert.equal(this.received.length, 0, 'bytes behind the last response');
    assert.equal(this.ended, null);
    this.socket.destroy();
  }
}

async function http(port) {
  const client = new Client(port);
  await client.connected;
  return client;
}

const get = (path = '/hello') => `GET ${path} HTTP/1.1${crlf}Host: a${crlf}${crlf}`;
const put = (body) => Buffer.concat([
  Buffer.from(`PUT /echo HTTP/1.1${crlf}Host: a${crlf}Content-Length: ${body.length}${crlf}${crlf}`), body,
]);

async function closeInOrder(peer, count) {
  peer.send(frame(opcodes.close, Buffer.from([0x03, 0xe8])));
  const events = await peer.waitForEnd();
  assert.deepEqual(events.slice(count), [['close', 1000, ''], ['end']]);
}

// Half of `bytes` now, the rest when the reloads are over; then what comes must be `expected`.
const websocketCut = (bytes, at, expected) => async (port) => {
  const { peer } = await openWebSocket(port);
  peer.send(text('before'));
  await peer.waitFor(1);
  peer.send(bytes.subarray(0, at));
  return async () => {
    peer.send(bytes.subarray(at), text('behind'));
    const events = await peer.waitFor(2 + expected.length);
    assert.deepEqual(events, [['text', 'before'], ...expected, ['text', 'behind']]);
    await closeInOrder(peer, events.length);
  };
};

// What comes in between is sent while the reload goes on, in its own turn.
const between = (pieces, expected) => async (port) => {
  const { peer } = await openWebSocket(port);
  peer.send(pieces[0]);
  let next = 1;
  return Object.assign(async () => {
    for (; next < pieces.length; ++next) peer.send(pieces[next]);
    const events = await peer.waitFor(expected.length);
    assert.deepEqual(events, expected);
    await closeInOrder(peer, events.length);
  }, { step: () => peer.send(pieces[next++]) });
};

const payload = pattern(100_000);
const states = {
  'a WebSocket that is silent': websocketCut(Buffer.alloc(0), 0, []),
  'half a frame header of 2 bytes': websocketCut(text('hello'), 1, [['text', 'hello']]),
  'a frame header without half its masking key': websocketCut(text('hello'), 4, [['text', 'hello']]),
  'half a frame header of 14 bytes': websocketCut(binary(payload), 7, [['binary', payload]]),
  'half a payload': websocketCut(binary(payload), 50_001, [['binary', payload]]),
  'half a character of a text': websocketCut(text('aä€'), 6 + 2, [['text', 'aä€']]),
  'half a ping': websocketCut(ping('are you there'), 9, [['pong', Buffer.from('are you there')]]),
  'half a fragment': websocketCut(
      Buffer.concat([text('one ', { fin: false }), continuation('two')]), 6 + 4 + 7, [['text', 'one two']]),
  'between fragments': between(
      [text('one ', { fin: false }), continuation('two ', { fin: false }), continuation('three')], [['text', 'one two three']]),
  'between fragments, with pings there': between(
      [text('one ', { fin: false }), ping('1'), Buffer.concat([continuation('two ', { fin: false }), ping('2')]), continuation('three')],
      [['pong', Buffer.from('1')], ['pong', Buffer.from('2')], ['text', 'one two three']]),

  'output that the client does not take': async (port) => {
    const { peer } = await openWebSocket(port);
    peer.socket.pause();
    // More than the kernel holds on both sides, less than the server's queue may.
    const messages = Array.from({ length: 12 }, (_, i) => pattern(1_000_000, i + 1));
    for (const message of messages) peer.send(binary(message));
    await pause(200);
    return async () => {
      peer.socket.resume();
      const events = await peer.waitFor(messages.length);
      events.forEach(([kind, message], i) => {
        assert.equal(kind, 'binary');
        assert.ok(message.equals(messages[i]), `message ${i}`);
      });
      await closeInOrder(peer, messages.length);
    };
  },
  'output that the client does not take, and half a message behind it': async (port) => {
    const { peer } = await openWebSocket(port);
    peer.socket.pause();
    const message = pattern(15_000_000, 99);
    const second = text('the second');
    peer.send(binary(message), second.subarray(0, 9));
    await pause(200);
    return async () => {
      peer.send(second.subarray(9));
      peer.socket.resume();
      const events = await peer.waitFor(2);
      assert.ok(events[0][1].equals(message));
      assert.deepEqual(events[1], ['text', 'the second']);
      await closeInOrder(peer, 2);
    };
  },
  'half a close frame': async (port) => {
    const { peer } = await openWebSocket(port);
    const bytes = frame(opcodes.close, Buffer.from([0x03, 0xe8]));
    peer.send(bytes.subarray(0, 7));
    return async () => {
      peer.send(bytes.subarray(7));
      assert.deepEqual(await peer.waitForEnd(), [['close', 1000, ''], ['end']]);
    };
  },
  'a closing handshake behind output that the client does not take': async (port) => {
    const { peer } = await openWebSocket(port);
    peer.socket.pause();
    const message = pattern(15_000_000, 7);
    peer.send(binary(message), frame(opcodes.close, Buffer.from([0x03, 0xe8])));
    await pause(200);
    return async () => {
      peer.socket.resume();
      const events = await peer.waitForEnd();
      assert.ok(events[0][1].equals(message));
      assert.deepEqual(events.slice(1), [['close', 1000, ''], ['end']]);
    };
  },

  'half a request line': async (port) => {
    const client = await http(port);
    client.write(get().slice(0, 6));
    return async () => {
      client.write(get().slice(6));
      assert.equal(`${(await client.response()).body}`, 'Hello, World!');
      await client.end();
    };
  },
  'half a head, behind an answered request': async (port) => {
    const client = await http(port);
    client.write(get());
    await client.response();
    client.write(get().slice(0, -3));
    return async () => {
      client.write(get().slice(-3));
      await client.response();
      client.write(get());
      await client.response();
      await client.end();
    };
  },
  'half a body': async (port) => {
    const client = await http(port);
    const request = put(payload);
    client.write(request.subarray(0, request.length / 2));
    return async () => {
      client.write(request.subarray(request.length / 2));
      assert.ok((await client.response()).body.equals(payload));
      client.write(get());
      await client.response();
      await client.end();
    };
  },
  'a body of which nothing has come after 100 (Continue)': async (port) => {
    const client = await http(port);
    client.write(`PUT /echo HTTP/1.1${crlf}Host: a${crlf}Content-Length: 5${crlf}Expect: 100-continue${crlf}${crlf}`);
    await client.response(100);
    return async () => {
      client.write('hello');
      // Not asked a second time.
      assert.equal(`${(await client.response()).body}`, 'hello');
      await client.end();
    };
  },
  'a chunked body in the middle of a chunk': async (port) => {
    const client = await http(port);
    client.write(`PUT /echo HTTP/1.1${crlf}Host: a${crlf}Transfer-Encoding: chunked${crlf}${crlf}5${crlf}hel`);
    return async () => {
      client.write(`lo${crlf}6${crlf} world${crlf}0${crlf}${crlf}`);
      assert.equal(`${(await client.response()).body}`, 'hello world');
      // It stayed in the old worker, whose heir may be gone by now: then this answer is the last.
      client.socket.destroy();
    };
  },
  'idle between requests': async (port) => {
    const client = await http(port);
    client.write(get());
    await client.response();
    return async () => {
      client.write(get());
      await client.response();
      await client.end();
    };
  },
  'open without a word': async (port) => {
    const client = await http(port);
    return async () => {
      client.write(get());
      await client.response();
      await client.end();
    };
  },
  'pipelined requests, the last one cut': async (port) => {
    const client = await http(port);
    const bodies = [1, 2, 3, 4].map((i) => pattern(1000 * i, i));
    const all = Buffer.concat(bodies.map(put));
    client.write(all.subarray(0, all.length - 100));
    return async () => {
      client.write(all.subarray(all.length - 100));
      for (const body of bodies) assert.ok((await client.response()).body.equals(body));
      await client.end();
    };
  },
  'pipelined requests whose answers the client does not take': async (port) => {
    const client = await http(port);
    client.socket.pause();
    const bodies = Array.from({ length: 12 }, (_, i) => pattern(1_000_000, i + 1));
    for (const body of bodies) client.write(put(body));
    await pause(200);
    return async () => {
      client.socket.resume();
      for (const body of bodies) assert.ok((await client.response()).body.equals(body));
      await client.end();
    };
  },
};

for (const times of [1, 2]) {
  test(`connections in the middle of something go on behind ${times === 1 ? 'a reload' : 'two reloads'}`, async (t) => {
    const server = await startServer({
      config: demoConfig((config) => {
        config.workers = 2;
        config.drain_timeout = '60s';
        // Nothing of this is about time, and a sanitizer takes its own.
        config.timeouts = { ...config.timeouts, handshake: '60s', header: '60s', body: '60s', message: '60s' };
        config.limits = { ...config.limits, body_grace: '60s' };
      }),
    });
    const begun = [];
    for (const [name, begin] of Object.entries(states)) begun.push([name, await begin(server.port)]);
    for (let i = 0; i < times; ++i) {
      await pause(100);
      await deploy(server);
      for (const [, finish] of begun) finish.step?.();
    }
    for (const [name, finish] of begun) {
      await t.test(name, async () => { await finish(); });
    }
    await settled(server, 2);
    const { totals } = await server.status();
    assert.equal(totals.counters.adoptions_refused, 0);
    assert.equal(totals.gauges.connections_open, 0);
    await server.stop();
  });
}

test('a deadline that runs is neither started again nor forgotten', { skip: sanitized }, async (t) => {
  const server = await startServer({
    config: demoConfig((config) => {
      config.workers = 2;
      config.timeouts = { ...config.timeouts, header: '2s', body: '2500ms', read: '3s', lifetime: '3500ms', message: '2s' };
    }),
  });
  const now = () => performance.now();
  const waits = [];
  const bound = async (name, milliseconds, begin) => {
    const client = await begin();
    const began = now();
    waits.push({
      name, milliseconds,
      lived: within(new Promise((resolve) => client.once('close', () => resolve(now() - began))), `end of ${name}`),
    });
  };
  const connect = async (bytes) => {
    const client = await http(server.port);
    client.socket.on('end', () => client.socket.end());
    if (bytes) client.write(bytes);
    return client.socket;
  };
  await bound('a head', 2000, () => connect('GET / HTTP/1.1\r\nA'));
  await bound('a body', 2500, () => connect(`PUT /echo HTTP/1.1${crlf}Host: a${crlf}Content-Length: 5${crlf}${crlf}he`));
  await bound('a silent connection', 3000, async () => {
    const socket = await connect(get());
    await pause(20);
    return socket;
  });
  const { peer } = await openWebSocket(server.port);
  await bound('a WebSocket message', 2000, async () => {
    peer.send(text('hello').subarray(0, 8));
    peer.socket.on('end', () => peer.socket.end());
    return peer.socket;
  });
  const talk = await connect(get());
  const talking = setInterval(() => talk.write(get()), 100).unref();
  await bound('the life of a busy one', 3500, async () => talk);
  for (const delay of [600, 600]) {
    await pause(delay);
    await deploy(server);
  }
  for (const { name, milliseconds, lived } of waits) {
    const its = await lived;
    t.diagnostic(`${name}: ${its.toFixed(0)} of ${milliseconds} ms`);
    assert.ok(its > milliseconds - 60 && its < milliseconds + 500, `${name} lived ${its.toFixed(0)} of ${milliseconds} ms`);
  }
  clearInterval(talking);
  await server.stop();
});

// Which connections there are, by who has them.
async function openCount(server) {
  return (await server.status()).totals.gauges.connections_open;
}

for (const at_limit of ['wait', 'refuse']) {
  test(`connections_max with exactly so many open: nobody is closed, nobody more comes in (${at_limit})`, async () => {
    const server = await startServer({
      config: demoConfig((config) => {
        config.workers = 2;
        config.limits = { ...config.limits, connections_max: 20, at_limit };
      }),
    });
    const peers = [];
    for (let i = 0; i < 12; ++i) peers.push((await openWebSocket(server.port)).peer);
    const clients = [];
    for (let i = 0; i < 8; ++i) {
      const client = await http(server.port);
      client.write(get());
      await client.response();
      clients.push(client);
    }
    assert.equal(await openCount(server), 20);
    const knocks = [];
    const knock = async () => {
      const client = await http(server.port);
      client.write(get());
      knocks.push(client);
    };
    for (let i = 0; i < 3; ++i) {
      await knock();
      const knocking = setInterval(knock, 10).unref();
      await deploy(server);
      clearInterval(knocking);
      // With `wait`, an old worker stays with whom it had accepted and has no room for.
      if (at_limit === 'refuse') await settled(server, 2);
      assert.equal(await openCount(server), 20);
    }
    await pause(100);
    if (at_limit === 'wait') {
      for (const { received, ended } of knocks) assert.deepEqual([received.length, ended], [0, null], 'one more came in');
    } else {
      for (const client of knocks) {
        await eventually(() => client.ended, 'the end of a refused one');
        assert.match(client.received.toString(), /^HTTP\/1\.1 503 /);
      }
    }
    for (const [i, peer] of peers.entries()) {
      peer.send(text(`${i}`));
      assert.deepEqual(await peer.waitFor(1), [['text', `${i}`]]);
    }
    for (const client of clients) {
      client.write(get());
      await client.response();
    }
    // And as many come in as leave.
    peers[0].destroy();
    peers[1].destroy();
    if (at_limit === 'wait') {
      await eventually(() => knocks.filter(({ received }) => received.length > 0).length === 2, 'two who waited', patience);
      await pause(100);
      assert.equal(knocks.filter(({ received }) => received.length > 0).length, 2);
    } else {
      await eventually(async () => await openCount(server) === 18, 'two less');
      const client = await http(server.port);
      client.write(get());
      await client.response();
      client.socket.destroy();
    }
    for (const { socket } of [...knocks, ...clients, ...peers]) socket.destroy();
    await server.stop();
  });
}
