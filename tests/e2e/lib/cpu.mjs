// What the machine takes from a process.

import fs from 'node:fs';

// How long processes were ready to run while the machine ran others, in milliseconds since they began. On a machine with
// more to do than processors that is most of their time, and no server can change it: a bound on what a server does
// leaves it out.
export function waitedForCpu(...pids) {
  let nanoseconds = 0;
  for (const pid of pids) nanoseconds += Number(fs.readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]);
  return nanoseconds / 1e6;
}

// How long processes have run, in milliseconds since they began.
export function ranOnCpu(...pids) {
  let nanoseconds = 0;
  for (const pid of pids) nanoseconds += Number(fs.readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]);
  return nanoseconds / 1e6;
}
