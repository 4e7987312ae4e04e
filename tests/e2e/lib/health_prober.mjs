// A process of its own, so that the attackers' event loop does not stand in the way: asks for /hello on a fresh
// connection every 50 ms and measures each answer. Started with fork; see health.mjs.

import net from 'node:net';
import { ranOnCpu, waitedForCpu } from './cpu.mjs';

const every = 50;
const answerWithin = 60_000;
const request = 'GET /hello HTTP/1.1\r\nHost: health\r\nConnection: close\r\n\r\n';

const now = () => Number(process.hrtime.bigint()) / 1e6;

// Resolves to {began, took, waited, ran} in milliseconds, or to {failure}. `waited` is what the machine took away meanwhile, from
// the server's worker and from this process; `ran` is what the worker did before it answered.
function probe(port, worker) {
  return new Promise((resolve) => {
    const began = now();
    const ranBefore = ranOnCpu(worker);
    const waitedBefore = waitedForCpu(worker, 'self');
    let text = '';
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const finish = (result) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => finish({ failure: `no answer in ${answerWithin} ms` }), answerWithin);
    socket.on('connect', () => socket.write(request));
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (!text.includes('Hello, World!')) return;
      const took = now() - began;
      const waited = waitedForCpu(worker, 'self') - waitedBefore;
      finish(text.startsWith('HTTP/1.1 200 ') ? { began, took, waited, ran: ranOnCpu(worker) - ranBefore } : { failure: text });
    });
    socket.on('error', (error) => finish({ failure: error.code }));
    socket.on('close', () => finish({ failure: `closed after ${JSON.stringify(text)}` }));
  });
}

const { port, worker } = await new Promise((resolve) => process.once('message', resolve));
// The first ones load code on both sides.
for (let i = 0; i < 5; ++i) await probe(port, worker);
process.send('ready');

const probes = [];
const timer = setInterval(() => probes.push(probe(port, worker)), every);
await new Promise((resolve) => process.once('message', resolve));
clearInterval(timer);
process.send(await Promise.all(probes), () => process.disconnect());
