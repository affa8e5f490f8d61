// Data loading for views: when a view opens, after every click, and periodically.
import { useState, useEffect, useRef, useCallback } from './ui.js';
import { store, useStore } from './store.js';

/** Rises whenever data may have changed. Every view with server data then reloads. */
export const epoch = store(0);

export function changed() {
  epoch.set((n) => n + 1);
}

/** The interval of periodic reloads. */
const EVERY_MS = 12_000;

/**
 * Returns `{data, problem, loading, reload}` for `read`. During a reload the previous data stays, so that the page does
 * not jump. A change of `key` clears it.
 *
 * @template T
 * @param {string} key
 * @param {() => Promise<T>} read
 * @returns {{data: T | undefined, problem: any, loading: boolean, reload: () => Promise<void>}}
 */
export function useLoad(key, read, { every = EVERY_MS } = {}) {
  /** @type {{key: string, data: T | undefined, problem: any, loading: boolean}} */
  const initial = { key, data: undefined, problem: null, loading: true };
  const [state, setState] = useState(initial);
  const turn = useRef(0);
  const latest = useRef(read);
  latest.current = read;
  const version = useStore(epoch);

  const reload = useCallback(async () => {
    const mine = ++turn.current;
    try {
      const data = await latest.current();
      if (mine === turn.current) setState({ key, data, problem: null, loading: false });
    } catch (problem) {
      if (mine === turn.current) {
        setState((held) => ({ key, data: held.key === key ? held.data : undefined, problem, loading: false }));
      }
    }
  }, [key]);

  useEffect(() => {
    reload();
    return () => {
      turn.current += 1;
    };
  }, [reload, version]);
  useEffect(() => {
    if (!every) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) reload();
    }, every);
    return () => clearInterval(timer);
  }, [reload, every]);

  const current = state.key === key ? state : initial;
  return { ...current, reload };
}
