// The trainer's classes: upcoming and live ones, and past ones on demand.
import { html, useState } from '../ui.js';
import { all } from '../api.js';
import { FeatureOff, PlanLimits, useCapabilities } from '../capabilities.js';
import { useLoad } from '../load.js';
import { now, span, useNow } from '../time.js';
import { Leaf, When, audience, isPast, starts, startsSoon } from '../classes.js';
import { Badge, Button, CopyButton, Empty, Icon, Loaded, Provider, Segments, Soon, Status } from '../parts/basic.js';
import { Menu } from '../parts/layers.js';
import { Go, Heading } from '../parts/person.js';
import { go } from '../route.js';
import { ZoomCard, useConnection } from './zoom.js';
import { cancel, resend } from './acts.js';
import { Start } from './start.js';

const DAY_MS = 86_400_000;
/** A class has at most eight hours plus the join window, so earlier ones cannot be live. */
const RUNNING_MS = DAY_MS;
/** The size of one step into the past. */
const PAST_DAYS = 30;

export function Classes({ as }) {
  const [which, setWhich] = useState('active');
  const [days, setDays] = useState(PAST_DAYS);
  const connection = useConnection(as);
  const capabilities = useCapabilities(as);
  const list = useLoad(`classes ${as} ${which} ${days}`, async () => {
    const at = now();
    const from = new Date(which === 'active' ? at - RUNNING_MS : at - days * DAY_MS).toISOString();
    const to = which === 'active' ? '' : `&to=${new Date(at + 730 * DAY_MS).toISOString()}`;
    const items = await all(as, `/v1/sessions?limit=100&from=${from}${to}`);
    return which === 'active'
      ? items.filter((session) => !isPast(session, at))
      : items.filter((session) => isPast(session, at)).reverse();
  });
  const link = html`<${Go} as=${as} to="new" class="button primary">
    <${Icon} name="plus" /><span>Schedule a class</span><//>`;
  const none = which === 'active' ? 'No upcoming classes' : `No classes in the last ${days} days`;
  return html`<${Heading} as=${as} actions=${capabilities.data?.live_classes.enabled !== false && link}>Classes<//>
    <${FeatureOff} of=${capabilities.data} /><${PlanLimits} of=${capabilities.data} />
    <${ZoomCard} as=${as} connection=${connection} />
    <div class="toolbar"><${Segments} label="Which classes" value=${which} onChange=${setWhich}
      of=${[['active', 'Active'], ['past', 'Past and cancelled']]} /></div>
    <${Loaded} of=${list} height=${112}>${(items) =>
      items.length
        ? html`<ul class="classes">
          ${items.map((session) => html`<${Class} key=${session.id} as=${as} session=${session} />`)}</ul>`
        : html`<${Empty} title=${none}>
          ${which === 'active' && 'Schedule the first for a course, for people by e-mail, or for anyone with the link.'}
          <//>`}<//>
    ${
      which === 'past' &&
      html`<p class="centre"><${Button} kind="quiet" onClick=${() => setDays(days + 90)}>Show earlier classes<//></p>`
    }`;
}

const RECONNECT = ['zoom_not_connected', 'reauth_required', 'other_zoom_user'];

/** What the trainer must know about a class, as badges. */
function Warnings({ of }) {
  const words = [
    of.warnings.some((warning) => RECONNECT.includes(warning)) && 'Connect Zoom',
    of.warnings.includes('forty_minutes') && '40 minutes at most',
    of.warnings.includes('overlap') && 'Overlaps',
    of.drift.includes('deleted') ? 'Deleted at Zoom' : of.drift.length > 0 && 'Changed at Zoom',
  ].filter(Boolean);
  return words.map((word) => html`<${Badge} key=${word} tone="warn" icon="warn">${word}<//>`);
}

function Class({ as, session }) {
  const at = useNow(1000);
  const past = isPast(session, at);
  const editable = session.status === 'scheduled' && starts(session) > at;
  const until = starts(session) - at;
  const soon = startsSoon(session, at);
  const more = [
    { icon: 'calendar', text: 'Open', onClick: () => go(as, `classes/${session.id}`) },
    session.audience_type !== 'standalone' && {
      icon: 'send',
      text: 'Resend invitation…',
      onClick: () => resend(as, session),
    },
    { icon: 'trash', text: 'Cancel class…', danger: true, onClick: () => cancel(as, session) },
  ];
  return html`<li class=${`class ${session.status}`}>
    <${Leaf} of=${session} />
    <div class="class-main">
      <h3><${Go} as=${as} to=${`classes/${session.id}`}><bdi>${session.title}</bdi><//></h3>
      <${When} of=${session} />
      <p class="class-facts">${soon ? html`<${Soon} />` : html`<${Status} of=${session.status} />`}
        <${Provider} of=${session.provider} />
        <${Badge} icon=${session.audience_type === 'standalone' ? 'link' : 'people'}><bdi>${audience(session)}</bdi><//>
        ${session.record_session && html`<${Badge} icon="record">Recorded<//>`}
        <${Warnings} of=${session} />
        ${session.status === 'scheduled' && until > 0 && html`<span class="fine">in ${span(until)}</span>`}</p></div>
    <div class="class-acts">
      ${session.status !== 'ended' && html`<${Start} as=${as} session=${session} at=${at} small />`}
      ${
        session.status === 'ended' &&
        html`<${Go} as=${as} to=${`classes/${session.id}/report`} class="button small"
          aria-label=${`After class: ${session.title}`}><span>After class</span><//>`
      }
      ${
        session.has_recording &&
        html`<${Go} as=${as} to=${`classes/${session.id}/recordings`} class="button small"
          aria-label=${`Watch recording: ${session.title}`}><${Icon} name="play" /><span>Watch recording</span><//>`
      }
      ${!past && session.meeting.join_url && html`<${CopyButton} text=${session.meeting.join_url} what="Link" />`}
      ${
        editable &&
        html`<${Button} kind="quiet" small icon="edit" label=${`Edit: ${session.title}`}
          onClick=${() => go(as, `classes/${session.id}/edit`)} />`
      }
      ${!past && html`<${Menu} label=${`More for ${session.title}`} items=${more} />`}
    </div></li>`;
}
