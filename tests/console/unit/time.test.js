// The times of a class, by the clocks of the viewer and of the class.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { classTime, minutes, slotText, span } from '../../../local/console/js/time.js';

const HOUR_MS = 3_600_000;
/** Versions of ICU differ in the comma after a weekday. */
const plain = (text) => text.replaceAll(/\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?=\d)/g, '$1 ');
const shown = (start, zone, viewer, hours = 1) => {
  const { own, elsewhere } = classTime(start, new Date(start).getTime() + hours * HOUR_MS, zone, viewer);
  return [plain(`${slotText(own)} ${own.zone}`), elsewhere && plain(`${slotText(elsewhere)} in ${elsewhere.zone}`)];
};

test('the viewer’s time comes first, with its own day', () => {
  assert.deepEqual(shown('2026-12-03T04:00:00Z', 'America/Los_Angeles', 'Europe/Berlin'), [
    'Thu 3 Dec, 05:00–06:00 CET',
    'Wed 2 Dec, 20:00–21:00 in Los Angeles',
  ]);
});

test('the zone of the class appears only if its clock differs', () => {
  const [berlin, paris] = ['Europe/Berlin', 'Europe/Paris'];
  assert.equal(shown('2026-12-03T09:00:00Z', berlin, berlin)[1], null);
  assert.equal(shown('2026-12-03T09:00:00Z', paris, berlin)[1], null);
  assert.equal(shown('2026-12-03T09:00:00Z', 'Europe/London', berlin)[1], 'Thu 3 Dec, 09:00–10:00 in London');
  // Lagos has no daylight saving time, so that it differs from Berlin in summer only.
  assert.equal(shown('2026-12-03T09:00:00Z', 'Africa/Lagos', berlin)[1], null);
  assert.equal(shown('2026-07-03T09:00:00Z', 'Africa/Lagos', berlin)[1], 'Fri 3 Jul, 10:00–11:00 in Lagos');
});

test('between two changes of daylight saving time, the usual difference does not hold', () => {
  // The United States change on 8 March 2026, Europe on 29 March.
  const berlin = (start) => shown(start, 'America/New_York', 'Europe/Berlin')[0];
  assert.equal(berlin('2026-03-07T15:00:00Z'), 'Sat 7 Mar, 16:00–17:00 CET');
  assert.equal(
    shown('2026-03-10T14:00:00Z', 'America/New_York', 'Europe/Berlin')[1],
    'Tue 10 Mar, 10:00–11:00 in New York',
  );
  assert.equal(berlin('2026-03-10T14:00:00Z'), 'Tue 10 Mar, 15:00–16:00 CET');
  assert.equal(berlin('2026-03-30T14:00:00Z'), 'Mon 30 Mar, 16:00–17:00 CEST');
});

test('a class over the change of clocks ends at the new time', () => {
  // In Berlin, 02:00 is followed by 03:00 on 29 March 2026, and 02:59 by 02:00 on 25 October.
  assert.equal(shown('2026-03-29T00:30:00Z', 'UTC', 'Europe/Berlin', 1)[0], 'Sun 29 Mar, 01:30–03:30 CET');
  assert.equal(shown('2026-10-25T00:30:00Z', 'UTC', 'Europe/Berlin', 1)[0], 'Sun 25 Oct, 02:30–02:30 CEST');
  // The clocks agree at the start only.
  assert.equal(
    shown('2026-03-29T00:30:00Z', 'Africa/Lagos', 'Europe/Berlin', 1)[1],
    'Sun 29 Mar, 01:30–02:30 in Lagos',
  );
});

test('a class that ends on another day shows both days', () => {
  assert.equal(
    shown('2026-12-31T22:30:00Z', 'Europe/Berlin', 'Europe/Berlin')[0],
    'Thu 31 Dec, 23:30–Fri 1 Jan, 00:30 CET',
  );
  assert.equal(shown('2026-12-31T22:30:00Z', 'Europe/Berlin', 'Asia/Kathmandu')[0], 'Fri 1 Jan, 04:15–05:15 GMT+5:45');
});

test('a day that the page shows already is not repeated', () => {
  const { own } = classTime('2026-12-31T22:30:00Z', '2026-12-31T23:30:00Z', 'UTC', 'Europe/Berlin');
  assert.equal(plain(slotText(own, own.day)), '23:30–Fri 1 Jan, 00:30');
});

test('durations have a useful precision', () => {
  const cases = [
    [0, '0 s'],
    [-5000, '0 s'],
    [59_400, '59 s'],
    [65_000, '1 min 05 s'],
    [10 * 60_000 + 5000, '10 min'],
    [HOUR_MS, '1 h'],
    [HOUR_MS + 59 * 60_000, '1 h 59 min'],
    [24 * HOUR_MS, '1 d'],
    [51 * HOUR_MS, '2 d 3 h'],
  ];
  for (const [ms, text] of cases) assert.equal(span(ms), text);
  assert.deepEqual([45, 60, 90].map(minutes), ['45 min', '1 h', '1 h 30 min']);
});
