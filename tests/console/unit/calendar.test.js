// The calendar entry of a class.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { calendarEntry } from '../../../local/console/js/calendar.js';

const session = {
  id: 'ses_a',
  ics_sequence: 2,
  title: 'Fractions; decimals, and more',
  description: 'Paper\nRuler \\ pencil',
  starts_at: '2026-12-31T23:30:00Z',
  duration_minutes: 45,
  class_url: 'https://platform.example.test/sessions/ses_a',
};
const entry = (more) => calendarEntry({ ...session, ...more }, Date.parse('2026-12-01T08:00:00.500Z'));

test('an entry has the identity of the mailed one, and times in UTC', () => {
  const lines = entry().split('\r\n');
  for (const line of [
    'UID:ses_a@live-classes',
    'SEQUENCE:2',
    'DTSTAMP:20261201T080000Z',
    'DTSTART:20261231T233000Z',
    'DTEND:20270101T001500Z',
  ])
    assert.ok(lines.includes(line), line);
  assert.deepEqual([lines[0], lines.at(-2), lines.at(-1)], ['BEGIN:VCALENDAR', 'END:VCALENDAR', '']);
});

test('signs with a meaning in calendars are escaped', () => {
  assert.ok(entry().includes('SUMMARY:Fractions\\; decimals\\, and more\r\n'));
  assert.ok(entry().includes('DESCRIPTION:Paper\\nRuler \\\\ pencil\r\n'));
  // A title cannot add lines of its own.
  assert.ok(entry({ title: 'A\r\nATTENDEE:x' }).includes('SUMMARY:A\\nATTENDEE:x\r\n'));
});

test('long lines are folded between characters', () => {
  const title = '數學課'.repeat(40);
  const text = entry({ title });
  for (const line of text.split('\r\n')) assert.ok(Buffer.byteLength(line) <= 75, line);
  assert.ok(text.replaceAll('\r\n ', '').includes(`SUMMARY:${title}`));
});
