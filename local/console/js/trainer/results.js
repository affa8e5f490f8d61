// The results of a class's polls. Polls are launched in the room.
import { html } from '../ui.js';
import { api, csv } from '../api.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { Badge, Button, Empty, Loaded, saveCsv } from '../parts/basic.js';
import { Tally } from '../parts/tally.js';

export function Results({ as, session, mayExport = true }) {
  const list = useLoad(`polls ${as} ${session.id}`, () => api(as).get(`/v1/sessions/${session.id}/polls`));
  const download = () =>
    click('Download polls', async () => {
      saveCsv('polls.csv', await csv(as, `/v1/sessions/${session.id}/polls`));
    });
  return html`<${Loaded} of=${list} lines=${2} height=${130}>${({ items }) =>
    items.length
      ? html`
    ${mayExport && html`<p class="end"><${Button} icon="download" small onClick=${download}>CSV<//></p>`}
    ${items.map(
      (poll) => html`<article class="card poll" key=${poll.id}><h3>${poll.question}</h3>
      <p class="class-facts"><${Badge} tone=${poll.state === 'open' ? 'live' : 'quiet'}>${poll.state === 'open' ? 'Open' : 'Closed'}<//>
        <span class="fine">${poll.responses === 1 ? '1 answer' : `${poll.responses} answers`}${poll.response_rate != null ? `, ${poll.response_rate} % of ${poll.present} present` : ''}${poll.multiple ? ', several each' : ''}${poll.anonymous ? ', anonymous' : ''}</span></p>
      <${Tally} of=${poll} /></article>`,
    )}`
      : html`<${Empty} icon="poll" title="No polls in this class">The trainer launches polls in the room while the class is live.<//>`}<//>`;
}
