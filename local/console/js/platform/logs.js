// Session logs: who clicked start or join on a day, and every event of Zoom about a meeting.
import { html, useState } from '../ui.js';
import { all } from '../api.js';
import { useLoad } from '../load.js';
import { OPERATIONS } from '../people.js';
import { HERE, now, stamp } from '../time.js';
import { Badge, Button, Empty, Loaded, Note } from '../parts/basic.js';
import { Switch, Text } from '../parts/form.js';

const MOST = 200;

export function Logs() {
  return html`<${Note} icon="search" title="For support"><p>These pages need the role <code>admin</code>.${' '}
      Erased people are absent.</p><//>
    <${Clicks} /><${Events} />`;
}

function Clicks() {
  const [date, setDate] = useState(() => new Date(now()).toISOString().slice(0, 10));
  const list = useLoad(`clicks ${date}`, () => all(OPERATIONS.key, `/v1/logs/sessions?date=${date}&limit=100`, MOST));
  return html`<section aria-label="Clicks"><h3>Clicks on start and join</h3>
    <div class="row"><${Text} label="Day, in UTC" type="date" value=${date} onInput=${setDate} required /></div>
    <${Loaded} of=${list} height=${50}>${(clicks) =>
      clicks.length
        ? html`<div class="table-wrap card" tabindex="0" role="region" aria-label="Clicks on start and join"><table>
      <thead><tr><th scope="col">At</th><th scope="col">Person</th><th scope="col">Click</th>
        <th scope="col">Outcome</th><th scope="col">Class</th></tr></thead>
      <tbody>${clicks.map((each, n) => html`<${Click} key=${n} of=${each} />`)}</tbody></table></div>`
        : html`<${Empty} icon="search" title="No clicks on this day">Open a class as Tara or Sam.<//>`}<//></section>`;
}

function Click({ of }) {
  return html`<tr><th scope="row">${stamp(of.at, HERE)}</th><td>${of.user_id || of.email || '–'}</td>
    <td>${of.action}</td>
    <td><${Badge} tone=${of.outcome === 'admitted' ? 'good' : 'warn'}>${of.outcome.replaceAll('_', ' ')}<//></td>
    <td>${of.title}</td></tr>`;
}

function Events() {
  const [draft, setDraft] = useState({ number: '', event: '', raw: false });
  const [wanted, setWanted] = useState(null);
  const set = (field) => (value) => setDraft((held) => ({ ...held, [field]: value }));
  const look = (event) => {
    event.preventDefault();
    setWanted(draft);
  };
  return html`<section aria-label="Events"><h3>Events of Zoom</h3>
    <form class="card form-card" onSubmit=${look} aria-label="Find events">
      <div class="row"><${Text} label="Meeting number" inputmode="numeric" value=${draft.number}
        onInput=${set('number')} required />
      <${Text} label="Event" optional value=${draft.event}
        onInput=${set('event')} placeholder="meeting.started" /></div>
      <${Switch} label="With the stored payload" checked=${draft.raw} onChange=${set('raw')} />
      <footer class="form-foot"><${Button} type="submit" kind="primary">Find<//></footer></form>
    ${wanted && html`<${Found} key=${JSON.stringify(wanted)} of=${wanted} />`}</section>`;
}

function Found({ of }) {
  const query = new URLSearchParams({
    limit: '100',
    ...(of.event && { event: of.event }),
    ...(of.raw && { raw: 'true' }),
  });
  const number = encodeURIComponent(of.number.replaceAll(/\s/g, ''));
  const list = useLoad(`events ${number} ${query}`, () =>
    all(OPERATIONS.key, `/v1/logs/meetings/${number}?${query}`, MOST),
  );
  return html`<${Loaded} of=${list} height=${50}>${(events) =>
    events.length
      ? html`<ul class="card people" aria-label="Events">${events.map(
          (
            each,
            n,
          ) => html`<li key=${n}><strong>${each.event}</strong> <span class="fine">${stamp(each.at, HERE)}</span>
      ${each.raw && html`<pre tabindex="0">${JSON.stringify(each.raw, null, 2)}</pre>`}</li>`,
        )}</ul>`
      : html`<${Empty} icon="search" title="No such event">Events are kept for some months.<//>`}<//>`;
}
