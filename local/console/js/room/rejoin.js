// When the room joins again by itself: after the connection to the class broke, not after somebody left.

/** `onMeetingStatus` of Zoom's client. */
export const STATUS = { connecting: 1, connected: 2, disconnected: 3, reconnecting: 4 };

/** The first delay, which doubles, and its limit. */
const FIRST_MS = 2_000;
const LONGEST_MS = 30_000;
/** About five minutes. After that, only a click joins again. */
export const MOST_ATTEMPTS = 12;
/** When a trainer's connection breaks, the whole class drops at once. Each page waits up to this share longer. */
const JITTER = 0.5;
/** Somebody who leaves has pressed a button or a key this shortly before. */
const LEAVE_INPUT_MS = 5_000;

/** The delay before an attempt in milliseconds, or `null` after the last one. `random` is between 0 and 1. */
export function delay(attempt, random) {
  if (attempt >= MOST_ATTEMPTS) return null;
  return Math.round(Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt) * (1 + JITTER * random));
}

/**
 * Whether a disconnection was a broken connection. Zoom's client does not report who caused it: the person with the
 * button to leave, the trainer whose connection broke, or the network. `before` is the status before the
 * disconnection.
 */
export const isDropped = (before, sinceInputMs) => before === STATUS.reconnecting || sinceInputMs > LEAVE_INPUT_MS;
