// The detail page of a trainer's class.
import { html } from '../ui.js';
import { api } from '../api.js';
import { saveCalendar } from '../calendar.js';
import { useLoad } from '../load.js';
import { audience, isPast, starts, startsSoon, When } from '../classes.js';
import { HERE, longDay, minutes, stamp, useNow } from '../time.js';
import { Badge, Button, CopyButton, Loaded, Note, Passcode, Provider, Soon, Status } from '../parts/basic.js';
import { Places } from '../parts/layers.js';
import { ClassProblem, Heading } from '../parts/person.js';
import { go, href } from '../route.js';
import { Report } from './report.js';
import { Start } from './start.js';
import { Timeline } from './timeline.js';
import { cancel, resend } from './acts.js';

const PARTS = [
  ['overview', 'Overview'],
  ['report', 'After class'],
  ['timeline', 'Timeline'],
];

export function Detail({ as, id, part, section }) {
  const session = useLoad(`class ${as} ${id}`, () => api(as).get(`/v1/sessions/${id}`));
  if (session.problem && !session.data) return html`<${ClassProblem} as=${as} of=${session} home="Classes" />`;
  return html`<${Loaded} of=${session} height=${150}>${(of) => html`
    <${Head} as=${as} of=${of} part=${part} />
    <${Places} label="Parts of the class" of=${PARTS} at=${part}
      link=${(key) => href(as, `classes/${id}/${key}`)} onGo=${(key) => go(as, `classes/${id}/${key}`)} />
    ${part === 'overview' && html`<${Overview} as=${as} of=${of} />`}
    ${part === 'report' && html`<${Report} as=${as} session=${of} section=${section} />`}
    ${part === 'timeline' && html`<${Timeline} as=${as} session=${of} />`}`}<//>`;
}

function Head({ as, of, part }) {
  const at = useNow(1000);
  const past = isPast(of, at);
  const [, title] = PARTS.find(([key]) => key === part);
  const acts = html`
    <${Start} as=${as} session=${of} at=${at} />
    ${
      of.status === 'scheduled' &&
      starts(of) > at &&
      html`<${Button} icon="edit" onClick=${() => go(as, `classes/${of.id}/edit`)}>Edit<//>`
    }
    ${
      !past &&
      of.audience_type !== 'standalone' &&
      html`<${Button} icon="send" onClick=${() => resend(as, of)}>Resend<//>`
    }
    ${!past && html`<${Button} icon="calendar" onClick=${() => saveCalendar(as, of)}>Add to calendar<//>`}
    ${!past && html`<${Button} kind="danger-quiet" icon="trash" onClick=${() => cancel(as, of)}>Cancel<//>`}`;
  return html`<${Heading} as=${as} part=${title} back=${['classes', 'Classes']} actions=${acts}>${of.title}<//>
    <p class="class-facts">${startsSoon(of, at) ? html`<${Soon} />` : html`<${Status} of=${of.status} />`}
      <${Provider} of=${of.provider} />
      ${of.record_session && html`<${Badge} icon="record">Recorded<//>`}<${When} of=${of} /></p>`;
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
  ['bounced', 'came back'],
  ['complained', 'marked as spam'],
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

/** What somebody changed at Zoom, and how to correct it. */
function Drift({ as, of }) {
  if (of.drift.includes('deleted'))
    return html`<${Note} tone="warn" title="The meeting was deleted at Zoom">
      <p>Restore the meeting at Zoom, or cancel this class and schedule it again.</p><//>`;
  if (of.drift.includes('record_session') && of.record_session)
    return html`<${Note} tone="warn" title="Zoom will not record this class">
      <p>The Zoom account does not allow cloud recording. Allow it at Zoom and save the class again.</p><//>`;
  if (of.drift.length === 0) return null;
  const words = of.drift.map((field) => DRIFT[field] || field.replace('settings.', 'setting ').replaceAll('_', ' '));
  return html`<${Note} tone="warn" title="The meeting was changed at Zoom">
    <p>Different: ${words.join(', ')}. Save the class to correct the meeting at Zoom.</p>
    <${Button} small icon="edit" onClick=${() => go(as, `classes/${of.id}/edit`)}>Edit and save<//><//>`;
}

const meetingNumber = (id) => id.replace(/(\d{3})(\d{3,4})(\d{4})$/, '$1 $2 $3');

/** How people get in, for trainers who send the link themselves. */
function Access({ of: { join_url: link, id, passcode } }) {
  return html`
    ${
      link &&
      html`<dt>Link</dt><dd class="link-line"><span class="cut">${link}</span>
        <${CopyButton} text=${link} what="Link" /></dd>`
    }
    ${id && html`<dt>Meeting</dt><dd>${`${meetingNumber(id)} `}<${CopyButton} text=${id} what="Meeting number" /></dd>`}
    ${passcode && html`<dt>Passcode</dt><dd><${Passcode} code=${passcode} /></dd>`}`;
}

function Facts({ of }) {
  const mail = of.mail && MAIL.filter(([key]) => of.mail[key] > 0).map(([key, word]) => `${of.mail[key]} ${word}`);
  return html`<dl class="facts">
    <dt>When</dt><dd>${longDay(of.starts_at, HERE)}<br /><${When} of=${of} brief /></dd>
    ${
      of.actual_started_at &&
      html`<dt>Held</dt><dd>${stamp(of.actual_started_at, HERE)}${' – '}
        ${of.actual_ended_at ? stamp(of.actual_ended_at, HERE) : 'live'}</dd>`
    }
    ${of.cancelled_at && html`<dt>Cancelled</dt><dd>${stamp(of.cancelled_at, HERE)}</dd>`}
    <dt>For</dt><dd><bdi>${audience(of)}</bdi></dd>
    ${of.description && html`<dt>About</dt><dd class="lines" dir="auto">${of.description}</dd>`}
    ${of.co_trainers.length > 0 && html`<dt>Co-trainers</dt><dd>${of.co_trainers.join(', ')}</dd>`}
    ${
      of.provider === 'zoom' &&
      html`<dt>Zoom account</dt><dd>
      ${of.hosting === 'platform' ? 'The platform’s' : 'Your own'}</dd>`
    }
    <dt>Duration</dt><dd>${minutes(of.duration_minutes)}</dd>
    <${Access} of=${of.meeting} />
    ${mail && html`<dt>Mail</dt><dd>${mail.length ? mail.join(' · ') : 'None yet'}</dd>`}</dl>
    <details class="fine more"><summary>Details</summary>Version ${of.version}, calendar entry ${of.ics_sequence},
      id <code>${of.id}</code></details>`;
}

function Overview({ as, of }) {
  const warnings = of.warnings.filter((warning) => WARNINGS[warning]);
  return html`
    ${warnings.map((warning) => html`<${Warning} key=${warning} of=${warning} hosting=${of.hosting} />`)}
    <${Drift} as=${as} of=${of} />
    <div class="card"><${Facts} of=${of} /></div>
    ${
      of.invitees?.length > 0 &&
      html`<h3>Invited</h3><ul class="card people">${of.invitees.map(
        (person) => html`<li key=${person.email}>
          ${person.name && html`<strong><bdi>${person.name}</bdi></strong>${' '}`}
          <span class="fine">${person.email}</span></li>`,
      )}</ul>`
    }`;
}
