// The page in a real browser, and the origin check as a browser meets it: pages of other origins.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { launchChromium, skip } from './lib/chromium.mjs';
import { demoConfig, patience, startServer, within } from './lib/server.mjs';

// A page of another origin: another port of the same host.
function startPage() {
  const page = http.createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><title>another origin</title>');
  });
  return new Promise((resolve) => page.listen(0, '127.0.0.1', () => resolve(page)));
}

let browser;
let server;
let friend;
let stranger;
before(async () => {
  if (skip) return;
  friend = await startPage();
  stranger = await startPage();
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  friend?.close();
  stranger?.close();
});

// Opens a WebSocket from a page and sends a word; resolves to the echo, or "closed CODE".
const tryWebSocket = (page, url) => page.evaluate((target) => new Promise((resolve) => {
  const socket = new WebSocket(target);
  socket.onopen = () => socket.send('word');
  socket.onmessage = ({ data }) => { socket.close(); resolve(data); };
  socket.onclose = ({ code }) => resolve(`closed ${code}`);
}), url);

async function openPage(url) {
  const page = await browser.newPage();
  page.setDefaultTimeout(patience);
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && page.problems.push(message.text()));
  await page.goto(url);
  return page;
}

test('the page connects, sends, shows the echo and disconnects', { skip }, async () => {
  server = await startServer();
  const page = await openPage(`${server.url}/`);
  const socketOpened = page.waitForEvent('websocket');
  const connect = page.getByRole('button', { name: /^connect/i });
  if (await connect.isEnabled()) await connect.click();
  const socket = await socketOpened;
  assert.match(socket.url(), /\/ws$/);
  const send = page.getByRole('button', { name: /^send/i });
  await send.and(page.locator(':enabled')).waitFor();
  const echo = socket.waitForEvent('framereceived', { predicate: ({ payload }) => String(payload).includes('Hello from the browser') });
  await page.getByRole('textbox', { name: /message|text/i }).first().fill('Hello from the browser');
  await send.click();
  await within(echo, 'echo in the page');
  await page.waitForFunction(() => document.body.innerText.split('Hello from the browser').length > 2);
  await page.getByRole('button', { name: /^disconnect|^close/i }).click();
  await within(socket.isClosed() ? Promise.resolve() : socket.waitForEvent('close'), 'close');
  assert.deepEqual(page.problems, []);
  await page.close();
});
test('the page shows live numbers', { skip }, async () => {
  const page = await openPage(`${server.url}/`);
  for (let i = 0; i < 2; ++i) {
    const response = await page.waitForResponse((answer) => answer.url().endsWith('/status.json'));
    assert.equal(response.status(), 200);
  }
  await page.waitForFunction(() => /^[1-9]/.test(document.getElementById('accepted').textContent));
  assert.deepEqual(page.problems, []);
  await page.close();
});
test('a page served by the server itself may open a WebSocket', { skip }, async () => {
  const page = await openPage(`${server.url}/hello`);
  assert.equal(await tryWebSocket(page, `ws://127.0.0.1:${server.port}/ws`), 'word');
  await page.close();
});
test('a page of another origin is refused', { skip }, async () => {
  const page = await openPage(`http://127.0.0.1:${stranger.address().port}/`);
  assert.equal(await tryWebSocket(page, `ws://127.0.0.1:${server.port}/ws`), 'closed 1006');
  await page.close();
  await server.stop();
});
test('a page of an origin that is listed is accepted, another one is not', { skip }, async () => {
  const listed = await startServer({
    config: demoConfig((config) => {
      config.websocket = { allowed_origins: [`http://127.0.0.1:${friend.address().port}`] };
      for (const route of config.routes) delete route.allowed_origins;
    }),
  });
  const target = `ws://127.0.0.1:${listed.port}/ws`;
  const good = await openPage(`http://127.0.0.1:${friend.address().port}/`);
  assert.equal(await tryWebSocket(good, target), 'word');
  const bad = await openPage(`http://127.0.0.1:${stranger.address().port}/`);
  assert.equal(await tryWebSocket(bad, target), 'closed 1006');
  await good.close();
  await bad.close();
  await listed.stop();
});
