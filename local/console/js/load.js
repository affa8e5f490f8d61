// Reading for a view: once when it opens, again when something was clicked anywhere, and now and then by itself.
import { useState, useEffect, useRef, useCallback } from './ui.js';
import { store, useStore } from './store.js';

/** Rises whenever something may have changed. Every view that shows the server's state reads it again then. */
export const epoch = store(0);

export function changed() {
  epoch.set((n) => n + 1);
}

/** How long a view is left alone before it looks for what came by itself. */
const EVERY_MS = 12_000;

/**
 * `{data, problem, loading, reload}` of what `read` answers. While it reads again, what was read before stays, so that
 * nothing on the page moves; when `key` becomes another, it goes.
 */
export function useLoad(key, read, { every = EVERY_MS } = {}) {
  const [state, setState] = useState({ key, data: undefined, problem: null, loading: true });
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
    return () => { turn.current += 1; };
  }, [reload, version]);
  useEffect(() => {
    if (!every) return undefined;
    const timer = setInterval(() => { if (!document.hidden) reload(); }, every);
    return () => clearInterval(timer);
  }, [reload, every]);

  const current = state.key === key ? state : { data: undefined, problem: null, loading: true };
  return { ...current, reload };
}
