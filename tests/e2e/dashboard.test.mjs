// The dashboard in a real browser, over TCP with a token: what it shows, that it lives, that a keyboard is enough.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { launchChromium, skip } from './lib/chromium.mjs';
import { demoConfig, eventually, patience, startServer } from './lib/server.mjs';

const token = 'a-token-for-the-tests';

let browser;
let server;
let admin;
let stopLoad;

// Requests one after the other, until told to stop: what the curves show.
function startLoad() {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
  let running = true;
  const again = () => {
    if (!running) return;
    http.get(`${server.url}/hello`, { agent }, (response) => response.resume().on('end', again)).on('error', () => {});
  };
  for (let i = 0; i < 4; ++i) again();
  return () => {
    running = false;
    agent.destroy();
  };
}

before(async () => {
  if (skip) return;
  browser = await launchChromium();
  server = await startServer({ config: demoConfig((config) => { config.admin = { address: '127.0.0.1:0', token }; }) });
  admin = `http://${(await server.status()).admin.address}/`;
  stopLoad = startLoad();
});
after(async () => {
  stopLoad?.();
  await browser?.close();
});

// A page that has the token, and shows figures. `page.problems` are errors that the console shows or a script throws,
// `page.hosts` everybody whom the browser asked.
async function openDashboard(options = {}, { withToken = true } = {}) {
  const context = await browser.newContext(options);
  if (withToken) {
    await context.addInitScript((value) => sessionStorage.setItem('ringmaster-admin-token', value), token);
  }
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.problems = [];
  page.hosts = new Set();
  page.on('pageerror', (error) => page.problems.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && page.problems.push(message.text()));
  page.on('request', (request) => page.hosts.add(new URL(request.url()).host));
  await page.goto(admin);
  if (withToken) await state(page, 'live');
  return page;
}

// Not waitForFunction: it evaluates text in the page, which the page's policy forbids.
const holds = (page, condition, what) => eventually(() => page.evaluate(condition), what);
const state = (page, text) => eventually(
    async () => (await page.locator('#state').textContent()) === text, `the state "${text}"`);
const curve = (page, chart, series = 1) => page.locator(`#chart-${chart} path.curve.series-${series}`).getAttribute('d');
const color = (page, property) => page.evaluate((name) => getComputedStyle(document.body)[name], property);

async function close(page) {
  assert.deepEqual(page.problems, []);
  assert.deepEqual([...page.hosts].filter((host) => host !== '' && host !== new URL(admin).host), []);
  await page.context().close();
}

test('it asks for the token, keeps it in the tab and never in an address', { skip }, async () => {
  const page = await openDashboard({}, { withToken: false });
  const field = page.getByLabel('Admin token');
  await field.waitFor();
  assert.ok(await field.evaluate((input) => input === document.activeElement));
  await page.keyboard.type('this-is-the-wrong-one');
  await page.keyboard.press('Enter');
  await page.getByText('The server refuses this token.').waitFor();
  await field.fill(token);
  await page.keyboard.press('Enter');
  await state(page, 'live');
  assert.ok(await field.isHidden());
  // That they were refused is what the console says, and nothing else.
  assert.ok(page.problems.every((text) => /401/.test(text)), page.problems.join('\n'));
  assert.equal(await page.evaluate(() => sessionStorage.getItem('ringmaster-admin-token')), token);
  assert.equal(page.url(), admin);
  page.problems = [];
  await page.reload();
  await state(page, 'live');
  await close(page);
});

test('its figures are the server\'s and its curves move under load', { skip }, async () => {
  const page = await openDashboard({ viewport: { width: 1280, height: 900 } });
  await holds(page, () => /[\d.]+ (µs|ms|s)handler time/.test(
      [...document.querySelectorAll('#tiles div')].map((tile) => tile.lastChild.textContent + tile.firstChild.textContent).join(' ')),
              'a percentile of the handler time');
  await holds(page, () => document.querySelectorAll('#chart-latency path.curve').length === 3, 'three curves of handler time');
  for (const chart of ['rate', 'latency', 'traffic']) {
    const first = await curve(page, chart);
    await eventually(async () => (await curve(page, chart)) !== first, `the curve of ${chart} moves`);
  }
  const processes = page.locator('#process-rows tr');
  const status = await server.status();
  assert.equal(await processes.count(), status.workers.length + 2);
  const text = await page.locator('#process-rows').innerText();
  for (const { pid } of [status, status.admin, ...status.workers]) assert.ok(text.includes(String(pid)), text);
  // Connections closed for a reason that only this test gives.
  await fetch(`${server.url}/hello`, { headers: { Connection: 'close' } });
  await holds(page, () => document.querySelectorAll('#closes .count').length > 0, 'a reason of closes');
  await close(page);
});

test('a keyboard is enough', { skip }, async () => {
  const page = await openDashboard();
  const reading = page.locator('#reading');
  const focused = () => page.evaluate(() => document.activeElement.closest('figure')?.id ?? document.activeElement.id);
  await holds(page, () => document.querySelector('#chart-rate path.curve')?.getAttribute('d').includes('L'), 'a curve');
  await page.keyboard.press('c');
  assert.equal(await focused(), 'chart-connections');
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, 'none');
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'chart-rate');
  await page.keyboard.press('ArrowLeft');
  const newer = await reading.textContent();
  assert.match(newer, /^\d\d:\d\d:\d\d: handled [\d.,]+$/);
  await page.keyboard.press('ArrowLeft');
  assert.notEqual(await reading.textContent(), newer);
  await page.keyboard.press('ArrowRight');
  assert.equal(await reading.textContent(), newer);
  await page.keyboard.press('Home');
  assert.match(await reading.textContent(), /^\d\d:\d\d:\d\d: handled (no value|[\d.,]+)$/);
  assert.ok(await page.locator('#chart-latency .cursor').count() === 1, 'the cursor is on every chart');
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('.cursor').count(), 0);

  await page.keyboard.press('1');
  assert.equal(await page.locator('#windows [aria-pressed=true]').textContent(), '1 min');
  await page.keyboard.press('w');
  assert.equal(await focused(), 'processes');
  await page.keyboard.press('?');
  const help = page.getByRole('dialog');
  await help.waitFor();
  await page.keyboard.press('Escape');
  await help.waitFor({ state: 'hidden' });

  // Everything that can have the focus says what it is.
  const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, [tabindex]')].filter((node) =>
      !(node.getAttribute('aria-label') || node.getAttribute('aria-labelledby') || node.labels?.length || node.textContent.trim()))
      .map((node) => node.outerHTML));
  assert.deepEqual(nameless, []);
  await close(page);
});

test('it asks nothing while it is paused, and goes on', { skip }, async () => {
  const page = await openDashboard();
  await page.keyboard.press('p');
  await state(page, 'paused');
  let asked = 0;
  page.on('request', () => { ++asked; });
  // A question that was under way may still be answered; then two periods without one.
  await page.waitForTimeout(2500);
  assert.equal(asked, 0);
  await page.keyboard.press('p');
  await state(page, 'live');
  await eventually(() => asked > 0, 'the next question');
  await close(page);
});

test('dark and light: what the system wants, or what the reader chooses, and kept', { skip }, async () => {
  const page = await openDashboard({ colorScheme: 'dark' });
  const dark = await color(page, 'backgroundColor');
  await page.emulateMedia({ colorScheme: 'light' });
  const light = await color(page, 'backgroundColor');
  assert.notEqual(dark, light);
  await page.keyboard.press('t');
  await page.keyboard.press('t');
  assert.equal(await page.locator('#theme').textContent(), 'Theme: dark');
  assert.equal(await color(page, 'backgroundColor'), dark);
  await page.reload();
  await state(page, 'live');
  assert.equal(await color(page, 'backgroundColor'), dark);
  // Text stands out from its ground in both: WCAG 2.2, success criterion 1.4.3.
  for (const theme of ['light', 'dark']) {
    await page.evaluate((name) => { document.documentElement.dataset.theme = name; }, theme);
    const poor = await page.evaluate(() => {
      const luminance = (text) => {
        const [r, g, b] = text.match(/[\d.]+/g).map((value) => value / 255)
            .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const ground = (node) => {
        for (; node; node = node.parentElement) {
          const found = getComputedStyle(node).backgroundColor;
          if (found !== 'rgba(0, 0, 0, 0)') return found;
        }
        return 'rgb(255, 255, 255)';
      };
      return [...document.querySelectorAll('h1, h2, p, span, b, dt, dd, th, td, li, button')].filter((node) => {
        if (!node.textContent.trim() || !node.getClientRects().length) return false;
        const [a, b] = [luminance(getComputedStyle(node).color), luminance(ground(node))].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05) < 4.5;
      }).map((node) => node.outerHTML.slice(0, 120));
    });
    assert.deepEqual(poor, [], theme);
  }
  await close(page);
});

for (const width of [360, 1920]) {
  test(`it fits a screen of ${width} pixels`, { skip }, async () => {
    const page = await openDashboard({ viewport: { width, height: 800 } });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
    const plots = await page.evaluate(() => [...document.querySelectorAll('.plot')].map((plot) => plot.clientWidth));
    assert.equal(plots.length, 6);
    assert.ok(plots.every((plot) => plot > 250), plots.join());
    await close(page);
  });
}

test('a server that does not answer is shown as such, and since when', { skip }, async () => {
  const page = await openDashboard();
  stopLoad();
  await server.stop();
  const alarm = page.getByRole('alert');
  await alarm.waitFor();
  assert.match(await alarm.textContent(), /^The server has not answered since \d\d:\d\d:\d\d, .* ago\./);
  await state(page, 'no answer');
  assert.match(await page.title(), /^no answer/);
  assert.ok(page.problems.every((text) => /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/.test(text)),
      page.problems.join('\n'));
  page.problems = [];
  await close(page);
});
