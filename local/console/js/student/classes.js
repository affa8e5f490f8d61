// A student's classes with the state of the join window. The next class comes first.
import { html, useState } from '../ui.js';
import { all, api } from '../api.js';
import { saveCalendar } from '../calendar.js';
import { FeatureOff, useCapabilities } from '../capabilities.js';
import { useLoad } from '../load.js';
import { now, span } from '../time.js';
import { Leaf, When, nextClass, starts, startsSoon } from '../classes.js';
import { Badge, Button, Empty, Icon, Loaded, Note, Provider, Segments, Soon, Status } from '../parts/basic.js';
import { Places } from '../parts/layers.js';
import { ClassProblem, Go, Heading } from '../parts/person.js';
import { Section } from '../parts/section.js';
import { go, href } from '../route.js';
import { Results } from '../trainer/results.js';
import { Door, useDoor } from './door.js';
import { Recordings } from './recordings.js';

const DAY_MS = 86_400_000;
/** How far the list of past classes goes back. */
const PAST_DAYS = 90;

const isOver = (session) =>
  session.join.state === 'closed' || session.status === 'ended' || session.status === 'cancelled';

export function Upcoming({ as }) {
  const [which, setWhich] = useState('upcoming');
  const list = useLoad(`mine ${as} ${which}`, async () => {
    const at = now();
    const from = new Date(at - PAST_DAYS * DAY_MS).toISOString();
    const range = which === 'upcoming' ? '' : `&from=${from}&to=${new Date(at).toISOString()}`;
    const items = await all(as, `/v1/me/sessions?limit=100${range}`);
    return which === 'upcoming' ? items.filter((session) => !isOver(session)) : items.filter(isOver).reverse();
  });
  const capabilities = useCapabilities(as);
  const disclaimer = capabilities.data?.disclaimer;
  const none = which === 'upcoming' ? 'No upcoming classes' : 'No past classes';
  return html`<${Heading} as=${as}>Your live classes<//>
    <${FeatureOff} of=${capabilities.data} />
    <div class="toolbar"><${Segments} label="Which classes" value=${which} onChange=${setWhich}
      of=${[['upcoming', 'Upcoming'], ['past', 'Past and cancelled']]} /></div>
    <${Loaded} of=${list} height=${112}>${(items) =>
      items.length
        ? html`<${Lists} as=${as} items=${items} next=${which === 'upcoming' ? nextClass(items, now()) : null} />`
        : html`<${Empty} title=${none}>
          ${which === 'upcoming' && 'Classes appear here when a trainer schedules them for you.'}<//>`}<//>
    ${disclaimer && html`<p class="disclaimer">${disclaimer}</p>`}`;
}

function Lists({ as, items, next }) {
  const others = items.filter((session) => session !== next);
  const list = (of) => html`<ul class="classes">
    ${of.map((session) => html`<${Class} key=${session.id} as=${as} session=${session} />`)}</ul>`;
  return html`
    ${
      next &&
      html`<section class="next" aria-label="Next class"><p class="eyebrow" aria-hidden="true">Next class</p>
        <ul class="classes"><${Class} key=${next.id} as=${as} session=${next} isNext /></ul></section>`
    }
    ${others.length > 0 && list(others)}`;
}

/** The time until the next class, by the server's clock. */
function Countdown({ of, at }) {
  const until = starts(of) - at;
  if (of.status !== 'scheduled') return null;
  const [word, time] = until > 0 ? ['Starts in', span(until)] : ['Should have started', `${span(-until)} ago`];
  return html`<p class="countdown" role="timer">${word} <strong>${time}</strong></p>`;
}

function Class({ as, session, isNext = false }) {
  const at = useDoor(session);
  const soon = startsSoon(session, at);
  return html`<li class=${`class ${session.status}${soon ? ' soon' : ''}`}><${Leaf} of=${session} />
    <div class="class-main">
      <h3><${Go} as=${as} to=${`classes/${session.id}`}><bdi>${session.title}</bdi><//></h3>
      <${When} of=${session} />
      <p class="class-facts">${soon ? html`<${Soon} />` : html`<${Status} of=${session.status} />`}
        <${Provider} of=${session.provider} />
        ${
          session.course_title
            ? html`<${Badge} icon="people"><bdi>${session.course_title}</bdi><//>`
            : html`<${Badge} icon="mail">By invitation<//>`
        }
        ${session.record_session && html`<${Badge} icon="record">Recorded<//>`}</p>
      ${isNext && html`<${Countdown} of=${session} at=${at} />`}</div>
    <div class="class-acts"><${Door} as=${as} session=${session} at=${at} />
      ${isNext && html`<${ToCalendar} as=${as} session=${session} />`}
      ${
        session.has_recording &&
        html`<${Go} as=${as} to=${`classes/${session.id}/recordings`} class="button"
          aria-label=${`Watch recording: ${session.title}`}><${Icon} name="play" /><span>Watch recording</span><//>`
      }</div></li>`;
}

function ToCalendar({ as, session }) {
  return html`<${Button} kind="quiet" icon="calendar" aria-label=${`Add to calendar: ${session.title}`}
    onClick=${() => saveCalendar(as, session)}>Add to calendar<//>`;
}

const PARTS = [
  ['overview', 'Overview'],
  ['report', 'After class'],
];

export function Detail({ as, id, part, section }) {
  const session = useLoad(`class ${as} ${id}`, () => api(as).get(`/v1/sessions/${id}`));
  if (session.problem && !session.data)
    return html`<${ClassProblem} as=${as} of=${session} home="Your live classes" />`;
  return html`<${Loaded} of=${session} height=${150}>
    ${(of) => html`<${One} as=${as} of=${of} part=${part} section=${section} />`}<//>`;
}

function One({ as, of, part, section }) {
  const at = useDoor(of);
  const [, title] = PARTS.find(([key]) => key === part);
  const acts = html`<${Door} as=${as} session=${of} at=${at} />
    ${!isOver(of) && html`<${ToCalendar} as=${as} session=${of} />`}`;
  return html`
    <${Heading} as=${as} part=${title} back=${['classes', 'Your live classes']} actions=${acts}>${of.title}<//>
    <p class="class-facts">${startsSoon(of, at) ? html`<${Soon} />` : html`<${Status} of=${of.status} />`}
      <${Provider} of=${of.provider} /><${When} of=${of} /></p>
    <${Places} label="Parts of the class" of=${PARTS} at=${part}
      link=${(key) => href(as, `classes/${of.id}/${key}`)} onGo=${(key) => go(as, `classes/${of.id}/${key}`)} />
    ${part === 'overview' && html`<${Overview} of=${of} />`}
    ${
      part === 'report' &&
      html`<${Section} id="recordings" title="Recording" at=${section}><${Recordings} as=${as} session=${of} /><//>
        <${Section} id="polls" title="Polls" at=${section}>
          <${Results} as=${as} session=${of} mayExport=${false} /><//>`
    }`;
}

function Overview({ of }) {
  return html`
    ${
      of.join.state === 'no_meeting_yet' &&
      html`<${Note} tone="warn" title="The class has no meeting at Zoom">
        <p>The trainer knows. You can join here as soon as there is one.</p><//>`
    }
    <div class="card"><dl class="facts">
      ${of.course_title && html`<dt>Course</dt><dd><bdi>${of.course_title}</bdi></dd>`}
      <dt>About</dt><dd class="lines" dir="auto">${of.description || 'No description.'}</dd>
      <dt>Recorded</dt><dd>${of.record_session ? 'Yes. You can watch it here afterwards.' : 'No'}</dd></dl></div>`;
}
