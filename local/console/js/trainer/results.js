// The results of a class's polls. Polls are launched in the room.
import { html } from '../ui.js';
import { api, csv } from '../api.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { counted } from '../plural.js';
import { Badge, Button, Empty, Loaded, saveCsv } from '../parts/basic.js';
import { Tally } from '../parts/tally.js';

function facts(poll) {
  const present = `${counted(poll.present, 'person', 'people')} present`;
  const rate = poll.response_rate == null ? '' : ` (${poll.response_rate} % of ${present})`;
  return [
    `${counted(poll.responses, 'answer')}${rate}`,
    poll.multiple && 'several options each',
    poll.anonymous && 'anonymous',
  ]
    .filter(Boolean)
    .join(', ');
}

function Poll({ of }) {
  const isOpen = of.state === 'open';
  return html`<article class="card poll"><h4 dir="auto">${of.question}</h4>
    <p class="class-facts"><${Badge} tone=${isOpen ? 'live' : 'quiet'}>${isOpen ? 'Open' : 'Closed'}<//>
      <span class="fine">${facts(of)}</span></p>
    <${Tally} of=${of} /></article>`;
}

export function Results({ as, session, mayExport = true }) {
  /** @type {`/v1/sessions/${string}/polls`} */
  const path = `/v1/sessions/${session.id}/polls`;
  const list = useLoad(`polls ${as} ${session.id}`, () => api(as).get(path));
  const download = () =>
    click('Download polls', async () => {
      saveCsv('polls.csv', await csv(as, path));
    });
  return html`<${Loaded} of=${list} lines=${2} height=${130}>${({ items }) =>
    items.length
      ? html`${
          mayExport && html`<p class="end"><${Button} icon="download" small onClick=${download}>Polls as CSV<//></p>`
        }${items.map((poll) => html`<${Poll} key=${poll.id} of=${poll} />`)}`
      : html`<${Empty} icon="poll" title="No polls in this class">
        The trainer launches polls in the room while the class is live.<//>`}<//>`;
}
