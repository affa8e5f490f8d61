// A student's or guest's classes with the state of the join window.
import { html, useEffect, useRef, useState } from '../ui.js';
import { all, api } from '../api.js';
import { FeatureOff, useCapabilities } from '../capabilities.js';
import { changed, useLoad } from '../load.js';
import { now, span, useNow } from '../time.js';
import { Leaf, When, room } from '../classes.js';
import { Badge, Empty, Icon, Loaded, Provider, Segments, Status } from '../parts/basic.js';
import { Places } from '../parts/layers.js';
import { Go, Heading } from '../parts/person.js';
import { go, href } from '../route.js';
import { Results } from '../trainer/results.js';
import { Recordings } from './recordings.js';

const DAY_MS = 86_400_000;

export function Upcoming({ as }) {
  const [which, setWhich] = useState('upcoming');
  const list = useLoad(`mine ${as} ${which}`, async () => {
    const at = now();
    const range =
      which === 'upcoming' ? '' : `&from=${new Date(at - 90 * DAY_MS).toISOString()}&to=${new Date(at).toISOString()}`;
    const items = await all(as, `/v1/me/sessions?limit=100${range}`);
    const over = (session) =>
      session.join.state === 'closed' || session.status === 'ended' || session.status === 'cancelled';
    return which === 'upcoming' ? items.filter((session) => !over(session)) : items.filter(over).reverse();
  });
  const capabilities = useCapabilities(as);
  const disclaimer = capabilities.data?.disclaimer;
  return html`<${Heading}>Your live classes<//>
    <${FeatureOff} of=${capabilities.data} />
    <div class="toolbar"><${Segments} label="Which classes" value=${which} onChange=${setWhich} of=${[['upcoming', 'Upcoming'], ['past', 'Past and cancelled']]} /></div>
    <${Loaded} of=${list} height=${112}>${(items) =>
      items.length
        ? html`<ul class="classes">${items.map((session) => html`<${Class} key=${session.id} as=${as} session=${session} />`)}</ul>`
        : html`<${Empty} title=${which === 'upcoming' ? 'No upcoming classes' : 'No past classes'}>${which === 'upcoming' && 'Classes appear here when a trainer schedules them for you.'}<//>`}<//>
    ${disclaimer && html`<p class="disclaimer">${disclaimer}</p>`}`;
}

/** Reloads when the join window opens or closes. The server decides the state. */
function useDoor(session) {
  const at = useNow(1000);
  const asked = useRef(null);
  const { state, opens_at: opens, closes_at: closes } = session.join;
  const turns = state === 'too_early' ? opens : closes;
  useEffect(() => {
    if (at >= new Date(turns).getTime() && asked.current !== turns && state !== 'closed' && state !== 'cancelled') {
      asked.current = turns;
      changed();
    }
  }, [at, turns, state]);
  return at;
}

function Door({ as, session, at }) {
  const { state, opens_at: opens } = session.join;
  if (state === 'open') {
    return html`<a class="button primary" href=${room(session, as)} target="_blank" rel="noopener" aria-label=${`Join: ${session.title}`}><${Icon} name="video" /><span>Join</span></a>`;
  }
  if (state === 'waiting_for_host')
    return html`<span class="door"><${Badge} tone="info" icon="clock">Waiting for the trainer<//></span>`;
  if (state === 'no_meeting_yet')
    return html`<span class="door"><${Badge} tone="warn" icon="warn">No meeting yet<//></span>`;
  if (state === 'too_early') {
    return html`<span class="door"><button type="button" class="button primary" aria-disabled="true" disabled><${Icon} name="video" /><span>Join</span></button>
      <span class="fine" role="timer">opens in ${span(new Date(opens).getTime() - at)}</span></span>`;
  }
  return null;
}

function Class({ as, session }) {
  const at = useDoor(session);
  return html`<li class=${`class ${session.status}`}><${Leaf} of=${session} />
    <div class="class-main"><h3><${Go} as=${as} to=${`classes/${session.id}`}>${session.title}<//></h3><${When} of=${session} />
      <p class="class-facts"><${Status} of=${session.status} /><${Provider} of=${session.provider} />
        ${session.course_title ? html`<${Badge} icon="people">${session.course_title}<//>` : html`<${Badge} icon="mail">By invitation<//>`}
        ${session.record_session && html`<${Badge} icon="record">Recorded<//>`}</p></div>
    <div class="class-acts"><${Door} as=${as} session=${session} at=${at} />
      ${session.has_recording && html`<${Go} as=${as} to=${`classes/${session.id}/recordings`} class="button"><${Icon} name="play" /><span>Watch recording</span><//>`}</div></li>`;
}

const PARTS = [
  ['overview', 'Overview'],
  ['recordings', 'Recordings'],
  ['polls', 'Polls'],
];

export function Detail({ as, id, part = 'overview' }) {
  const session = useLoad(`class ${as} ${id}`, () => api(as).get(`/v1/sessions/${id}`));
  return html`${session.problem && !session.data && html`<${Heading} as=${as} back=${['classes', 'Your live classes']}>Class<//>`}<${Loaded} of=${session} height=${150}>${(of) => html`<${One} as=${as} of=${of} part=${part} />`}<//>`;
}

function One({ as, of, part }) {
  const at = useDoor(of);
  return html`<${Heading} as=${as} back=${['classes', 'Your live classes']} actions=${html`<${Door} as=${as} session=${of} at=${at} />`}>${of.title}<//>
    <p class="class-facts"><${Status} of=${of.status} /><${Provider} of=${of.provider} /><${When} of=${of} /></p>
    <${Places} label="Parts of the class" of=${PARTS} at=${part} link=${(key) => href(as, `classes/${of.id}/${key}`)} onGo=${(key) => go(as, `classes/${of.id}/${key}`)} />
    ${
      part === 'overview' &&
      html`<div class="card"><dl class="facts">
      ${of.course_title && html`<dt>Course</dt><dd>${of.course_title}</dd>`}
      <dt>About</dt><dd class="lines">${of.description || 'No description.'}</dd>
      <dt>Recorded</dt><dd>${of.record_session ? 'Yes. You can watch it here afterwards.' : 'No'}</dd></dl></div>`
    }
    ${part === 'recordings' && html`<${Recordings} as=${as} session=${of} />`}
    ${part === 'polls' && html`<${Results} as=${as} session=${of} mayExport=${false} />`}`;
}
