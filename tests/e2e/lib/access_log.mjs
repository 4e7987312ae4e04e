// The access log of a server under test: which client asked for what.

import fs from 'node:fs';
import path from 'node:path';
import { eventually } from './server.mjs';

export class AccessLog {
  constructor(directory) {
    this.file = path.join(directory, 'access.log');
  }

  // Resolves to the client of the request for `target`, as soon as its line was written.
  async clientOf(target) {
    const line = await eventually(() => {
      const text = fs.existsSync(this.file) ? fs.readFileSync(this.file, 'utf8') : '';
      return text.split('\n').find((each) => each.includes(` ${target}"`));
    }, `a line for ${target} in the access log`);
    return line.split(' ')[0];
  }
}
