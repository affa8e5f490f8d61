// Runs: the reports of sweeps that made meetings, and runs that are wanted now.
import { html, useState } from '../ui.js';
import { all, stack } from '../api.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { PLATFORM } from '../people.js';
import { HERE, stamp } from '../time.js';
import { Badge, Button, Empty, Loaded, Note } from '../parts/basic.js';
import { Text } from '../parts/form.js';
import { backEnd } from './school.js';

const STATES = {
  queued: ['info', 'Queued'],
  running: ['info', 'Running'],
  finished: ['good', 'Finished'],
};

/** The counts of a report, each a column. */
const COUNTS = ['checked', 'created', 'updated', 'skipped', 'failed'];

const capital = (word) => word[0].toUpperCase() + word.slice(1);

export function Runs() {
  const [days, setDays] = useState('14');
  const list = useLoad('runs', () => all(PLATFORM.key, '/v1/runs?kind=meetings&limit=50', 50), { every: 4000 });
  const want = (event) => {
    event.preventDefault();
    return click('Request a run', () => backEnd.post('/v1/runs', { kind: 'meetings', days_ahead: Number(days) }), {
      done: 'Requested. The meeting sweep carries it out.',
    });
  };
  const sweep = () =>
    click('Run meeting-sweep', () => stack.post('/local/schedules/meeting-sweep/run'), {
      done: 'The meeting sweep has run.',
    });
  return html`<${Note} icon="clock" title="The meeting sweep runs every five minutes">
      <p>It makes the meetings that are due.${' '}
      A run makes those of the next days at once.</p>
      <${Button} small onClick=${sweep}>Run it now<//><//>
    <form class="card form-card" onSubmit=${want} aria-label="Request a run"><div class="row end-row">
      <${Text} label="Days ahead" type="number" min="1" max="730" value=${days} onInput=${setDays} required />
      <${Button} type="submit" kind="primary">Request a run<//></div></form>
    <${Loaded} of=${list} height=${60}>${(runs) =>
      runs.length
        ? html`<div class="table-wrap card" tabindex="0" role="region" aria-label="Runs"><table>
      <thead><tr><th scope="col">Requested</th><th scope="col">State</th>
        ${COUNTS.map((field) => html`<th scope="col" class="num" key=${field}>${capital(field)}</th>`)}</tr></thead>
      <tbody>${runs.map((run) => html`<${Run} key=${run.id} of=${run} />`)}</tbody></table></div>`
        : html`<${Empty} icon="clock" title="No runs yet">A run that had nothing to do leaves no report.<//>`}<//>`;
}

function Run({ of }) {
  const [tone, word] = STATES[of.state] || ['quiet', of.state];
  return html`<tr><th scope="row">${stamp(of.requested_at, HERE)}</th><td><${Badge} tone=${tone}>${word}<//></td>
    ${COUNTS.map((field) => html`<td class="num" key=${field}>${of[field]}</td>`)}</tr>`;
}
