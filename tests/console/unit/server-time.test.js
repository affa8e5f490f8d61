// The server's time, by which pages count down.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { forget, measure, offset } from '../../../local/console/js/server-time.js';
import { countdown, now } from '../../../local/console/js/time.js';

const HOUR_MS = 3_600_000;
const at = (ms) => new Date(ms).toISOString();

beforeEach(() => forget(0));

test('the offset is measured from the middle of a request', () => {
  assert.equal(offset.get(), null);
  measure(at(HOUR_MS + 150), 100, 200);
  assert.equal(offset.get(), HOUR_MS);
});

test('a slow response does not change a known offset, and a changed clock does', () => {
  measure(at(HOUR_MS), 0, 20);
  assert.equal(offset.get(), HOUR_MS - 10);
  measure(at(HOUR_MS + 1_000), 1_000, 3_000);
  assert.equal(offset.get(), HOUR_MS - 10);
  measure(at(2 * HOUR_MS + 4_000), 4_000, 4_020);
  assert.equal(offset.get(), 2 * HOUR_MS - 10);
});

test('a response from before a change of the clock is ignored', () => {
  forget(5_000);
  measure(at(HOUR_MS), 4_000, 6_000);
  assert.equal(offset.get(), null);
  measure(at(2 * HOUR_MS), 5_500, 5_500);
  assert.equal(offset.get(), 2 * HOUR_MS - 5_500);
});

test('the time of the pages is the server’s', () => {
  const sent = Date.now();
  measure(at(sent + HOUR_MS), sent, sent);
  assert.ok(Math.abs(now() - Date.now() - HOUR_MS) < 1_000);
});

test('a countdown has two units, in the reader’s language', () => {
  const shown = (seconds, language = 'en') => countdown(1000 * seconds, language);
  assert.deepEqual(
    [90_061, 86_400, 7_500, 3_600, 245, 60, 9, 0, -5].map((seconds) => shown(seconds)),
    [
      '1 day, 1 hour',
      '1 day',
      '2 hours, 5 minutes',
      '1 hour',
      '4 minutes, 5 seconds',
      '1 minute',
      '9 seconds',
      '0 seconds',
      '0 seconds',
    ],
  );
  assert.equal(shown(245, 'es'), '4 minutos y 5 segundos');
  assert.equal(shown(7_500, 'ar'), 'ساعتان و5 دقائق');
});
