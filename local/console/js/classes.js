// What is said of a class in more than one place.
import { html } from './ui.js';
import { day, hour, zoneName, minutes, dayOfMonth, month, HERE } from './time.js';

export const starts = (session) => new Date(session.starts_at).getTime();
export const ends = (session) => starts(session) + session.duration_minutes * 60_000;

/** How long before the start its trainer may come in, as the deployment has it unless it says otherwise. */
const OWNER_BEFORE_MS = 15 * 60_000;
/** And how long after the planned end the door stays open. */
const AFTER_END_MS = 90 * 60_000;

export const canStart = (session, now) => session.status !== 'cancelled'
  && now >= starts(session) - OWNER_BEFORE_MS && now < ends(session) + AFTER_END_MS;

/** Whether the class belongs under "past": it is over, by Zoom's word or by the clock. */
export const isPast = (session, now) => session.status === 'cancelled' || session.status === 'ended'
  || (session.status === 'scheduled' && now >= ends(session) + AFTER_END_MS);

export function audience(session) {
  if (session.audience_type === 'course') return session.course_title || 'A course';
  if (session.audience_type === 'standalone') return 'Whoever has the link';
  const count = session.invitee_count ?? session.invitees?.length;
  if (count === undefined) return 'By invitation';
  return count === 1 ? '1 person invited' : `${count} people invited`;
}

export function When({ of, brief }) {
  const elsewhere = of.timezone !== HERE && zoneName(of.starts_at, of.timezone) !== zoneName(of.starts_at, HERE);
  return html`<span class="when"><time datetime=${of.starts_at}>${brief ? '' : `${day(of.starts_at, of.timezone)}, `}${hour(of.starts_at, of.timezone)}–${hour(ends(of), of.timezone)}</time>
    <span class="fine">${' '}${zoneName(of.starts_at, of.timezone)} · ${minutes(of.duration_minutes)}${elsewhere && html` · ${hour(of.starts_at, HERE)} where you are`}</span></span>`;
}

/** A leaf of a calendar. */
export function Leaf({ of }) {
  return html`<span class="leaf" aria-hidden="true"><span>${month(of.starts_at, of.timezone)}</span><strong>${dayOfMonth(of.starts_at, of.timezone)}</strong></span>`;
}

/** The room is a page of its own, with headers of its own. */
export const room = (session, as) => `/room/${session.id}?as=${as}`;
