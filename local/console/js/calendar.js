// The calendar entry of a class as a file (RFC 5545). It has the identity of the mailed entry, so a calendar keeps one.
import { saveFile } from './parts/basic.js';
import { now } from './time.js';

const MINUTE_MS = 60_000;
/** The part of a UID after the id of the class, as in mails. */
const UID_DOMAIN = 'live-classes';
/** The longest line in octets, without the line break. */
const LINE_OCTETS = 75;

const utc = (at) => new Date(at).toISOString().replace(/[-:]|\.\d+/g, '');

/** Escapes a text value. Line breaks are part of the text. */
const text = (value) => value.replaceAll(/[\\;,]/g, (sign) => `\\${sign}`).replaceAll(/\r\n?|\n/g, '\\n');

/** Folds a line, without cutting a character. */
function fold(line) {
  const parts = [''];
  let octets = 0;
  for (const character of line) {
    const length = new TextEncoder().encode(character).length;
    if (octets + length > LINE_OCTETS) {
      parts.push('');
      // The space that begins a continued line.
      octets = 1;
    }
    parts[parts.length - 1] += character;
    octets += length;
  }
  return parts.join('\r\n ');
}

/** Returns the calendar object of a class that takes place. */
export function calendarEntry(session, at) {
  const start = new Date(session.starts_at).getTime();
  const lines = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//Live Classes//Console//EN',
    'METHOD:PUBLISH',
    'BEGIN:VEVENT',
    `UID:${session.id}@${UID_DOMAIN}`,
    `SEQUENCE:${session.ics_sequence}`,
    `DTSTAMP:${utc(at)}`,
    `DTSTART:${utc(start)}`,
    `DTEND:${utc(start + session.duration_minutes * MINUTE_MS)}`,
    `SUMMARY:${text(session.title)}`,
    ...(session.description ? [`DESCRIPTION:${text(session.description)}`] : []),
    `URL:${session.class_url}`,
    'STATUS:CONFIRMED',
    'END:VEVENT',
    'END:VCALENDAR',
  ];
  return lines.map((line) => `${fold(line)}\r\n`).join('');
}

export function saveCalendar(session) {
  saveFile('class.ics', 'text/calendar', [calendarEntry(session, now())]);
}
