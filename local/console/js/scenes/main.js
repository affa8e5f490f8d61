// The tools of the local stack.
import { html } from '../ui.js';
import { go, href } from '../route.js';
import { Places } from '../parts/layers.js';
import { Heading, NotFound } from '../parts/person.js';
import { Data } from './data.js';
import { Events } from './events.js';
import { Mail } from './mail.js';
import { Clock } from './clock.js';
import { Meetings } from './meetings.js';
import { Faults } from './faults.js';
import { DeadLetters } from './dead-letters.js';
import { Meter } from './meter.js';
import { Directory } from './directory.js';
import { Scenarios } from './scenarios.js';
import { Hosts } from './hosts.js';

const PARTS = [
  ['mail', 'Mail'],
  ['clock', 'Clock and sweeps'],
  ['meetings', 'In the meeting'],
  ['events', 'Events'],
  ['scenarios', 'Scenarios'],
  ['faults', 'Faults'],
  ['data', 'Tables and queues'],
  ['dead', 'Dead letters'],
  ['usage', 'Usage'],
  ['directory', 'School'],
  ['hosts', 'Hosts'],
];

const ClockPage = () => html`<div class="card form-card"><${Clock} /></div>`;
const VIEWS = {
  mail: Mail,
  clock: ClockPage,
  meetings: Meetings,
  events: Events,
  scenarios: Scenarios,
  faults: Faults,
  data: Data,
  dead: DeadLetters,
  usage: Meter,
  directory: Directory,
  hosts: Hosts,
};
/** The parts that have pages of their own, such as one mail. */
const WITH_ID = ['mail', 'meetings', 'scenarios'];

export function Scenes({ place }) {
  const [part, id, ...more] = place.split('/');
  const [, title] = PARTS.find(([key]) => key === part) || [];
  const exists = title && more.length === 0 && (id === undefined || WITH_ID.includes(part));
  const body = exists
    ? html`<${Heading} as="scenes" part=${title}>Behind the scenes<//>
      <${Places} label="Behind the scenes" of=${PARTS} at=${part}
        link=${(key) => href('scenes', key)} onGo=${(key) => go('scenes', key)} />
      <${VIEWS[part]} id=${id} />`
    : html`<${NotFound} as="scenes" />`;
  return html`<section class="pane scenes" aria-label="Behind the scenes"><div class="pane-body">${body}</div>
    </section>`;
}
