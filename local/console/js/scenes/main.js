// The tools of the local stack.
import { html } from '../ui.js';
import { go, href } from '../route.js';
import { Places } from '../parts/layers.js';
import { Heading } from '../parts/person.js';
import { Mail } from './mail.js';
import { Clock } from './clock.js';
import { Meetings } from './meetings.js';
import { Faults } from './faults.js';
import { DeadLetters } from './dead-letters.js';
import { Meter } from './meter.js';
import { Directory } from './directory.js';
import { Hosts } from './hosts.js';

const PARTS = [
  ['mail', 'Mail'],
  ['clock', 'Clock and sweeps'],
  ['meetings', 'In the meeting'],
  ['faults', 'Faults'],
  ['dead', 'Dead letters'],
  ['usage', 'Usage'],
  ['directory', 'School'],
  ['hosts', 'Hosts'],
];

export function Scenes({ place }) {
  const [part, id] = place.split('/');
  return html`<section class="pane scenes" aria-label="Behind the scenes"><div class="pane-body">
    <${Heading} key=${part}>Behind the scenes<//>
    <${Places} label="Behind the scenes" of=${PARTS} at=${part} link=${(key) => href('scenes', key)} onGo=${(key) => go('scenes', key)} />
    ${part === 'mail' && html`<${Mail} id=${id} />`}
    ${part === 'clock' && html`<div class="card form-card"><${Clock} /></div>`}
    ${part === 'meetings' && html`<${Meetings} id=${id} />`}
    ${part === 'faults' && html`<${Faults} />`}
    ${part === 'dead' && html`<${DeadLetters} />`}
    ${part === 'usage' && html`<${Meter} />`}
    ${part === 'directory' && html`<${Directory} />`}
    ${part === 'hosts' && html`<${Hosts} />`}</div></section>`;
}
