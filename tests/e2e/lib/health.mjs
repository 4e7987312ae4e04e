// Health checks beside an attack: GET /hello on a fresh connection every 50 ms, from a process of its own.

import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { patience, sanitized, within } from './server.mjs';

const prober = fileURLToPath(new URL('health_prober.mjs', import.meta.url));

// No answer may take longer, whatever is going on.
export const answerWithin = sanitized ? 1000 : 100;
const crowdedFactor = 3;

const next = (child, what) => within(new Promise((resolve, reject) => {
  child.once('message', resolve);
  child.once('exit', (code) => reject(new Error(`the health prober ended with ${code}`)));
}), what, 4 * patience);

export class HealthChecks {
  static async start(server) {
    const checks = new HealthChecks();
    checks.child = fork(prober, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    checks.child.send({ port: server.port, worker: server.workers()[0] });
    await next(checks.child, 'readiness of the health prober');
    return checks;
  }

  // Ends the checks and judges them. What the machine took from worker and prober while it ran others does not count: on
  // a machine with more to do than processors it is most of the time, and no server can change it. What the worker did
  // before it answered always counts.
  async stop() {
    const results = next(this.child, 'results of the health prober');
    this.child.send('stop');
    const all = await results;
    const failed = all.filter(({ failure }) => failure !== undefined);
    assert.deepEqual(failed, [], 'health checks failed');
    assert.ok(all.length >= 10, `only ${all.length} health checks`);
    const judged = figures(all);
    // Where the worker has to wait longer than it runs, others use its caches meanwhile, and what it does takes longer.
    const crowded = judged.waited > judged.ran;
    assert.ok(judged.max <= answerWithin * (crowded ? crowdedFactor : 1), `too slow: ${judged.text}`);
    return judged.text;
  }
}

function figures(probes) {
  const took = probes.map((probe) => Math.max(probe.ran, probe.took - probe.waited)).sort((a, b) => a - b);
  const raw = Math.max(...probes.map((probe) => probe.took));
  const p99 = took[Math.floor(0.99 * (took.length - 1))] ?? 0;
  const max = took.at(-1) ?? 0;
  const sum = (key) => probes.reduce((total, probe) => total + probe[key], 0);
  return {
    max,
    waited: sum('waited'),
    ran: sum('ran'),
    text: `${took.length} health checks, p99 ${p99.toFixed(1)} ms, max ${max.toFixed(1)} ms (${raw.toFixed(1)} with waiting for a CPU)`,
  };
}
