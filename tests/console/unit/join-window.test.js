// The join window: when the trainer may start, which class comes next, and when it starts soon.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPast, nextClass, startOf, startsSoon } from '../../../local/console/js/classes.js';

const MINUTE_MS = 60_000;
const START = Date.parse('2026-12-03T10:00:00Z');
const at = (minutes) => START + minutes * MINUTE_MS;
const time = (minutes) => new Date(at(minutes)).toISOString();

/**
 * A class of an hour. Its window opens so many minutes before it.
 *
 * @param {{opens?: number, join?: string, [field: string]: any}} [fields]
 */
const session = ({ opens = 15, join = 'open', ...more } = {}) => ({
  status: 'scheduled',
  starts_at: time(0),
  duration_minutes: 60,
  drift: [],
  meeting_state: 'ready',
  join: { state: join, opens_at: time(-opens), closes_at: time(150) },
  ...more,
});

test('start is possible from the opening to the closing of the window', () => {
  const cases = [
    [-16, { may: false, reason: 'too_early' }],
    [-15, { may: true }],
    [149, { may: true }],
    [150, null],
  ];
  for (const [minute, expected] of cases) assert.deepEqual(startOf(session(), at(minute)), expected, `${minute}`);
});

test('start follows the window of the deployment', () => {
  assert.deepEqual(startOf(session({ opens: 60 }), at(-59)), { may: true });
  assert.deepEqual(startOf(session({ opens: 0 }), at(-1)), { may: false, reason: 'too_early' });
});

test('start is refused with the reason why there is no meeting', () => {
  /** @type {[object, string][]} */
  const cases = [
    [{ drift: ['title', 'deleted'] }, 'deleted'],
    [{ join: 'no_meeting_yet' }, 'deleted'],
    [{ meeting_state: 'pending', join: 'no_meeting_yet' }, 'pending'],
    [{ meeting_state: 'failed', join: 'no_meeting_yet' }, 'failed'],
  ];
  for (const [more, reason] of cases) assert.deepEqual(startOf(session(more), at(-5)), { may: false, reason });
  assert.deepEqual(startOf(session({ meeting_state: 'pending' }), at(-60)), { may: false, reason: 'too_early' });
});

test('an ended class can be started again, a cancelled one cannot', () => {
  assert.deepEqual(startOf(session({ status: 'ended' }), at(70)), { may: true });
  assert.equal(startOf(session({ status: 'ended', drift: ['deleted'] }), at(70)), null);
  assert.equal(startOf(session({ status: 'cancelled' }), at(-5)), null);
});

test('a class starts soon from half an hour before until its start', () => {
  const soon = (minute, more) => startsSoon(session(more), at(minute));
  assert.deepEqual(
    [-31, -30, -1, 0].map((minute) => soon(minute)),
    [false, true, true, false],
  );
  assert.equal(soon(-10, { status: 'cancelled' }), false);
  assert.equal(soon(-10, { status: 'live' }), false);
});

test('the next class is a live one, or else the earliest that is not over', () => {
  const later = session({ id: 'later', starts_at: time(120) });
  const first = session({ id: 'first' });
  const live = session({ id: 'live', status: 'live', starts_at: time(30) });
  const over = session({ id: 'over', status: 'ended', starts_at: time(-300) });
  const closed = session({ id: 'closed', join: 'closed', starts_at: time(-300) });
  const next = (...all) => nextClass(all, at(-60))?.id;
  assert.equal(next(later, over, closed, first), 'first');
  assert.equal(next(first, live, later), 'live');
  assert.equal(next(over, closed), undefined);
});

test('a class is past by its status, or when its window has closed', () => {
  assert.equal(isPast(session(), at(149)), false);
  assert.equal(isPast(session(), at(150)), true);
  assert.equal(isPast(session({ status: 'live' }), at(150)), false);
  assert.equal(isPast(session({ status: 'ended' }), at(10)), true);
});
