'use strict';
// One line chart: SVG, a legend with values, and a cursor for pointer and keyboard that all charts share.

const kSvg = 'http://www.w3.org/2000/svg';
const kMargin = {left: 54, right: 8, top: 8, bottom: 20};

function svg(name, attributes, parent) {
  const node = document.createElementNS(kSvg, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent?.append(node);
  return node;
}

function html(name, properties, parent) {
  const node = Object.assign(document.createElement(name), properties);
  parent?.append(node);
  return node;
}

class Chart {
  // series: up to three {key, name}; a sample's `key` is a number or null. format: a value as text. scale: 'linear',
  // 'binary' or 'log'. onCursor(chart, at | null, {announce}): somebody points at a time.
  constructor(parent, {id, title, unit, series, format, scale}, onCursor) {
    Object.assign(this, {title, unit, series, format, scale, onCursor});
    this.samples = [];
    const figure = html('figure', {className: 'panel', id: `chart-${id}`}, parent);
    const caption = html('figcaption', {}, figure);
    html('h2', {textContent: title, id: `chart-${id}-title`}, caption);
    this.when = html('span', {className: 'when'}, caption);
    this.plot = html('div', {className: 'plot', tabIndex: 0}, figure);
    // Arrow keys are its own: a screen reader must pass them on.
    this.plot.setAttribute('role', 'application');
    this.plot.setAttribute('aria-roledescription', 'chart');
    this.svg = svg('svg', {'aria-hidden': 'true'}, this.plot);
    const legend = html('ul', {className: 'legend'}, figure);
    this.values = series.map(({name}, index) => {
      const item = html('li', {}, legend);
      const swatch = svg('svg', {width: 22, height: 8, 'aria-hidden': 'true'}, item);
      svg('line', {x1: 2, y1: 4, x2: 20, y2: 4, class: `series-${index + 1}`}, swatch);
      html('span', {textContent: name}, item);
      return html('b', {textContent: kNothing}, item);
    });
    this.plot.addEventListener('keydown', (event) => this.onKey(event));
    this.plot.addEventListener('blur', () => this.onCursor(this, null, {announce: false}));
    this.plot.addEventListener('pointermove', (event) => this.onPointer(event));
    this.plot.addEventListener('pointerleave', () => this.onCursor(this, null, {announce: false}));
    this.label();
  }

  focus() {
    this.plot.focus();
    this.plot.scrollIntoView({block: 'nearest'});
  }

  // The name that a screen reader speaks when the chart gets the focus: what it shows, and the newest values.
  label() {
    const last = this.samples.at(-1);
    const values = last ? `now ${this.reading(last)}` : 'no values yet';
    this.plot.setAttribute('aria-label', `${this.title}, ${this.unit}: ${values}. Arrow keys read earlier values.`);
  }

  reading(sample) {
    return this.series.map(({key, name}) =>
        `${name} ${sample[key] == null ? 'no value' : this.format(sample[key])}`).join(', ');
  }

  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || this.samples.length === 0) return;
    const last = this.samples.length - 1;
    const at = this.cursor === null ? last : this.nearest(this.cursor);
    const target = {
      ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - 10, PageDown: at + 10, Home: 0, End: last,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    const sample = this.samples[Math.min(last, Math.max(0, target))];
    this.onCursor(this, sample.at, {announce: true});
  }

  onPointer(event) {
    if (this.samples.length === 0) return;
    const box = this.svg.getBoundingClientRect();
    const share = (event.clientX - box.left - kMargin.left) / (box.width - kMargin.left - kMargin.right);
    const at = this.now - (1 - share) * this.span;
    this.onCursor(this, this.samples[this.nearest(at)].at, {announce: false});
  }

  nearest(at) {
    let best = 0;
    this.samples.forEach((sample, index) => {
      if (Math.abs(sample.at - at) < Math.abs(this.samples[best].at - at)) best = index;
    });
    return best;
  }

  // Before draw, of all charts: reading a size behind a change of the page makes the browser lay it out again.
  measure() {
    this.size = {width: Math.max(160, this.plot.clientWidth - 12), height: this.plot.clientHeight};
  }

  // samples: all of them, oldest first. The chart shows those of the last `span` milliseconds before `now`. cursor: a
  // sample's `at`, or null for the newest.
  draw(samples, now, span, cursor) {
    Object.assign(this, {now, span, cursor, samples: samples.filter((sample) => sample.at >= now - span)});
    const {width, height} = this.size;
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.area = {right: width - kMargin.right, bottom: height - kMargin.bottom};
    const values = this.samples.flatMap((sample) => this.series.map(({key}) => sample[key]))
        .filter((value) => value != null);
    const top = Math.max(0, ...values);
    const scale = this.scale === 'log' ? logScale(values.length ? Math.min(...values) : 1, top)
                                       : linearScale(top, this.scale === 'binary');
    const x = (at) => kMargin.left + (1 - (now - at) / span) * (this.area.right - kMargin.left);
    const y = (value) => this.area.bottom - scale.position(value) * (this.area.bottom - kMargin.top);
    this.svg.replaceChildren();
    this.drawGrid(scale, y);
    if (values.length === 0) this.drawText('no values yet', (kMargin.left + this.area.right) / 2, height / 2, 'middle', 'empty');
    this.series.forEach(({key}, index) => this.drawCurve(key, index, x, y));
    const shown = cursor === null ? this.samples.at(-1) : this.samples[this.nearest(cursor)];
    if (cursor !== null && shown) this.drawCursor(shown, x, y);
    this.when.textContent = cursor !== null && shown ? formatTime(shown.at) : this.unit;
    this.series.forEach(({key}, index) => {
      this.values[index].textContent = shown ? this.format(shown[key]) : kNothing;
    });
    if (document.activeElement !== this.plot) this.label();
  }

  drawText(text, x, y, anchor, name = '') {
    svg('text', {x, y, 'text-anchor': anchor, class: name}, this.svg).textContent = text;
  }

  drawGrid(scale, y) {
    const {right, bottom} = this.area;
    // On a log scale of many decades every second line is enough.
    const every = Math.ceil(scale.ticks.length / 5);
    scale.ticks.forEach((tick, index) => {
      if (index % every !== 0) return;
      const at = Math.round(y(tick)) + 0.5;
      svg('line', {class: 'grid', x1: kMargin.left, y1: at, x2: right, y2: at}, this.svg);
      this.drawText(this.format(tick), kMargin.left - 8, Math.max(at + 4, 10), 'end');
    });
    this.drawText(`−${formatDuration(this.span / 1000).replace(' 0 s', '')}`, kMargin.left, bottom + 15, 'start');
    this.drawText('now', right, bottom + 15, 'end');
  }

  drawCurve(key, index, x, y) {
    let path = '', area = '', begin = null, end = null;
    const finish = () => {
      if (begin !== null) area += `L${end} ${this.area.bottom}L${begin} ${this.area.bottom}Z`;
      begin = null;
    };
    for (const sample of this.samples) {
      if (sample[key] == null) { finish(); continue; }
      const px = x(sample.at).toFixed(1), py = y(sample[key]).toFixed(1);
      if (sample.begins || begin === null) {
        finish();
        begin = px;
        path += `M${px} ${py}h0`;
        area += `M${px} ${py}`;
      } else {
        path += `L${px} ${py}`;
        area += `L${px} ${py}`;
      }
      end = px;
    }
    finish();
    if (!path) return;
    if (this.series.length === 1) svg('path', {class: 'area', d: area}, this.svg);
    svg('path', {class: `curve series-${index + 1}`, d: path}, this.svg);
  }

  drawCursor(sample, x, y) {
    const at = x(sample.at);
    svg('line', {class: 'cursor', x1: at, y1: kMargin.top, x2: at, y2: this.area.bottom}, this.svg);
    this.series.forEach(({key}, index) => {
      if (sample[key] == null) return;
      svg('circle', {class: `dot series-${index + 1}`, cx: at, cy: y(sample[key]), r: 4}, this.svg);
    });
  }
}
