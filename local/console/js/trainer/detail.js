// The detail page of a trainer's class.
import { html } from '../ui.js';
import { api } from '../api.js';
import { useLoad } from '../load.js';
import { canStart, audience, isPast, room, starts, When } from '../classes.js';
import { longDay, minutes, stamp, useNow, zoneName } from '../time.js';
import { Badge, Button, CopyButton, Icon, Loaded, Note, Passcode, Provider, Status } from '../parts/basic.js';
import { Places } from '../parts/layers.js';
import { Heading } from '../parts/person.js';
import { go, href } from '../route.js';
import { Recordings } from '../student/recordings.js';
import { Attendance } from './attendance.js';
import { Results } from './results.js';
import { Timeline } from './timeline.js';
import { cancel, resend } from './acts.js';

const PARTS = [
  ['overview', 'Overview'],
  ['attendance', 'Attendance'],
  ['recordings', 'Recordings'],
  ['polls', 'Polls'],
  ['timeline', 'Timeline'],
];

export function Detail({ as, id, part = 'overview' }) {
  const session = useLoad(`class ${as} ${id}`, () => api(as).get(`/v1/sessions/${id}`));
  return html`${session.problem && !session.data && html`<${Heading} as=${as} back=${['classes', 'Classes']}>Class<//>`}<${Loaded} of=${session} height=${150}>${(
    of,
  ) => html`
    <${Head} as=${as} of=${of} />
    <${Places} label="Parts of the class" of=${PARTS} at=${part} link=${(key) => href(as, `classes/${id}/${key}`)} onGo=${(key) => go(as, `classes/${id}/${key}`)} />
    ${part === 'overview' && html`<${Overview} as=${as} of=${of} />`}
    ${part === 'attendance' && html`<${Attendance} as=${as} session=${of} />`}
    ${part === 'recordings' && html`<${Recordings} as=${as} session=${of} />`}
    ${part === 'polls' && html`<${Results} as=${as} session=${of} />`}
    ${part === 'timeline' && html`<${Timeline} as=${as} session=${of} />`}`}<//>`;
}

function Head({ as, of }) {
  const at = useNow(1000);
  const past = isPast(of, at);
  const acts = html`
    ${canStart(of, at) && html`<a class="button primary" href=${room(of, as)} target="_blank" rel="noopener"><${Icon} name="video" /><span>${of.status === 'live' ? 'Join' : 'Start'}</span></a>`}
    ${of.status === 'scheduled' && starts(of) > at && html`<${Button} icon="edit" onClick=${() => go(as, `classes/${of.id}/edit`)}>Edit<//>`}
    ${!past && of.audience_type !== 'standalone' && html`<${Button} icon="send" onClick=${() => resend(as, of)}>Resend<//>`}
    ${!past && html`<${Button} kind="danger-quiet" icon="trash" onClick=${() => cancel(as, of)}>Cancel<//>`}`;
  return html`<${Heading} as=${as} back=${['classes', 'Classes']} actions=${acts}>${of.title}<//>
    <p class="class-facts"><${Status} of=${of.status} /><${Provider} of=${of.provider} />${of.record_session && html`<${Badge} icon="record">Recorded<//>`}<${When} of=${of} /></p>`;
}

const DRIFT = {
  title: 'its title',
  description: 'its description',
  record_session: 'it is recorded',
  starts_at: 'its start',
  duration_minutes: 'its duration',
  deleted: 'its existence',
};
const MAIL = [
  ['sent', 'sent'],
  ['queued', 'waiting'],
  ['retrying', 'retrying'],
  ['failed', 'failed'],
  ['dead', 'failed five times'],
  ['dropped', 'no longer relevant'],
];

const WARNINGS = {
  zoom_not_connected: [
    'Zoom is not connected',
    'You cannot start this class, and nobody is reminded of it, until you connect Zoom again.',
  ],
  reauth_required: [
    'Zoom must be connected again',
    'You cannot start this class, and nobody is reminded of it, until you connect Zoom again.',
  ],
  forty_minutes: [
    'Zoom ends this class after 40 minutes',
    'Your Zoom user has no licence. Shorten the class, or buy a licence at Zoom and connect again.',
  ],
  overlap: [
    'Another class takes place at the same time',
    'The Zoom account may not be able to host both. Move or cancel one of them.',
  ],
  other_zoom_user: [
    'Another Zoom user hosts this class',
    'You cannot start or change it, and nobody is reminded of it, until you connect that Zoom user again.',
  ],
};

/** Where the platform hosts, a trainer cannot buy the licence. */
const NO_LICENCE = [
  'Zoom ends this class after 40 minutes',
  'The platform’s Zoom account has no licence for it. Shorten the class, or ask the platform for a licence.',
];

function Warning({ of, hosting }) {
  const [title, text] = (of === 'forty_minutes' && hosting === 'platform' && NO_LICENCE) || WARNINGS[of];
  return html`<${Note} tone="warn" title=${title}><p>${text}</p><//>`;
}

function Overview({ as, of }) {
  const mail = of.mail && MAIL.filter(([key]) => of.mail[key] > 0);
  return html`
    ${of.warnings.filter((warning) => WARNINGS[warning]).map((warning) => html`<${Warning} key=${warning} of=${warning} hosting=${of.hosting} />`)}
    ${
      of.drift.includes('deleted')
        ? html`<${Note} tone="warn" title="The meeting was deleted at Zoom"><p>Restore the meeting at Zoom, or cancel this class and schedule it again.</p><//>`
        : of.drift.includes('record_session') && of.record_session
          ? html`<${Note} tone="warn" title="Zoom will not record this class"><p>The Zoom account does not allow cloud recording. Allow it at Zoom and save the class again.</p><//>`
          : of.drift.length > 0 &&
            html`<${Note} tone="warn" title="The meeting was changed at Zoom"><p>Different: ${of.drift.map((field) => DRIFT[field] || field.replace('settings.', 'setting ').replaceAll('_', ' ')).join(', ')}. Save the class to correct the meeting at Zoom.</p>
        <${Button} small icon="edit" onClick=${() => go(as, `classes/${of.id}/edit`)}>Edit and save<//><//>`
    }
    <div class="card"><dl class="facts">
      <dt>When</dt><dd>${longDay(of.starts_at, of.timezone)}<br /><${When} of=${of} brief /></dd>
      ${of.actual_started_at && html`<dt>Held</dt><dd>${stamp(of.actual_started_at, of.timezone)}${of.actual_ended_at ? ` – ${stamp(of.actual_ended_at, of.timezone)}` : ' – live'} ${zoneName(of.starts_at, of.timezone)}</dd>`}
      ${of.cancelled_at && html`<dt>Cancelled</dt><dd>${stamp(of.cancelled_at, of.timezone)}</dd>`}
      <dt>For</dt><dd>${audience(of)}</dd>
      ${of.description && html`<dt>About</dt><dd class="lines">${of.description}</dd>`}
      ${of.co_trainers.length > 0 && html`<dt>Co-trainers</dt><dd>${of.co_trainers.join(', ')}</dd>`}
      ${of.provider === 'zoom' && html`<dt>Zoom account</dt><dd>${of.hosting === 'platform' ? 'The platform’s' : 'Your own'}</dd>`}
      <dt>Duration</dt><dd>${minutes(of.duration_minutes)}</dd>
      <dt>Link</dt><dd class="link-line"><span class="cut">${of.meeting.join_url}</span><${CopyButton} text=${of.meeting.join_url} what="Link" /></dd>
      ${of.meeting.id && html`<dt>Meeting</dt><dd>${of.meeting.id.replace(/(\d{3})(\d{3,4})(\d{4})$/, '$1 $2 $3')} <${CopyButton} text=${of.meeting.id} what="Meeting number" /></dd>`}
      ${of.meeting.passcode && html`<dt>Passcode</dt><dd><${Passcode} code=${of.meeting.passcode} /></dd>`}
      ${mail && html`<dt>Mail</dt><dd>${mail.length ? mail.map(([key, word]) => `${of.mail[key]} ${word}`).join(' · ') : 'None yet'}</dd>`}
      <dt>Version</dt><dd>${of.version} <span class="fine">calendar entry ${of.ics_sequence}, id <code>${of.id}</code></span></dd></dl></div>
    ${of.invitees?.length > 0 && html`<h3>Invited</h3><ul class="card people">${of.invitees.map((person) => html`<li key=${person.email}>${person.name ? html`<strong>${person.name}</strong> ` : ''}<span class="fine">${person.email}</span></li>`)}</ul>`}`;
}
