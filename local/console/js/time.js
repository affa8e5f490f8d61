// The clocks of the server and of the stack, and formatting of dates and times.
import { useState, useEffect } from './ui.js';
import { store, useStore } from './store.js';
import { stack } from './api.js';
import { forget, offset } from './server-time.js';

/** The offset of the stack's clock from this machine's, in milliseconds. Only the stack's tools show this clock. */
const stackOffset = store(0);

export async function readStackClock() {
  const asked = Date.now();
  const { now: at } = await stack.get('/local/clock');
  stackOffset.set(new Date(at).getTime() - (asked + Date.now()) / 2);
}

/** Takes the time to which a tool has set the stack's clock. The pages measure it anew with their next response. */
export function stackClockMoved(at) {
  stackOffset.set(new Date(at).getTime() - Date.now());
  forget();
}

/** Returns the server's time. Before the first response with one, it is the stack's. */
export const now = () => Date.now() + (offset.get() ?? stackOffset.get());
export const stackNow = () => Date.now() + stackOffset.get();

function useTick(every) {
  const [, setTick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setTick((n) => n + 1), every);
    return () => clearInterval(timer);
  }, [every]);
}

/** Returns the server's time, updated periodically. */
export function useNow(every = 1000) {
  useStore(offset);
  useStore(stackOffset);
  useTick(every);
  return now();
}

/** Returns the stack's time, updated periodically. */
export function useStackNow(every = 1000) {
  useStore(stackOffset);
  useTick(every);
  return stackNow();
}

export const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone;
export const ZONES = [...new Set(['UTC', HERE, ...(Intl.supportedValuesOf?.('timeZone') || [])])];

const formats = new Map();
function format(zone, options) {
  const key = JSON.stringify([zone, options]);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat('en-GB', { timeZone: zone, ...options }));
  return formats.get(key);
}

export const day = (at, zone) =>
  format(zone, { weekday: 'short', day: 'numeric', month: 'short' }).format(new Date(at));
export const longDay = (at, zone) =>
  format(zone, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' }).format(new Date(at));
export const hour = (at, zone) => format(zone, { hour: '2-digit', minute: '2-digit' }).format(new Date(at));
export const dayOfMonth = (at, zone) => format(zone, { day: 'numeric' }).format(new Date(at));
export const month = (at, zone) => format(zone, { month: 'short' }).format(new Date(at));
export const stamp = (at, zone) =>
  format(zone, {
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  }).format(new Date(at));

export function zoneName(at, zone) {
  const part = format(zone, { timeZoneName: 'short' })
    .formatToParts(new Date(at))
    .find((each) => each.type === 'timeZoneName');
  return part ? part.value : zone;
}

/** "Los Angeles": the place that gives a time zone its name. */
export const zonePlace = (zone) => zone.split('/').at(-1).replaceAll('_', ' ');

/** Returns whether the clocks of two zones show the same at a time. */
function sameClock(at, zone, other) {
  const shown = (of) => Object.values(wall(at, of)).join(' ');
  return shown(zone) === shown(other);
}

/** Returns the days and times of a class in a zone. `lastDay` is set only if it ends on another day. */
function slot(start, end, zone) {
  const [first, last] = [day(start, zone), day(end, zone)];
  return { day: first, from: hour(start, zone), to: hour(end, zone), lastDay: last === first ? null : last };
}

/**
 * Returns `{own, elsewhere}`: the time of a class by the viewer's clock, and by the clock of the class's zone.
 * `elsewhere` is null if both clocks show the same during the class.
 */
export function classTime(start, end, zone, viewer = HERE) {
  const same = sameClock(start, zone, viewer) && sameClock(end, zone, viewer);
  return {
    own: { ...slot(start, end, viewer), zone: zoneName(start, viewer) },
    elsewhere: same ? null : { ...slot(start, end, zone), zone: zonePlace(zone) },
  };
}

/** "Wed, 3 Dec, 23:30–Thu, 4 Dec, 00:30": a time of `classTime`. `skipDay` is a day that the page shows already. */
export function slotText({ day: first, from, to, lastDay }, skipDay = null) {
  return `${first === skipDay ? '' : `${first}, `}${from}–${lastDay ? `${lastDay}, ` : ''}${to}`;
}

/** Returns the local date and time in a zone, for the inputs of a form. */
export function wall(at, zone) {
  const parts = Object.fromEntries(
    format(zone, {
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    })
      .formatToParts(new Date(at))
      .map((part) => [part.type, part.value]),
  );
  return { date: `${parts.year}-${parts.month}-${parts.day}`, time: `${parts.hour}:${parts.minute}` };
}

/** "2 d 3 h", "4 min 05 s": a duration with useful precision. */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [d, h, m, s] = [
    Math.floor(seconds / 86400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
    seconds % 60,
  ];
  if (d) return h ? `${d} d ${h} h` : `${d} d`;
  if (h) return m ? `${h} h ${m} min` : `${h} h`;
  if (m >= 10) return `${m} min`;
  if (m) return `${m} min ${String(s).padStart(2, '0')} s`;
  return `${s} s`;
}

/** @type {[string, number][]} */
const UNITS = [
  ['day', 86400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
];

/** "2 hours, 5 minutes", in any language: the time that a countdown shows, by its two largest units. */
export function countdown(ms, language) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const largest = UNITS.findIndex(([unit, size]) => seconds >= size || unit === 'second');
  const shown = UNITS.slice(largest, largest + 2).map(([unit, size], n) => {
    const count = Math.floor((n === 0 ? seconds : seconds % UNITS[largest][1]) / size);
    return count || n === 0
      ? new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' }).format(count)
      : '';
  });
  return new Intl.ListFormat(language, { type: 'unit', style: 'short' }).format(shown.filter(Boolean));
}

export function minutes(n) {
  if (n < 60) return `${n} min`;
  return n % 60 ? `${Math.floor(n / 60)} h ${n % 60} min` : `${n / 60} h`;
}

export function size(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}
