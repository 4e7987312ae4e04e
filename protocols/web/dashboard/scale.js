'use strict';
// Figures as text, and where the lines of a chart's grid stand. Pure.

const kIntegers = new Intl.NumberFormat('en', {maximumFractionDigits: 0});
const kCompact = new Intl.NumberFormat('en', {notation: 'compact', maximumSignificantDigits: 3});

const kNothing = '–';

function formatCount(value) {
  if (value == null) return kNothing;
  return value < 1e6 ? kIntegers.format(value) : kCompact.format(value);
}

function formatRate(value) {
  if (value == null) return kNothing;
  if (value < 100 && !Number.isInteger(value)) return value.toFixed(1);
  return formatCount(value);
}

function formatBytes(value) {
  if (value == null) return kNothing;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; ++unit; }
  return `${value.toFixed(unit === 0 || value >= 100 || Number.isInteger(value) ? 0 : 1)} ${units[unit]}`;
}

function formatMicroseconds(value) {
  if (value == null) return kNothing;
  const digits = (number) => number.toFixed(number >= 100 || Number.isInteger(number) ? 0 : number >= 10 ? 1 : 2);
  if (value >= 1e6) return `${digits(value / 1e6)} s`;
  if (value >= 1e3) return `${digits(value / 1e3)} ms`;
  return `${digits(value)} µs`;
}

function formatDuration(seconds) {
  seconds = Math.floor(seconds);
  const days = Math.floor(seconds / 86400), hours = Math.floor(seconds / 3600) % 24;
  const minutes = Math.floor(seconds / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  if (minutes) return `${minutes} min ${seconds % 60} s`;
  return `${seconds} s`;
}

function formatTime(at) {
  return new Date(at).toLocaleTimeString('en-GB');
}

// The smallest of 1, 2, 5, 10, 20, ... (or of powers of two, for bytes) at or above `least`.
function niceStep(least, binary) {
  if (binary) return 2 ** Math.ceil(Math.log2(Math.max(1, least)));
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * 0.9999);
}

// From zero to at least `top`: {low, high, ticks, position(value) from 0 to 1}.
function linearScale(top, binary = false) {
  const step = Math.max(niceStep(Math.max(top, 1) / 3, binary), binary ? 1024 : 0.5);
  const high = step * Math.max(1, Math.ceil(top / step));
  const ticks = [];
  for (let tick = 0; tick <= high * 1.0001; tick += step) ticks.push(tick);
  return {low: 0, high, ticks, position: (value) => value / high};
}

// Whole powers of ten around the values: a percentile of 10 µs and one of 1 s are both readable.
function logScale(least, top) {
  const low = Math.floor(Math.log10(Math.max(least, 0.1)));
  const high = Math.max(low + 2, Math.ceil(Math.log10(Math.max(top, 0.1))));
  const ticks = [];
  for (let power = low; power <= high; ++power) ticks.push(10 ** power);
  return {
    low: 10 ** low, high: 10 ** high, ticks,
    position: (value) => Math.max(0, (Math.log10(Math.max(value, 1e-3)) - low) / (high - low)),
  };
}
