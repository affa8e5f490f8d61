// The timeline of a class, newest first: join attempts, Zoom events and mails.
import { html, useState } from '../ui.js';
import { api } from '../api.js';
import { useLoad } from '../load.js';
import { stamp } from '../time.js';
import { Badge, Button, Empty, Icon, Loaded } from '../parts/basic.js';

const CLICKS = {
  admitted: 'let in',
  too_early: 'too early',
  waiting_for_host: 'waiting for the trainer',
  no_meeting_yet: 'no meeting at Zoom',
  session_cancelled: 'the class is cancelled',
  session_ended: 'the class is over',
  refused: 'refused',
  failed: 'it failed',
};
const ZOOM = {
  'meeting.created': 'Meeting created at Zoom',
  'meeting.updated': 'Meeting changed at Zoom',
  'meeting.deleted': 'Meeting deleted at Zoom',
  'meeting.started': 'Meeting started',
  'meeting.ended': 'Meeting ended',
  'meeting.participant_joined': 'joined',
  'meeting.participant_left': 'left',
  'recording.started': 'Recording started',
  'recording.stopped': 'Recording stopped',
  'recording.completed': 'Recording ready',
  'recording.transcript_completed': 'Transcript ready',
  'recording.trashed': 'Recording moved to the trash',
  'recording.recovered': 'Recording restored',
  'recording.deleted': 'Recording deleted',
  'recording.batch_trashed': 'Recording moved to the trash',
  'recording.batch_recovered': 'Recording restored',
  'recording.batch_deleted': 'Recording deleted',
};
const MAIL = {
  queued: ['info', 'waiting'],
  sent: ['good', 'sent'],
  retrying: ['warn', 'tried again'],
  failed: ['bad', 'failed'],
  dead: ['bad', 'given up'],
  dropped: ['quiet', 'not needed'],
};

const REPAIR = { waiting: ['warn', 'waiting'], finished: ['good', 'deleted'], given_up: ['bad', 'given up'] };
const WAITS = {
  zoom_not_connected: 'Zoom is not connected',
  reauth_required: 'Zoom must be connected again',
  other_zoom_user: 'another Zoom user is connected',
};

function told({ kind, actor, detail = {} }) {
  if (kind === 'clicked_start' || kind === 'clicked_join') {
    const tone = detail.outcome === 'admitted' ? 'good' : 'warn';
    return {
      icon: 'video',
      text: `${detail.name || actor} clicked ${kind === 'clicked_start' ? 'start' : 'join'}`,
      badge: [tone, CLICKS[detail.outcome] || detail.outcome],
    };
  }
  if (kind.startsWith('zoom.')) {
    const event = kind.slice(5);
    const word = ZOOM[event] || event;
    const who = detail.participant?.name || detail.participant?.user_name || detail.name || detail.user_name;
    const icon = event.startsWith('recording') ? 'record' : event.includes('participant') ? 'people' : 'video';
    return { icon, text: event.includes('participant') ? `${who || 'A participant'} ${word}` : word };
  }
  if (kind.startsWith('repair.')) {
    const reason = detail.reason && `: ${WAITS[detail.reason] || detail.reason.replaceAll('_', ' ')}`;
    return { icon: 'video', text: `Delete the meeting at Zoom${reason || ''}`, badge: REPAIR[kind.slice(7)] };
  }
  if (kind.startsWith('mail')) {
    const state = detail.state || kind.split('.')[1];
    const whom = detail.to || detail.recipient || detail.email || detail.user_id || actor || '';
    return {
      icon: 'mail',
      text: `${detail.mail || detail.kind || detail.message || 'Mail'} to ${whom}`.replaceAll('_', ' '),
      badge: MAIL[state] || ['quiet', state],
    };
  }
  return { icon: 'clock', text: kind.replaceAll('_', ' ').replaceAll('.', ' ') };
}

export function Timeline({ as, session }) {
  const [pages, setPages] = useState(1);
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
        ? html`<ol class="timeline">${items.map((entry, n) => {
            const { icon, text, badge } = told(entry);
            return html`<li key=${`${entry.at}${entry.kind}${n}`}><span class="dot"><${Icon} name=${icon} size=${15} /></span>
      <div><p>${text} ${badge && html`<${Badge} tone=${badge[0]}>${badge[1]}<//>`}</p>
      <p class="fine"><time datetime=${entry.at}>${stamp(entry.at, session.timezone)}</time> · <code>${entry.kind}</code></p>
      ${Object.keys(entry.detail || {}).length > 0 && html`<details><summary class="fine">Details</summary><pre>${JSON.stringify(entry.detail, null, 2)}</pre></details>`}</div></li>`;
          })}</ol>${more && html`<p class="centre"><${Button} kind="quiet" onClick=${() => setPages(pages + 1)}>Older<//></p>`}`
        : html`<${Empty} icon="clock" title="Nothing has happened yet">Join attempts, Zoom events and mails appear here.<//>`
    }
    ${gone && html`<p class="fine">Join attempts and Zoom events are deleted after some time (90 days by default). Attendance is kept permanently.</p>`}`}<//>`;
}
