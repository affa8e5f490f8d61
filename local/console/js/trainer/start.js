// The trainer's way into a class: Start, or why it is not possible yet.
import { html, useId } from '../ui.js';
import { room, startOf } from '../classes.js';
import { HERE, day, hour, span, stamp } from '../time.js';
import { Icon } from '../parts/basic.js';

function reasonText(reason, session, at) {
  const opens = session.join.opens_at;
  switch (reason) {
    case 'too_early': {
      const [opensOn, today] = [day(opens, HERE), day(at, HERE)];
      const when = opensOn === today ? `at ${hour(opens, HERE)}` : `${opensOn}, ${hour(opens, HERE)}`;
      return `Opens in ${span(new Date(opens).getTime() - at)}, ${when}`;
    }
    case 'pending':
      return session.meeting_at ? `The meeting is made from ${stamp(session.meeting_at, HERE)} on` : 'No meeting yet';
    case 'failed':
      return 'The meeting could not be made. Save the class to try again.';
    default:
      return 'The meeting was deleted at Zoom';
  }
}

/**
 * Start, or Join while the class is live. An ended class can be started again for some time. Before the window the
 * button is disabled, and shows when the window opens.
 */
export function Start({ as, session, at, small = false }) {
  const id = useId();
  const start = startOf(session, at);
  if (!start) return null;
  const word = { live: 'Join', ended: 'Start again' }[session.status] || 'Start';
  const look = `button${session.status === 'ended' ? '' : ' primary'}${small ? ' small' : ''}`;
  if (start.may)
    return html`<a class=${look} href=${room(session, as)} target="_blank" rel="noopener"
      aria-label=${`${word}: ${session.title}`}><${Icon} name="video" /><span>${word}</span></a>`;
  return html`<span class="door">
    <button type="button" class=${look} disabled aria-label=${`${word}: ${session.title}`} aria-describedby=${id}>
      <${Icon} name="video" /><span>${word}</span></button>
    <span class="fine" id=${id}>${reasonText(start.reason, session, at)}</span></span>`;
}
