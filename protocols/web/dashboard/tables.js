'use strict';
// The parts of the page that are text: the figures of now, reasons with bars, processes.

function showTiles(list, tiles) {
  list.replaceChildren(...tiles.map(({name, value, warn}) => {
    const tile = document.createElement('div');
    tile.toggleAttribute('data-warn', Boolean(warn));
    html('dt', {textContent: name}, tile);
    html('dd', {textContent: value}, tile);
    return tile;
  }));
}

function showReasons(list, reasons) {
  if (reasons.length === 0) {
    list.replaceChildren(html('li', {className: 'none', textContent: 'none yet'}));
    return;
  }
  const most = reasons[0].count;
  list.replaceChildren(...reasons.map(({name, count, rate}) => {
    const item = document.createElement('li');
    html('span', {className: 'name', textContent: name}, item);
    const bar = html('span', {className: 'bar'}, item);
    html('i', {}, bar).style.width = `${Math.max(1.5, count / most * 100)}%`;
    html('span', {className: 'count', textContent: formatCount(count)}, item);
    html('span', {className: 'rate', textContent: rate ? `${formatRate(rate)}/s` : ''}, item);
    return item;
  }));
}

function processRow(name, cells) {
  const row = document.createElement('tr');
  html('th', {scope: 'row', textContent: name}, row);
  for (const cell of cells) {
    const {text, warn} = typeof cell === 'object' && cell !== null ? cell : {text: cell};
    const node = html('td', {textContent: text ?? ''}, row);
    node.toggleAttribute('data-warn', Boolean(warn));
  }
  return row;
}

// A slot of the shared memory: a worker, or the admin process.
function slotRow(name, slot) {
  const {counters} = slot;
  return processRow(name, [
    slot.pid || kNothing,
    {text: slot.state, warn: slot.state !== 'ready'},
    slot.pid ? formatDuration(slot.uptime_seconds) : kNothing,
    formatCount(counters.connections_open),
    formatCount(counters.connections_accepted),
    formatRate(slot.rate),
    formatMicroseconds(slot.p99),
    formatBytes(counters.bytes_received),
    formatBytes(counters.bytes_sent),
    formatBytes(slot.memory_bytes),
    {text: formatCount(counters.handler_stalls ?? 0), warn: counters.handler_stalls > 0},
    {text: formatCount(slot.restarts), warn: slot.restarts > 0},
  ]);
}

function showProcesses(body, status, sample) {
  const rows = sample.workers.map((worker) => slotRow(`worker ${worker.index}`, worker));
  rows.push(processRow('master', [
    status.pid, 'runs', formatDuration(status.uptime_seconds), '', '', '', '', '', '', formatBytes(status.memory_bytes), '', '',
  ]));
  if (status.admin) rows.push(slotRow('admin', status.admin));
  body.replaceChildren(...rows);
}
