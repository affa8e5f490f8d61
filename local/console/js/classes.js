// Texts and values about a class that several views share.
import { html } from './ui.js';
import { counted } from './plural.js';
import { classTime, dayOfMonth, HERE, minutes, month, slotText } from './time.js';

export const starts = (session) => new Date(session.starts_at).getTime();
export const ends = (session) => starts(session) + session.duration_minutes * 60_000;

const opensAt = (session) => new Date(session.join.opens_at).getTime();
const closesAt = (session) => new Date(session.join.closes_at).getTime();

/** From so long before the start, a class "starts soon". */
const SOON_MS = 30 * 60_000;

/** Returns whether a class starts within half an hour and is not live yet. */
export function startsSoon(session, now) {
  const until = starts(session) - now;
  return session.status === 'scheduled' && until > 0 && until <= SOON_MS;
}

/** Returns the class that comes next in a list: a live one, or else the one that starts first. */
export function nextClass(sessions, now) {
  const ahead = sessions.filter((session) => !isPast(session, now) && session.join.state !== 'closed');
  const live = ahead.filter((session) => session.status === 'live');
  const [first] = (live.length ? live : ahead).toSorted((a, b) => starts(a) - starts(b));
  return first ?? null;
}

function startRefusal(session, now) {
  if (session.drift.includes('deleted')) return 'deleted';
  if (now < opensAt(session)) return 'too_early';
  if (['pending', 'failed'].includes(session.meeting_state)) return session.meeting_state;
  return session.join.state === 'no_meeting_yet' ? 'deleted' : null;
}

/**
 * Returns whether the trainer may start the class, by the join window that the server sent: `{may: true}`, or
 * `{may: false, reason}`. The reason is `too_early`, or why there is no meeting. It is null for a class that is over.
 */
export function startOf(session, now) {
  if (session.status === 'cancelled' || now >= closesAt(session)) return null;
  const reason = startRefusal(session, now);
  // An ended class may be started again, but nobody looks for a reason why not.
  if (reason && session.status === 'ended') return null;
  return reason ? { may: false, reason } : { may: true };
}

/** Returns whether the class is over, by its status or by the clock. */
export const isPast = (session, now) =>
  session.status === 'cancelled' ||
  session.status === 'ended' ||
  (session.status === 'scheduled' && now >= closesAt(session));

export function audience(session) {
  if (session.audience_type === 'course') return session.course_title || 'A course';
  if (session.audience_type === 'standalone') return 'Anyone with the link';
  const count = session.invitee_count ?? session.invitees?.length;
  return count === undefined ? 'By invitation' : `${counted(count, 'person', 'people')} invited`;
}

/** When a class takes place: by the viewer's clock first, and by the clock of the class if it differs. */
export function When({ of, brief }) {
  const { own, elsewhere } = classTime(of.starts_at, ends(of), of.timezone);
  return html`<span class="when">
    <time datetime=${of.starts_at}>${slotText(own, brief ? own.day : null)}</time>
    <span class="fine">${` ${own.zone} · ${minutes(of.duration_minutes)}`}</span>
    ${elsewhere && html`<span class="fine when-elsewhere">${slotText(elsewhere)} in ${elsewhere.zone}</span>`}</span>`;
}

/** A calendar icon with the date, as the viewer's calendar shows it. */
export function Leaf({ of }) {
  return html`<span class="leaf" aria-hidden="true">
    <span>${month(of.starts_at, HERE)}</span><strong>${dayOfMonth(of.starts_at, HERE)}</strong></span>`;
}

/** The room is a separate page with its own headers. `now` joins without another click. */
export const room = (session, as, now = false) => `/room/${session.id}?as=${as}${now ? '&join=now' : ''}`;
