/** Repeats a call that is safe to repeat. */
import { NetworkError, ProblemError } from '../src/index.js';

/** The first attempt and four more, within about fifteen seconds unless the API asks for more time. */
const ATTEMPTS = 5;
const FIRST_PAUSE_SECONDS = 1;
/** A longer wait belongs into the caller's own queue. */
const LONGEST_PAUSE_SECONDS = 30;

/** Repeats a call after a lost response, a server error, or a limit of requests. Other errors are thrown at once. */
export async function repeated<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      const seconds = pause(error, attempt);
      if (seconds === undefined || attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    }
  }
}

/** The seconds to wait before the next attempt. Up to twice the time, so that many callers do not return at once. */
function pause(error: unknown, attempt: number): number | undefined {
  const isRepeatable =
    error instanceof NetworkError || (error instanceof ProblemError && (error.status === 429 || error.status >= 500));
  if (!isRepeatable) return undefined;
  const asked = error instanceof ProblemError ? error.retryAfter : undefined;
  const seconds = asked ?? FIRST_PAUSE_SECONDS * 2 ** (attempt - 1);
  return seconds > LONGEST_PAUSE_SECONDS ? undefined : seconds * (1 + Math.random());
}
