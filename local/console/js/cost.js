// The cost of a click: the difference of the stack's meter before and after it.
import { store } from './store.js';
import { changed } from './load.js';
import { goOn, say, tell } from './notes.js';

/** `{label, calls, reads, writes, dollars, functions}` of the last click, or `null` before the first. */
export const lastCost = store(null);
/** The number of clicks in progress. Background refreshes wait for them, so that they are not counted. */
export const working = store(0);

async function meter() {
  const answer = await fetch('/local/usage');
  return (await answer.json()).functions;
}

function difference(before, after) {
  const functions = [];
  for (const [name, now] of Object.entries(after)) {
    const then = before[name];
    const past = new Map((then?.calls || []).map((call) => [`${call.service} ${call.operation}`, call]));
    const calls = [];
    for (const call of now.calls) {
      const was = past.get(`${call.service} ${call.operation}`);
      const times = call.calls - (was?.calls || 0);
      if (times > 0) {
        calls.push({
          service: call.service,
          operation: call.operation,
          times,
          reads: call.read_units - (was?.read_units || 0),
          writes: call.write_units - (was?.write_units || 0),
          dollars: call.price_usd - (was?.price_usd || 0),
        });
      }
    }
    const invocations = now.invocations - (then?.invocations || 0);
    if (calls.length || invocations > 0) {
      functions.push({ name, invocations, calls, dollars: now.price_usd - (then?.price_usd || 0) });
    }
  }
  return functions;
}

/**
 * Runs a click: measures its cost, shows an error, and lets every view reload. Returns the result of `work`, or
 * `undefined` after an error. With `quiet` the error is thrown to the caller.
 *
 * @template T
 * @param {string} label
 * @param {() => T | Promise<T>} work
 * @param {{done?: string | ((result: T) => string), quiet?: boolean}} [options]
 * @returns {Promise<T | undefined>}
 */
export async function click(label, work, { done, quiet = false } = {}) {
  working.set((n) => n + 1);
  goOn();
  try {
    const before = await meter();
    try {
      const result = await work();
      if (done) say(typeof done === 'function' ? done(result) : done);
      return result;
    } catch (problem) {
      if (quiet) throw problem;
      tell(problem);
      return undefined;
    } finally {
      const functions = difference(before, await meter());
      const sum = (of) => functions.flatMap((each) => each.calls).reduce((total, each) => total + of(each), 0);
      lastCost.set({
        label,
        calls: sum((each) => each.times),
        reads: sum((each) => each.reads),
        writes: sum((each) => each.writes),
        dollars: functions.reduce((total, each) => total + each.dollars, 0),
        functions,
      });
    }
  } catch (problem) {
    if (quiet) throw problem;
    tell(problem);
    return undefined;
  } finally {
    working.set((n) => n - 1);
    changed();
  }
}

/** Formats an amount. Small amounts are shown in millionths of a dollar. */
export function money(dollars) {
  if (dollars === 0) return '$0';
  const micro = dollars * 1e6;
  if (micro < 1000) return `${micro < 10 ? micro.toFixed(2) : micro.toFixed(1)} µ$`;
  return `$${dollars.toFixed(dollars < 1 ? 4 : 2)}`;
}

export const units = (n) => (Number.isInteger(n) ? String(n) : n.toFixed(1));
