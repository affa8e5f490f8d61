// Zoom's client as part of the room's state: loaded once in the lobby, and anew after each failure and each exit.
import { useCallback, useEffect, useRef, useState } from '../ui.js';
import { clientProblem } from './errors.js';
import { isDropped, STATUS } from './rejoin.js';
import { isSupported, openClient } from './sdk.js';

/**
 * `place` is a ref to the element for the frame. `onEnd(dropped)` is called once when a joined class ends for this
 * person. Returns `{phase, progress, load, prepare, join}`. `phase` is `none`, `loading`, `ready` or `failed`.
 */
export function useClient(place, onEnd) {
  const [state, setState] = useState({ phase: 'none', progress: null });
  const held = useRef(null);
  const ended = useRef(onEnd);
  ended.current = onEnd;

  const remove = useCallback(() => {
    held.current?.remove();
    held.current = null;
    setState({ phase: 'none', progress: null });
  }, []);

  const load = useCallback(() => {
    if (held.current || !place.current) return held.current;
    let before = null;
    let isIn = false;
    const end = (dropped) => {
      if (held.current !== client) return;
      remove();
      ended.current(dropped);
    };
    const client = openClient(place.current, {
      progress: (loaded, total) =>
        setState((now) => (now.phase === 'loading' ? { ...now, progress: { loaded, total } } : now)),
      left: () => end(false),
      status: (status, sinceInputMs) => {
        // Before the first connection, a disconnection is a failed `join`, which reports its code.
        isIn ||= status === STATUS.connected;
        if (isIn && status === STATUS.disconnected && isDropped(before, sinceInputMs)) end(true);
        before = status;
      },
    });
    held.current = client;
    setState({ phase: 'loading', progress: null });
    client.ready.then(
      () => held.current === client && setState((now) => ({ ...now, phase: 'ready' })),
      () => {
        if (held.current !== client) return;
        remove();
        setState({ phase: 'failed', progress: null });
      },
    );
    return client;
  }, [place, remove]);

  /** Resolves when the client is loaded. */
  const prepare = useCallback(async () => {
    if (!isSupported()) throw clientProblem({ code: 'sdk_unsupported' });
    await load().ready;
  }, [load]);

  const join = useCallback(
    async (pass, language) => {
      const client = load();
      try {
        await client.join(pass, language);
      } catch (problem) {
        if (held.current === client) remove();
        throw problem;
      }
    },
    [load, remove],
  );

  useEffect(() => remove, [remove]);
  return { ...state, load, prepare, join };
}
