// The timeline of a class, newest first: join attempts, Zoom events and mails.
import { html, useState } from '../ui.js';
import { api } from '../api.js';
import { useLoad } from '../load.js';
import { MAILS } from '../mails.js';
import { HERE, stamp } from '../time.js';
import { Badge, Button, Empty, Icon, Loaded } from '../parts/basic.js';
import { useNames } from './names.js';

const ATTEMPTS = {
  admitted: ['good', 'Let in'],
  too_early: ['warn', 'Too early'],
  waiting_for_host: ['warn', 'The trainer was not there yet'],
  no_meeting_yet: ['warn', 'No meeting at Zoom'],
  no_licence: ['warn', 'No Zoom licence was free'],
  session_cancelled: ['warn', 'The class was cancelled'],
  session_ended: ['warn', 'The class was over'],
  refused: ['warn', 'Not allowed'],
  failed: ['bad', 'An error occurred'],
};
const ZOOM = {
  'meeting.created': 'The meeting was created at Zoom',
  'meeting.updated': 'The meeting was changed at Zoom',
  'meeting.deleted': 'The meeting was deleted at Zoom',
  'meeting.permanently_deleted': 'The meeting was deleted at Zoom for good',
  'meeting.recovered': 'The meeting was restored at Zoom',
  'meeting.started': 'The meeting started',
  'meeting.ended': 'The meeting ended',
  'recording.started': 'The recording started',
  'recording.paused': 'The recording was paused',
  'recording.resumed': 'The recording went on',
  'recording.stopped': 'The recording stopped',
  'recording.completed': 'The recording is ready',
  'recording.transcript_completed': 'The transcript is ready',
  'recording.trashed': 'The recording was moved to Zoom’s trash',
  'recording.recovered': 'The recording was restored',
  'recording.deleted': 'The recording was deleted',
  'recording.batch_trashed': 'The recording was moved to Zoom’s trash',
  'recording.batch_recovered': 'The recording was restored',
  'recording.batch_deleted': 'The recording was deleted',
};
/** What a participant did, after their name. */
const PARTICIPANT = {
  joined: 'joined',
  left: 'left',
  joined_waiting_room: 'came to the waiting room',
  left_waiting_room: 'left the waiting room',
  admitted: 'was admitted from the waiting room',
  put_in_waiting_room: 'was put in the waiting room',
  joined_breakout_room: 'joined a breakout room',
  left_breakout_room: 'left a breakout room',
  bind: 'dialled in as well',
};
const DELIVERY = {
  queued: ['info', 'Waiting'],
  sent: ['good', 'Sent'],
  retrying: ['warn', 'Failed, tried again'],
  failed: ['bad', 'Refused'],
  dead: ['bad', 'Failed five times'],
  dropped: ['quiet', 'Not needed'],
  bounced: ['bad', 'Came back'],
  complained: ['bad', 'Marked as spam'],
};
/** Why a mail was not needed. */
const DROPPED = {
  class_cancelled: 'the class was cancelled',
  suppressed: 'an earlier mail to the address came back',
  class_moved: 'the class was moved',
  class_over: 'the class was over',
  class_gone: 'the class was deleted',
  not_invited: 'the person was no longer invited',
  invited_again: 'the person was invited again',
  superseded: 'a later mail says it all',
  unchanged: 'nothing changed for the person',
  never_invited: 'the person had no invitation',
  zoom_connected: 'Zoom was connected',
  meeting_made: 'the meeting was made',
  mails_off: 'the person had turned mails off',
  no_address: 'the person was erased',
};
const CHANGES = {
  'session.created': 'scheduled the class',
  'session.updated': 'changed the class',
  'session.cancelled': 'cancelled the class',
  'invitation.resent': 'sent the invitation again',
  'poll.launched': 'launched a poll',
  'poll.closed': 'closed a poll',
};
const ROLES = { co_trainer: 'A co-trainer', service: 'The platform', admin: 'An administrator' };
const REPAIRS = {
  waiting: ['warn', 'Tried again'],
  finished: ['good', 'Done'],
  given_up: ['bad', 'Given up'],
};
const WAITS = {
  zoom_not_connected: 'Zoom is not connected',
  reauth_required: 'Zoom must be connected again',
  other_zoom_user: 'another Zoom user is connected',
  missing_scopes: 'Zoom permissions are missing',
  zoom_rejected: 'Zoom refused',
  zoom_rate_limited: 'Zoom’s limit is used up',
  unavailable: 'Zoom does not answer',
};

/** The part of a class that differed from Zoom. */
const CORRECTED = {
  lifecycle: 'The start and end were',
  recordings: 'The recordings were',
  participants: 'The participants were',
  meeting: 'The meeting was',
};

const name = (text) => html`<bdi>${text}</bdi>`;

function attempt({ kind, actor, detail }, nameOf) {
  return {
    icon: 'video',
    text: html`${name(detail.name || nameOf(actor))} clicked ${kind === 'clicked_start' ? 'Start' : 'Join'}`,
    badge: ATTEMPTS[detail.outcome] || ['warn', 'Not let in'],
  };
}

function zoomEvent(event, detail) {
  const [, did] = event.match(/^meeting\.participant_(.*)$/) || [];
  if (!did) return { icon: event.startsWith('recording') ? 'record' : 'video', text: ZOOM[event] || 'News from Zoom' };
  const participant = detail.participant || detail;
  const who = participant.name || participant.user_name || 'A participant';
  return { icon: 'people', text: html`${name(who)} ${PARTICIPANT[did] || 'did something in the meeting'}` };
}

function mail(state, { mail: kind, recipient, reason }, nameOf) {
  return {
    icon: 'mail',
    text: html`${MAILS[kind] || 'Mail'} to ${recipient ? name(nameOf(recipient)) : 'a former participant'}
      ${DROPPED[reason] && html`<span class="fine">: ${DROPPED[reason]}</span>`}`,
    badge: DELIVERY[state],
  };
}

/**
 * Returns `{icon, text, badge}` for an entry, in words for people. Codes are in its details.
 *
 * @param {{kind: string, actor?: any, detail?: any}} entry
 * @param {(id: string) => string} nameOf
 */
function words({ kind, actor, detail = {} }, nameOf) {
  if (kind === 'clicked_start' || kind === 'clicked_join') return attempt({ kind, actor, detail }, nameOf);
  if (kind === 'recording.viewed') return { icon: 'play', text: html`${name(nameOf(actor))} opened the recording` };
  if (kind === 'session.corrected')
    return {
      icon: 'check',
      text: `${CORRECTED[detail.corrected] || 'The class was'} corrected by a comparison with Zoom`,
    };
  const [area, ...rest] = kind.split('.');
  const what = rest.join('.');
  if (area === 'zoom') return zoomEvent(what, detail);
  if (area === 'mail') return mail(what, detail, nameOf);
  if (area === 'repair') {
    const reason = WAITS[detail.reason] ? `, because ${WAITS[detail.reason]}` : '';
    return { icon: 'video', text: `The meeting is to be deleted at Zoom${reason}`, badge: REPAIRS[what] };
  }
  if (CHANGES[kind]) return { icon: 'edit', text: `${ROLES[detail.actor_role] || 'Somebody'} ${CHANGES[kind]}` };
  return { icon: 'clock', text: kind.replaceAll(/[._]/g, ' ') };
}

function Entry({ of, nameOf }) {
  const { icon, text, badge } = words(of, nameOf);
  const { kind, actor, detail = {} } = of;
  return html`<li><span class="dot"><${Icon} name=${icon} size=${15} /></span>
    <div><p>${text}${badge && html`${' '}<${Badge} tone=${badge[0]}>${badge[1]}<//>`}</p>
      <p class="fine"><time datetime=${of.at}>${stamp(of.at, HERE)}</time></p>
      <details><summary class="fine">Details</summary>
        <pre>${JSON.stringify({ kind, ...(actor && { actor }), ...detail }, null, 2)}</pre></details></div></li>`;
}

export function Timeline({ as, session }) {
  const [pages, setPages] = useState(1);
  const nameOf = useNames(as, session);
  const list = useLoad(`timeline ${session.id} ${pages}`, async () => {
    let [items, cursor, since] = [[], '', null];
    for (let n = 0; n < pages && cursor !== null; n += 1) {
      const page = await api(as).get(
        `/v1/sessions/${session.id}/timeline?limit=50${cursor && `&cursor=${encodeURIComponent(cursor)}`}`,
      );
      items = [...items, ...page.items];
      [cursor, since] = [page.next_cursor, page.complete_since];
    }
    return { items, more: cursor !== null, gone: since > session.starts_at };
  });
  return html`<${Loaded} of=${list} lines=${5} height=${44}>${({ items, more, gone }) => html`
    ${
      items.length
        ? html`<ol class="timeline">${items.map(
            (of, n) => html`<${Entry} key=${`${of.at}${of.kind}${n}`} of=${of} nameOf=${nameOf} />`,
          )}</ol>`
        : html`<${Empty} icon="clock" title="Nothing has happened yet">
          Join attempts, Zoom events and mails appear here.<//>`
    }
    ${more && html`<p class="centre"><${Button} kind="quiet" onClick=${() => setPages(pages + 1)}>Older<//></p>`}
    ${
      gone &&
      html`<p class="fine">Join attempts and Zoom events are deleted after some time (90 days by default).
        Attendance is kept permanently.</p>`
    }`}<//>`;
}
