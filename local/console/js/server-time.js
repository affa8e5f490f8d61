// The server's time. Responses carry it as `server_time`, and pages count down from it, because the clock of a browser
// may be wrong.
import { store } from './store.js';

/** The offset of the server's clock from this browser's, in milliseconds. It is null before the first response. */
export const offset = store(/** @type {number | null} */ (null));
/** When the request of the last measurement was sent. */
let sentAt = 0;

/**
 * Measures the offset with a response. The server read its clock between `sent` and `received`, so the offset is known
 * to a range. An offset within the range stays, so that a countdown does not jump with the speed of the network. A
 * request that was sent before the last measurement may have the time before a change of the clock.
 */
export function measure(serverTime, sent, received = Date.now()) {
  if (sent < sentAt) return;
  sentAt = sent;
  const time = new Date(serverTime).getTime();
  const [least, most] = [time - received, time - sent];
  const known = offset.get();
  if (known === null || known < least || known > most) offset.set((least + most) / 2);
}

/** Forgets the offset, because the server's clock was changed at `at`. */
export function forget(at = Date.now()) {
  sentAt = at;
  offset.set(null);
}
