// Asks the admin listener: over its unix socket, or over TCP with a token.

import http from 'node:http';
import { patience } from './server.mjs';

// `where` is the address as the status shows it: "unix:/run/ringmaster.admin.sock" or "127.0.0.1:9000".
export function askAdmin(where, path, { method = 'GET', token, headers = {} } = {}) {
  const begun = performance.now();
  const colon = where.lastIndexOf(':');
  const target = where.startsWith('unix:') ? { socketPath: where.slice('unix:'.length) }
                                           : { host: where.slice(0, colon), port: Number(where.slice(colon + 1)) };
  return new Promise((resolve, reject) => {
    const request = http.request({
      ...target, path, method, agent: false, timeout: patience,
      headers: { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...headers },
    }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => { body += text; });
      response.on('end', () => resolve({
        status: response.statusCode, headers: response.headers, body, milliseconds: performance.now() - begun,
      }));
      response.on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error(`${path}: no answer`)));
    request.on('error', reject);
    request.end();
  });
}
