// Texts and values about a class that several views share.
import { html } from './ui.js';
import { day, hour, zoneName, minutes, dayOfMonth, month, HERE } from './time.js';

export const starts = (session) => new Date(session.starts_at).getTime();
export const ends = (session) => starts(session) + session.duration_minutes * 60_000;

const opensAt = (session) => new Date(session.join.opens_at).getTime();
const closesAt = (session) => new Date(session.join.closes_at).getTime();

/** Returns whether the trainer may start the class, by the join window of the owner. */
export const canStart = (session, now) =>
  session.status !== 'cancelled' &&
  session.join.state !== 'no_meeting_yet' &&
  now >= opensAt(session) &&
  now < closesAt(session);

/** Returns whether the class is over, by its status or by the clock. */
export const isPast = (session, now) =>
  session.status === 'cancelled' ||
  session.status === 'ended' ||
  (session.status === 'scheduled' && now >= closesAt(session));

export function audience(session) {
  if (session.audience_type === 'course') return session.course_title || 'A course';
  if (session.audience_type === 'standalone') return 'Anyone with the link';
  const count = session.invitee_count ?? session.invitees?.length;
  if (count === undefined) return 'By invitation';
  return count === 1 ? '1 person invited' : `${count} people invited`;
}

export function When({ of, brief }) {
  const elsewhere = of.timezone !== HERE && zoneName(of.starts_at, of.timezone) !== zoneName(of.starts_at, HERE);
  return html`<span class="when"><time datetime=${of.starts_at}>${brief ? '' : `${day(of.starts_at, of.timezone)}, `}${hour(of.starts_at, of.timezone)}–${hour(ends(of), of.timezone)}</time>
    <span class="fine">${' '}${zoneName(of.starts_at, of.timezone)} · ${minutes(of.duration_minutes)}${elsewhere && html` · ${hour(of.starts_at, HERE)} your time`}</span></span>`;
}

/** A calendar icon with the date. */
export function Leaf({ of }) {
  return html`<span class="leaf" aria-hidden="true"><span>${month(of.starts_at, of.timezone)}</span><strong>${dayOfMonth(of.starts_at, of.timezone)}</strong></span>`;
}

/** The room is a separate page with its own headers. */
export const room = (session, as) => `/room/${session.id}?as=${as}`;
