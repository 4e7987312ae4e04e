'use strict';
// The page: asks for the figures once a second, keeps fifteen minutes of them, shows them.

const kPeriod = 1000;         // milliseconds between two questions
const kAnswerTimeout = 3000;
const kWindows = [{minutes: 1, key: '1'}, {minutes: 5, key: '5'}, {minutes: 15, key: '0'}];
const kHistory = 15 * 60_000;
const kSpanMin = 60_000;      // milliseconds that a chart shows at least
const kTokenKey = 'ringmaster-admin-token';
const kThemeKey = 'ringmaster-admin-theme';

const element = (id) => document.getElementById(id);

const samples = [];
let previous = null;      // {status, at} of the last answer
let paused = false;
let silentSince = null;   // when the last answer came, while none comes
let asking = false;
let minutes = 5;
let cursor = null;        // a sample's time that the charts point at
let token = read(sessionStorage, kTokenKey) ?? '';

// Storage may be forbidden, as a whole or for this page.
function read(storage, key) {
  try { return storage.getItem(key); } catch { return null; }
}
function write(storage, key, value) {
  try { value === null ? storage.removeItem(key) : storage.setItem(key, value); } catch { /* it is not kept */ }
}

const charts = [
  {id: 'connections', title: 'Connections', unit: 'open', scale: 'linear', format: formatCount,
   series: [{key: 'open', name: 'open'}]},
  {id: 'rate', title: 'Requests and messages', unit: 'per second', scale: 'linear', format: formatRate,
   series: [{key: 'rate', name: 'handled'}]},
  {id: 'latency', title: 'Handler time', unit: 'of each second', scale: 'log', format: formatMicroseconds,
   series: [{key: 'p50', name: 'p50'}, {key: 'p99', name: 'p99'}, {key: 'p999', name: 'p99.9'}]},
  {id: 'traffic', title: 'Traffic', unit: 'per second', scale: 'binary', format: formatBytes,
   series: [{key: 'received', name: 'received'}, {key: 'sent', name: 'sent'}]},
  {id: 'memory', title: 'Memory', unit: 'bytes', scale: 'binary', format: formatBytes,
   series: [{key: 'resident', name: 'resident'}, {key: 'buffered', name: 'buffered'}]},
  {id: 'door', title: 'At the door', unit: 'per second', scale: 'linear', format: formatRate,
   series: [{key: 'accepted', name: 'accepted'}, {key: 'closed', name: 'closed'}, {key: 'refused', name: 'refused'}]},
].map((description) => new Chart(element('charts'), description, onCursor));

function onCursor(chart, at, {announce}) {
  cursor = at;
  drawCharts();
  if (!announce) return;
  const sample = chart.samples[chart.nearest(at)];
  element('reading').textContent = `${formatTime(sample.at)}: ${chart.reading(sample)}`;
}

function drawCharts() {
  // While figures come, their newest stands at the right edge; while none come, the curve moves away from it.
  const last = samples.at(-1);
  const live = last && silentSince === null;
  const now = live ? last.at : Date.now();
  // A page that was just opened has little to show: the charts grow with it.
  const age = samples.length === 0 ? 0 : now - samples[0].at;
  const span = Math.min(minutes * 60_000, Math.max(kSpanMin, age));
  if (cursor !== null && cursor < now - span) cursor = null;
  for (const chart of charts) chart.measure();
  for (const chart of charts) chart.draw(samples, now, span, cursor);
}

// Written only when it changes, so that a screen reader is not told the same every second.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function showState() {
  const last = samples.at(-1);
  const [state, text] =
      paused ? ['paused', 'paused']
      : !element('token-form').hidden ? ['waiting', 'waiting for the token']
      : silentSince !== null ? ['silent', 'no answer']
      : !last ? ['waiting', 'waiting for the first figures']
      : last.stopping ? ['trouble', 'stopping']
      : last.ready < last.workers.length ? ['trouble', `${last.ready} of ${last.workers.length} workers ready`]
      : ['live', 'live'];
  element('state').dataset.state = state;
  setText(element('state'), text);
  const name = previous?.status.name || 'Ringmaster';
  document.title = state === 'silent' ? `no answer – ${name}` : name;
}

function showAlarm() {
  const alarm = element('alarm');
  const silent = silentSince !== null && !paused && element('token-form').hidden;
  element('main').toggleAttribute('data-stale', silent);
  if (!silent) {
    alarm.hidden = true;
    alarm.replaceChildren();
    return;
  }
  if (alarm.hidden) {
    alarm.hidden = false;
    html('b', {textContent: `The server has not answered since ${formatTime(silentSince)}`}, alarm);
    // The seconds are for the eye alone: an alert that changes is read out again.
    html('span', {}, alarm).setAttribute('aria-hidden', 'true');
  }
  alarm.lastChild.textContent = `, ${formatDuration((Date.now() - silentSince) / 1000)} ago. Trying again.` +
      (previous ? ' The figures below are from then.' : '');
}

function showFigures(status, sample) {
  setText(element('name'), status.name || 'Ringmaster');
  const facts = [status.version && `version ${status.version}`, `up ${formatDuration(status.uptime_seconds)}`,
                 `generation ${status.generation}`, ...status.listeners.map(({address}) => address)];
  element('facts').replaceChildren(...facts.filter(Boolean).map((text) => html('span', {textContent: text})));
  const restarts = status.totals.restarts;
  const stalls = status.totals.counters.handler_stalls ?? 0;
  showTiles(element('tiles'), [
    {name: 'connections open', value: formatCount(sample.open)},
    {name: 'requests and messages per second', value: formatRate(sample.rate)},
    {name: 'handler time, p99', value: formatMicroseconds(sample.p99)},
    {name: 'memory, all processes', value: formatBytes(sample.resident)},
    {name: 'refused, limited, dropped per second', value: formatRate(sample.refused), warn: sample.refused > 0},
    {name: 'stalls and restarts', value: `${formatCount(stalls)} · ${formatCount(restarts)}`, warn: stalls + restarts > 0},
  ]);
  showReasons(element('closes'), sample.closes);
  showReasons(element('refusals'), sample.refusals);
  showProcesses(element('process-rows'), status, sample);
}

function askForToken(message) {
  const form = element('token-form');
  if (message) {
    setText(element('token-note'), message);
    element('token-note').classList.add('warn');
  }
  if (!form.hidden) return;
  form.hidden = false;
  element('token').focus();
}

function onAnswer(status) {
  const at = Date.now();
  const sample = makeSample(status, at, previous);
  // The server was started again: what was before is another run's.
  if (previous && isAnother(status, previous.status)) cursor = null;
  previous = {status, at};
  samples.push(sample);
  while (samples[0].at < at - kHistory) samples.shift();
  silentSince = null;
  element('token-form').hidden = true;
  showFigures(status, sample);
}

async function ask() {
  const headers = token ? {Authorization: `Bearer ${token}`} : {};
  const answer = await fetch('status.json?buckets', {cache: 'no-store', headers, signal: AbortSignal.timeout(kAnswerTimeout)});
  if (answer.status === 401) {
    askForToken(token ? 'The server refuses this token.' : '');
    token = '';
    write(sessionStorage, kTokenKey, null);
    return;
  }
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  onAnswer(await answer.json());
}

async function turn() {
  const wanted = !paused && !document.hidden && (element('token-form').hidden || token);
  if (asking || !wanted) return;
  asking = true;
  try {
    await ask();
  } catch {
    silentSince ??= samples.at(-1)?.at ?? Date.now();
  }
  asking = false;
  show();
}

function show() {
  showState();
  showAlarm();
  drawCharts();
}

// ---- what the reader does ---------------------------------------------------------------------------------

function setPaused(value) {
  paused = value;
  element('pause').setAttribute('aria-pressed', String(paused));
  setText(element('pause'), paused ? 'Go on' : 'Pause');
  show();
  turn();
}

function setWindow(value) {
  minutes = value;
  for (const button of element('windows').children) {
    button.setAttribute('aria-pressed', String(Number(button.dataset.minutes) === minutes));
  }
  drawCharts();
}

function setTheme(theme) {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  setText(element('theme'), `Theme: ${theme}`);
  write(localStorage, kThemeKey, theme);
}

function nextTheme() {
  const themes = ['auto', 'light', 'dark'];
  setTheme(themes[(themes.indexOf(document.documentElement.dataset.theme ?? 'auto') + 1) % themes.length]);
}

function openHelp() {
  if (!element('help').open) element('help').showModal();
}

for (const {minutes: value, key} of kWindows) {
  const button = html('button', {type: 'button', textContent: `${value} min`}, element('windows'));
  button.dataset.minutes = value;
  button.setAttribute('aria-keyshortcuts', key);
  button.addEventListener('click', () => setWindow(value));
}
element('pause').addEventListener('click', () => setPaused(!paused));
element('theme').addEventListener('click', nextTheme);
element('help-open').addEventListener('click', openHelp);
element('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  token = element('token').value.trim();
  element('token').value = '';
  write(sessionStorage, kTokenKey, token);
  turn();
});

const kKeys = {
  p: () => setPaused(!paused),
  t: nextTheme,
  c: () => charts[0].focus(),
  w: () => element('processes').focus(),
  '?': openHelp,
  Escape: () => onCursor(charts[0], null, {announce: false}),
};
for (const {minutes: value, key} of kWindows) kKeys[key] = () => setWindow(value);

document.addEventListener('keydown', (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.tagName === 'INPUT' || element('help').open) return;
  const action = Object.hasOwn(kKeys, event.key) ? kKeys[event.key] : null;
  if (!action) return;
  event.preventDefault();
  action();
});

document.addEventListener('visibilitychange', turn);
new ResizeObserver(drawCharts).observe(element('charts'));
setTheme(['light', 'dark'].find((theme) => theme === read(localStorage, kThemeKey)) ?? 'auto');
setWindow(minutes);
setInterval(turn, kPeriod);
turn();
