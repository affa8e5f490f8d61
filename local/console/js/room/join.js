// Joining, waiting for the trainer, and joining again after the connection broke.
import { useEffect, useRef, useState } from '../ui.js';
import { access } from './access.js';
import { NOT_STARTED, isCuredByNewJoin } from './errors.js';
import { delay } from './rejoin.js';
import { enter, isSimulated } from './simulated.js';

/** The delay between two attempts while waiting for the trainer, and the random share on top of it. */
const WAIT_MS = 3_000;
const WAIT_JITTER = 0.5;

/** Lets the console in the other window reload. */
function announce() {
  const channel = new BroadcastChannel('live-classes');
  channel.postMessage('changed');
  channel.close();
}

const isWaiting = (problem) =>
  problem.code === 'waiting_for_host' || problem.waits === true || problem.zoom === NOT_STARTED;

/** Whether another attempt may succeed: the API refused nothing for good. */
const mayPass = ({ status }) => !(status >= 400 && status < 500) || status === 429;

/**
 * The state of the room and its changes. `state.at` is `lobby`, `joining`, `waiting` (for the trainer), `link`,
 * `inside` (the simulated room), `zoom`, `dropped` (the page joins again by itself) or `left`.
 */
export function useJoin({ client, name, language, session }) {
  /** @type {{at: string, [detail: string]: any}} */
  const initial = { at: 'lobby' };
  const [state, setState] = useState(initial);
  const turn = useRef(0);
  // Timers must call the function of the latest render.
  const latest = useRef(null);

  const openZoom = async (pass) => {
    await client.prepare();
    setState({ at: 'zoom', pass });
    await client.join(pass, language);
  };

  /** Returns whether the person is in the class, and not on the way to a link. */
  const enterOnce = async ({ prefer }, isCurrent) => {
    const isNamed = access.isGuest && name.trim();
    const pass = await access.join({ ...(prefer && { prefer }), ...(isNamed && { name: name.trim() }) });
    if (!isCurrent()) return false;
    if (pass.mode === 'link') {
      setState({ at: 'link', pass });
      return false;
    }
    if (isSimulated(pass)) setState({ at: 'inside', pass, me: await enter(pass, access.email) });
    else await openZoom(pass);
    return true;
  };

  const join = async (/** @type {{prefer?: 'link', attempt?: number}} */ { prefer, attempt = null } = {}) => {
    const mine = ++turn.current;
    const isCurrent = () => mine === turn.current;
    const clickedAt = performance.now();
    if (attempt === null) setState((before) => (before.at === 'waiting' ? before : { at: 'joining' }));
    try {
      const isIn = await enterOnce({ prefer }, isCurrent).catch((problem) => {
        if (!isCuredByNewJoin(problem)) throw problem;
        return enterOnce({ prefer }, isCurrent);
      });
      announce();
      // Nobody waits for the report, and a lost one changes nothing.
      if (isIn) access.report(Math.round(performance.now() - clickedAt)).catch(() => {});
    } catch (problem) {
      if (!isCurrent()) return;
      if (isWaiting(problem)) setState({ at: 'waiting', tries: (state.tries ?? 0) + 1 });
      else if (attempt !== null && mayPass(problem)) setState({ at: 'dropped', attempt: attempt + 1 });
      else setState({ at: 'lobby', problem });
    }
  };
  latest.current = join;

  const leave = (ended) => {
    turn.current += 1;
    setState({ at: 'left', ended });
    announce();
  };
  const end = (dropped) => (dropped ? setState({ at: 'dropped', attempt: 0 }) : leave(false));

  useEffect(() => {
    if (state.at !== 'waiting' && state.at !== 'dropped') return undefined;
    if (['ended', 'cancelled'].includes(session?.status)) {
      leave(true);
      return undefined;
    }
    const isDropped = state.at === 'dropped';
    const wait = isDropped ? delay(state.attempt, Math.random()) : WAIT_MS * (1 + WAIT_JITTER * Math.random());
    if (wait === null) {
      leave(false);
      return undefined;
    }
    const timer = setTimeout(() => latest.current(isDropped ? { attempt: state.attempt } : {}), wait);
    return () => clearTimeout(timer);
  }, [state, session?.status]);

  return { state, join, leave, end };
}
