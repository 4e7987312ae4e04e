// The program that proves that a reload loses nothing must find what is lost: against the stock server it reports no
// failure, against servers that do one thing wrong exactly that.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { response, serverFrame, startFaultyServer } from './lib/faulty_server.mjs';
import { eventually, sanitized, startServer, within } from './lib/server.mjs';
import { describeFailures, launchSteadyClients, startSteadyClients, steadyClients } from './lib/steady_clients.mjs';

const silent = { connectsPerSecond: 0, keepalive: 0, websockets: 0 };
// Of one kind of traffic; none of it is so much that a busy machine matters.
const connects = { ...silent, connectsPerSecond: 100 };
const keepalive = { ...silent, keepalive: 3, intervalMs: 10 };
const websockets = { ...silent, websockets: 3, intervalMs: 10 };
const kinds = ['connects', 'keepalive', 'websockets', 'idle_websockets'];

// Runs the clients against a server with these faults, and judges the exit status by the report.
async function run(flags, faults, during = async () => {}) {
  const server = await startFaultyServer(faults);
  try {
    const clients = launchSteadyClients({ port: server.port, seconds: 0.5, timeoutMs: 1500, ...flags });
    if (await within(clients.isReady, '"ready"')) await during(server, clients);
    const { code, report, stderr } = await clients.finished();
    assert.ok(report, stderr);
    assert.equal(code, report.failed === 0 ? 0 : 1, describeFailures(report));
    const sum = kinds.flatMap((kind) => Object.values(report[kind].failures)).reduce((a, b) => a + b, 0);
    assert.equal(report.failed, sum);
    assert.equal(report.first_failures.length, Math.min(10, report.failed));
    return report;
  } finally {
    server.end();
  }
}

// The failures of a kind, without those that are none; no other kind may have any.
function failuresOf(report, kind) {
  for (const other of kinds) {
    if (other !== kind) {
      assert.ok(Object.values(report[other].failures).every((count) => count === 0), describeFailures(report));
    }
  }
  return Object.fromEntries(Object.entries(report[kind].failures).filter(([, count]) => count > 0));
}

// True at the n-th call and never again.
function nth(n) {
  let calls = 0;
  return () => ++calls === n;
}

test('the stock server: nothing fails', async (t) => {
  const server = await startServer();
  const load = sanitized ? { connectsPerSecond: 100, keepalive: 20, websockets: 20 } : {};
  const clients = await startSteadyClients({
    port: server.port, seconds: 3, idleWebsockets: 200, idleProbesPerSecond: 50, ...load,
  });
  const { code, report } = await clients.finished();
  t.diagnostic(JSON.stringify(report));
  assert.equal(report.failed, 0, describeFailures(report));
  assert.equal(code, 0);
  assert.equal(report.ended_by, 'time');
  for (const kind of kinds) {
    assert.equal(report[kind].answered, report[kind].started);
    assert.equal(report[kind].latency_ms.count, report[kind].answered);
    assert.ok(report[kind].latency_ms.p50 > 0);
    assert.ok(report[kind].latency_ms.p50 <= report[kind].latency_ms.p99);
  }
  // Open loop: the schedule decides, not the server.
  const seconds = report.traffic_seconds;
  const perSecond = load.connectsPerSecond ?? 1200;
  assert.ok(Math.abs(report.connects.started - seconds * perSecond) <= perSecond / 20, JSON.stringify(report.connects));
  const clientCount = load.websockets ?? 100;
  const messages = report.websockets.started / clientCount;
  assert.ok(Math.abs(messages - seconds * 20) <= 2, `${messages} messages on each WebSocket`);
  assert.ok(report.keepalive.started / clientCount >= seconds * 20 - 2);
  assert.equal(report.keepalive.opened, clientCount);
  assert.equal(report.websockets.opened, clientCount);
  assert.equal(report.websockets.close_handshakes, clientCount);
  assert.ok(report.websockets.pings > 0);
  assert.equal(report.websockets.pongs, report.websockets.pings);
  assert.equal(report.idle_websockets.opened, 200);
  assert.equal(report.idle_websockets.close_handshakes, 200);
  // One at the end for each, and the probes.
  assert.ok(report.idle_websockets.answered >= 200 + 100, `${report.idle_websockets.answered}`);
  await server.stop();
});

test('a stall counts against every request that was due in it', async () => {
  const stall = new Int32Array(new SharedArrayBuffer(4));
  const report = await run({ ...keepalive, connectsPerSecond: 100, websockets: 3, seconds: 1, timeoutMs: 5000 }, {}, async () => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    Atomics.wait(stall, 0, 0, 800);  // the server is in this process
  });
  assert.equal(report.failed, 0, describeFailures(report));
  for (const kind of ['connects', 'keepalive', 'websockets']) {
    const { p50, max } = report[kind].latency_ms;
    // Four fifths of them were due in the stall, at any time of it.
    assert.ok(p50 > 150, `${kind}: half of them under ${p50} ms`);
    assert.ok(max > 700 && max < 5000, `${kind}: at most ${max} ms`);
  }
});

test('usage', () => {
  const of = (...args) => spawnSync(steadyClients, args, { encoding: 'utf8', timeout: 10_000 });
  const help = of('--help');
  assert.equal(help.status, 0);
  assert.match(help.stdout, /--connects-per-second N/);
  for (const [args, message] of [
    [[], /--port is missing/],
    [['--port', '0'], /--port must be a number from 1 to 65535, not "0"/],
    [['--port=80x'], /--port must be a number/],
    [['--port=80', '--seconds=-1'], /--seconds must be a number/],
    [['--port=80', '--seconds=nan'], /--seconds must be a number/],
    [['--port=80', '--echo-path=echo'], /--echo-path must begin with "\/"/],
    [['--port=80', '--origin=a\r\nb'], /--origin must be visible ASCII/],
    [['--port=80', '--keepaliv=3'], /what is "--keepaliv=3"\?/],
    [['--port=80', '--progress=1'], /--progress takes no value/],
    [['--port=80', '--keepalive'], /--keepalive needs a value/],
    [['--port=80', 'now'], /what is "now"\?/],
  ]) {
    const { status, stdout, stderr } = of(...args);
    assert.equal(status, 2, args.join(' '));
    assert.match(stderr, message);
    assert.equal(stdout, '');
  }
});

describe('new connections', { concurrency: 6 }, () => {
  test('reset', async () => {
    const report = await run(connects, {
      connection: ({ index, socket }) => index === 7 && Boolean(socket.resetAndDestroy()),
    });
    assert.deepEqual(failuresOf(report, 'connects'), { reset: 1 });
    const [failure] = report.first_failures;
    assert.equal(failure.kind, 'connects');
    assert.equal(failure.class, 'reset');
    assert.equal(failure.connection, 7);
    assert.ok(failure.local_port > 1024);
    assert.ok(failure.ms > 0);
  });

  test('refused', async () => {
    let greeted = 0;
    const report = await run({ ...connects, seconds: 20 }, { requests: () => ++greeted < 0 }, async (server, clients) => {
      await eventually(() => greeted > 10, 'ten answers');
      await server.stopListening();
      await new Promise((resolve) => setTimeout(resolve, 200));
      clients.child.stdin.end();
    });
    const { refused, ...others } = failuresOf(report, 'connects');
    assert.ok(refused > 5, `${refused}`);
    assert.ok(report.connects.answered > 5);
    // A connection that lay in the backlog when the listener closed.
    for (const kind of Object.keys(others)) assert.equal(kind, 'reset');
  });

  test('truncated, by an answer cut in the body, in the head, and by none', async () => {
    let cut = 0;
    const report = await run(connects, {
      requests: ([request], connection) => {
        const pieces = { 5: 50, 8: 20, 11: 0 };
        if (!(connection.index in pieces)) return false;
        ++cut;
        connection.socket.end(response(Buffer.alloc(100, 'x')).subarray(0, pieces[connection.index]));
        return true;
      },
    });
    assert.equal(cut, 3);
    assert.deepEqual(failuresOf(report, 'connects'), { truncated: 3 });
  });

  test('wrong, by another body, status, bytes behind and no HTTP', async () => {
    const report = await run(connects, {
      requests: ([request], connection) => {
        const answers = {
          5: response(Buffer.from('Hello?')),
          8: response(Buffer.from('Hello!'), { status: '503 Service Unavailable' }),
          11: Buffer.concat([response(Buffer.from('Hello!')), Buffer.from('!')]),
          14: Buffer.from('Hello!'),
        };
        if (!(connection.index in answers)) return false;
        connection.socket.end(answers[connection.index]);
        return true;
      },
    });
    assert.deepEqual(failuresOf(report, 'connects'), { wrong: 4 });
  });

  test('another body than the expected one from the first on', async () => {
    const report = await run({ ...connects, expectBody: 'Good evening!' });
    assert.deepEqual(failuresOf(report, 'connects'), { wrong: report.connects.started });
  });

  test('timed out, without an answer and without the close that was asked for', async () => {
    const report = await run(connects, {
      requests: ([request], connection) => {
        if (connection.index === 7) return true;
        if (connection.index !== 10) return false;
        connection.write(response(Buffer.from('Hello!')));
        return request.close;
      },
    });
    assert.deepEqual(failuresOf(report, 'connects'), { timed_out: 2 });
  });

  test('generations are counted', async () => {
    let answers = 0;
    const report = await run({ ...connects, ...keepalive, connectsPerSecond: 100, generationHeader: 'X-Generation' }, {
      requests: (requests, connection) => {
        for (const request of requests) {
          connection.answer(request, { fields: `x-generation: ${++answers > 40 ? 'b' : 'a "1"'}\r\n` });
        }
        return true;
      },
    });
    assert.equal(report.failed, 0, describeFailures(report));
    const [a, b] = report.generations;
    assert.deepEqual(report.generations.map(({ value }) => value), ['a "1"', 'b']);
    assert.equal(a.connects + b.connects, report.connects.answered);
    assert.equal(a.keepalive + b.keepalive, report.keepalive.answered);
    assert.equal(a.count, a.connects + a.keepalive);
    assert.ok(a.first_ms < a.last_ms && b.first_ms < b.last_ms && a.first_ms < b.first_ms);
    assert.equal(report.without_generation, 0);
  });
});

describe('connections kept alive', { concurrency: 6 }, () => {
  test('two answers in the wrong order', async () => {
    const pairs = nth(1);
    const report = await run(keepalive, {
      requests: (requests, connection) => {
        if (requests.length < 2 || !pairs()) return false;
        for (const request of requests.reverse()) connection.answer(request);
        return true;
      },
    });
    assert.deepEqual(failuresOf(report, 'keepalive'), { reordered: 1 });
  });

  test('an answer twice', async () => {
    const now = nth(9);
    const report = await run(keepalive, {
      requests: (requests, connection) => {
        if (!now()) return false;
        for (const request of requests) connection.answer(request);
        connection.answer(requests.at(-1));
        return true;
      },
    });
    assert.deepEqual(failuresOf(report, 'keepalive'), { duplicated: 1 });
  });

  test('the end instead of an answer', async () => {
    const now = nth(9);
    const report = await run(keepalive, {
      requests: (requests, connection) => {
        if (requests.length > 1 || !now()) return false;
        connection.socket.end();
        return true;
      },
    });
    assert.deepEqual(failuresOf(report, 'keepalive'), { lost: 1 });
    // And it has gone on with another connection.
    assert.equal(report.keepalive.opened, 4);
    assert.equal(report.keepalive.answered, report.keepalive.started - 1);
  });

  test('a reset, with two requests outstanding', async () => {
    const pairs = nth(1);
    const report = await run(keepalive, {
      requests: (requests, connection) => {
        if (requests.length < 2 || !pairs()) return false;
        connection.socket.resetAndDestroy();
        return true;
      },
    });
    assert.deepEqual(failuresOf(report, 'keepalive'), { reset: 1, lost: 1 });
  });

  test('an answer cut', async () => {
    const now = nth(9);
    const report = await run(keepalive, {
      requests: (requests, connection) => {
        if (requests.length > 1 || !now()) return false;
        connection.socket.end(response(requests[0].body).subarray(0, -1));
        return true;
      },
    });
    assert.deepEqual(failuresOf(report, 'keepalive'), { truncated: 1 });
  });

  test('a byte changed, and the answer of another connection', async () => {
    const change = nth(9);
    const swap = nth(9);
    let other;
    const report = await run(keepalive, {
      requests: (requests, connection) => {
        if (requests.length > 1) return false;
        if (change()) {
          const body = Buffer.from(requests[0].body);
          body[body.length - 1] ^= 1;
          connection.write(response(body));
          return true;
        }
        if (other && other.connection !== connection.index && swap()) {
          connection.write(response(other.body));
          return true;
        }
        other ??= { connection: connection.index, body: Buffer.from(requests[0].body) };
        return false;
      },
    });
    assert.deepEqual(failuresOf(report, 'keepalive'), { wrong: 2 });
  });

  test('no answer', async () => {
    const now = nth(9);
    const report = await run(keepalive, {
      requests: (requests) => requests.length === 1 && now(),
    });
    assert.deepEqual(failuresOf(report, 'keepalive'), { timed_out: 1 });
  });

  test('refused from the start: no "ready", but a report', async () => {
    const server = await startFaultyServer();
    server.end();
    const clients = launchSteadyClients({ port: server.port, ...keepalive });
    const { code, report, stderr } = await clients.finished();
    assert.equal(code, 1);
    assert.doesNotMatch(stderr, /^ready$/m);
    assert.match(stderr, /not every connection could be opened/);
    assert.equal(report.ended_by, 'opening failed');
    assert.equal(failuresOf(report, 'keepalive').refused, report.failed);
    assert.ok(report.failed > 0);
  });

  test('what RFC 9112 allows is counted, and no failure', async () => {
    const told = nth(2);
    const pairs = nth(1);
    const report = await run(keepalive, {
      requests: (requests, connection) => {
        if (requests.length > 1 ? !pairs() : !told()) return false;
        // Of two the second has been written already.
        connection.answer(requests[0], { fields: 'Connection: keep-alive, Close\r\n' });
        connection.socket.end();
        return true;
      },
    });
    assert.equal(report.failed, 0, describeFailures(report));
    assert.equal(report.keepalive.told_to_close, 2);
    assert.equal(report.keepalive.raced_close, 1);
    assert.equal(report.keepalive.opened, 3 + 2);
    // What raced the close has been sent, and started, twice.
    assert.equal(report.keepalive.answered, report.keepalive.started - 1);
  });

  test('an end while nothing is asked is no failure', async () => {
    const now = nth(2);
    // Nothing is due for long behind the answer: a request on its way would be lost.
    const report = await run({ ...silent, keepalive: 1, intervalMs: 400, seconds: 1.2 }, {
      requests: (requests, connection) => {
        if (requests.length > 1 || !now()) return false;
        connection.answer(requests[0]);
        connection.socket.end();
        return true;
      },
    });
    assert.equal(report.failed, 0, describeFailures(report));
    assert.equal(report.keepalive.closed_idle, 1);
    assert.equal(report.keepalive.opened, 2);
  });
});

describe('WebSockets', { concurrency: 6 }, () => {
  for (const [name, expected, fault, check] of [
    ['an echo twice', { duplicated: 1 }, (message, connection) => {
      connection.echo(message);
      connection.echo(message);
      return true;
    }],
    ['an echo dropped', { lost: 1 }, () => true],
    ['two echoes in the wrong order', { reordered: 1 }, (message, connection) => {
      connection.held = message;
      return true;
    }],
    ['a byte changed', { wrong: 1 }, (message, connection) => {
      message.payload[message.payload.length - 1] ^= 1;
      connection.echo(message);
      return true;
    }],
    ['a text as binary', { wrong: 1 }, (message, connection) => {
      connection.echo({ ...message, opcode: message.opcode ^ 3 });
      return true;
    }],
    ['a frame of no known kind', { wrong: 1, lost: 1 }, (message, connection) => {
      connection.write(serverFrame(3, Buffer.from('?')));
      return true;
    }],
    ['a reset', { reset: 1, lost: 1 }, (message, connection) => {
      connection.socket.resetAndDestroy();
      return true;
    }],
    ['the end without a close frame', { closed: 1, lost: 1 }, (message, connection) => {
      connection.socket.end();
      return true;
    }, (report) => assert.deepEqual(report.close_codes, { 1006: 1 })],
    ['a close frame', { closed: 1, lost: 1 }, (message, connection) => {
      connection.write(serverFrame(8, Buffer.from([0x03, 0xf4])));
      return true;
    }, (report) => assert.deepEqual(report.close_codes, { 1012: 1 })],
  ]) {
    test(name, async () => {
      const now = nth(10);
      const report = await run(websockets, {
        message: (message, connection) => {
          if (connection.held) {
            connection.echo(message);
            connection.echo(connection.held);
            connection.held = undefined;
            return true;
          }
          // Texts only: a binary message in a text frame would be no UTF-8 besides.
          return message.opcode === 1 && now() && fault(message, connection);
        },
      });
      const found = failuresOf(report, 'websockets');
      // Of a connection that ended other messages may have been on their way as well.
      if (expected.lost && Object.keys(expected).length > 1) {
        assert.ok(found.lost >= 1, describeFailures(report));
        found.lost = 1;
      }
      assert.deepEqual(found, expected, describeFailures(report));
      // It stays one connection, or none.
      assert.equal(report.websockets.opened, 3);
      assert.equal(report.websockets.close_handshakes, Object.keys(expected).length > 1 ? 2 : 3);
      check?.(report);
    });
  }

  test('silence', async () => {
    const report = await run(websockets, {
      message: (message, connection) => connection.index === 1 && message.number > 10,
    });
    const { timed_out: timedOut, ...others } = failuresOf(report, 'websockets');
    assert.deepEqual(others, {});
    assert.equal(timedOut, report.websockets.started - report.websockets.answered);
    assert.ok(timedOut > 10);
  });

  test('no pong', async () => {
    const report = await run(websockets, { ping: (payload, { index }) => index === 1 });
    const { lost, ...others } = failuresOf(report, 'websockets');
    assert.deepEqual(others, {});
    assert.ok(lost >= 1);
    assert.match(report.first_failures[0].what, /no pong to ping/);
  });

  test('no close frame, and no end behind it', async () => {
    const report = await run(websockets, {
      close: (payload, { index, ...connection }) => {
        if (index === 0) return true;
        if (index !== 1) return false;
        connection.socket.write(serverFrame(8, payload));
        return true;
      },
    });
    assert.deepEqual(failuresOf(report, 'websockets'), { no_close_handshake: 2 });
    assert.equal(report.websockets.close_handshakes, 1);
  });

  test('a handshake refused: no "ready", but a report', async () => {
    const report = await run(websockets, {
      connection: (connection) => {
        if (connection.index === 2) connection.upgrade = () => connection.socket.end(response(Buffer.from('no')));
        return false;
      },
    });
    assert.equal(report.ended_by, 'opening failed');
    assert.deepEqual(failuresOf(report, 'websockets'), { wrong: 1 });
  });

  test('idle ones of which one is gone without a word', async () => {
    const report = await run({ ...silent, idleWebsockets: 20 }, {
      message: (message, { index }) => index === 11,
    });
    assert.deepEqual(failuresOf(report, 'idle_websockets'), { timed_out: 1 });
    assert.equal(report.idle_websockets.answered, 19);
    assert.equal(report.first_failures[0].connection, 11);
  });
});

for (const [name, end] of [
  ['the end of stdin', async (clients) => clients.stop()],
  ['SIGTERM', async (clients) => {
    clients.child.kill('SIGTERM');
    return (await clients.finished()).report;
  }],
  ['SIGINT', async (clients) => {
    clients.child.kill('SIGINT');
    return (await clients.finished()).report;
  }],
]) {
  test(`a run ends with ${name}, and what is outstanding is waited for`, async () => {
    const server = await startFaultyServer({
      requests: (requests, connection) => {
        setTimeout(() => { for (const request of requests) connection.answer(request); }, 30);
        return true;
      },
    });
    const clients = await startSteadyClients({ port: server.port, ...keepalive, connectsPerSecond: 100, websockets: 2 });
    await new Promise((resolve) => setTimeout(resolve, 200));
    const report = await end(clients);
    server.end();
    assert.equal(report.failed, 0, describeFailures(report));
    assert.equal(report.ended_by, name.startsWith('SIG') ? 'signal' : 'stdin');
    for (const kind of ['connects', 'keepalive', 'websockets']) {
      assert.ok(report[kind].answered > 0);
      assert.equal(report[kind].answered, report[kind].started);
    }
  });
}
