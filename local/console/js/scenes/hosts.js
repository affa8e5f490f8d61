// The hosts of the platform's own Zoom account, managed with a service token like the platform's back end does.
import { html, useState } from '../ui.js';
import { all, api, stack } from '../api.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { PLATFORM } from '../people.js';
import { HOST_STATES, busiestByDay, reasonText } from '../hosts.js';
import { HERE, day, hour, stackNow, stamp, wall } from '../time.js';
import { Badge, Button, Empty, Loaded, Note, ProblemNote, Share } from '../parts/basic.js';
import { Select, Switch, Text } from '../parts/form.js';
import { Dialog, Menu } from '../parts/layers.js';

const school = api(PLATFORM.key);
/** @type {(id: string) => `/v1/hosts/${string}`} */
const address = (id) => `/v1/hosts/${encodeURIComponent(id)}`;

const CREATE = [
  ['auto', 'Without an invitation, for a domain of the account'],
  ['invite', 'Zoom mails an invitation'],
  ['existing', 'Not at all: the user exists'],
  ['sso', 'The person signs in with single sign-on'],
  ['custom', 'A user without a sign-in'],
];
const LICENCES = [
  ['permanent', 'Always'],
  ['leased', 'Around classes'],
  ['none', 'Never: classes end after 40 minutes'],
];
const ZOOM = [
  ['keep', 'It stays in the account'],
  ['deactivate', 'It can no longer sign in'],
  ['disassociate', 'It leaves the account'],
];

/** Hour by hour, because a day of the local time zone has 23 to 25 hours. */
function nextMidnight(at) {
  const today = wall(at, HERE).date;
  let hours = 1;
  while (wall(at + hours * 3_600_000, HERE).date === today) hours += 1;
  const later = at + hours * 3_600_000;
  const [h, m] = wall(later, HERE).time.split(':').map(Number);
  return later - (h * 60 + m) * 60_000 - (later % 60_000);
}

function licence({ mode, held, since }) {
  const [, word] = LICENCES.find(([key]) => key === mode) || [mode, mode];
  if (held) return `Licence since ${stamp(since, HERE)}${mode === 'leased' ? ', leased' : ''}`;
  return mode === 'none' ? 'No licence' : `No licence now (${word.toLowerCase()})`;
}

export function Hosts() {
  const people = useLoad(
    'trainers',
    async () =>
      (await stack.get('/local/directory')).items.filter((item) => item.type === 'user' && item.role === 'trainer'),
    { every: 0 },
  );
  const list = useLoad('hosts', () => all(PLATFORM.key, '/v1/hosts?limit=100'), { every: 5000 });
  const [removing, setRemoving] = useState(null);
  const sweep = () =>
    click('Run meeting-sweep', () => stack.post('/local/schedules/meeting-sweep/run'), {
      done: 'The meeting sweep has run.',
    });
  const name = (id) => (people.data || []).find((person) => person.id === id)?.name || id;
  return html`<${Note} icon="video" title="The platform’s own Zoom account">
    <p>A trainer with an active host needs no Zoom login. The meeting sweep carries requests out, every five
      minutes.</p>
      <${Button} small onClick=${sweep}>Run it now<//><//>
    <${Loaded} of=${list} height=${70}>${(hosts) =>
      hosts.length
        ? html`<ul class="card people hosts" aria-label="Hosts">${hosts.map(
            (host) => html`<${Host}
          key=${host.trainer_id} of=${host} name=${name(host.trainer_id)} onRemove=${() => setRemoving(host)} />`,
          )}
            </ul>`
        : html`<${Empty} icon="people" title="No hosts yet">Request one for a trainer.<//>`}<//>
    ${people.data && html`<${Request} people=${people.data} />`}
    <${Licences} name=${name} />
    ${
      removing &&
      html`<${Removal} of=${removing} name=${name(removing.trainer_id)}
      onClose=${() => setRemoving(null)} />`
    }`;
}

function Host({ of, name, onRemove }) {
  const [tone, word] = HOST_STATES[of.state] || ['quiet', of.state];
  const accept = () =>
    click('Accept the invitation', () => stack.post(`/zoom/sim/users/${encodeURIComponent(of.email)}/accept`), {
      done: `${name} has accepted. The next looks are due within minutes.`,
    });
  const again = () =>
    click(
      'Request a host',
      () => school.put(address(of.trainer_id), { email: of.email, create: of.create, licence: of.licence.mode }),
      { done: 'Requested again.' },
    );
  return html`<li><div class="host"><p><strong>${name}</strong> <${Badge} tone=${tone}>${word}<//></p>
      <p class="fine">${of.email} · ${licence(of.licence)}
        ${of.capacity > 1 ? ` · ${of.capacity} classes at a time` : ''}</p>
      ${of.reason && html`<p>${reasonText(of.reason)} <span class="fine">Code <code>${of.reason}</code></span></p>`}
        </div>
    <div class="acts">${
      of.state === 'invited' &&
      html`<${Button} small icon="check"
      onClick=${accept}>Accept the invitation<//>`
    }
      ${(of.state === 'failed' || of.state === 'removed') && html`<${Button} small onClick=${again}>Request again<//>`}
      ${
        of.state !== 'removed' &&
        html`<${Menu} label=${`More for the host of ${name}`}
        items=${[{ icon: 'trash', text: 'Remove host…', danger: true, onClick: onRemove }]} />`
      }</div></li>`;
}

function Request({ people }) {
  /** @type {import('../api-types.js').Schemas['HostRequest'] & {trainer: string}} */
  const empty = {
    trainer: people[0].id,
    email: people[0].email,
    create: 'auto',
    licence: 'leased',
  };
  const [draft, setDraft] = useState(empty);
  const [problem, setProblem] = useState(null);
  const set = (field) => (value) =>
    setDraft((held) => ({
      ...held,
      [field]: value,
      ...(field === 'trainer' && { email: people.find((person) => person.id === value).email }),
    }));
  const errors = Object.fromEntries((problem?.errors || []).map((error) => [error.field, error.message]));
  const request = async (event) => {
    event.preventDefault();
    setProblem(null);
    const { trainer, ...body } = draft;
    try {
      await click('Request a host', () => school.put(address(trainer), body), {
        quiet: true,
        done: 'Requested. The meeting sweep carries it out.',
      });
    } catch (refused) {
      setProblem(refused);
    }
  };
  return html`<form class="card form-card" onSubmit=${request} aria-label="Request a host"><h3>Request a host</h3>
    <${ProblemNote} of=${problem} />
    <div class="row"><${Select} label="Trainer" value=${draft.trainer} onChange=${set('trainer')}
      options=${people.map((person) => [person.id, person.name])} />
      <${Text} label="Address of the Zoom user" type="email" value=${draft.email} onInput=${set('email')}
        error=${errors.email} required /></div>
    <div class="row"><${Select} label="If the account lacks the user" value=${draft.create} onChange=${set('create')}
      options=${CREATE} error=${errors.create} />
      <${Select} label="Licence" value=${draft.licence} onChange=${set('licence')} options=${LICENCES}
        error=${errors.licence} /></div>
    <footer class="form-foot"><${Button} type="submit" kind="primary">Request host<//></footer></form>`;
}

function Removal({ of, name, onClose }) {
  const [zoom, setZoom] = useState('keep');
  const [force, setForce] = useState(false);
  const [problem, setProblem] = useState(null);
  const remove = async (event) => {
    event.preventDefault();
    try {
      await click(
        'Remove a host',
        () => school.delete(`${address(of.trainer_id)}?zoom=${zoom}${force ? '&force=true' : ''}`),
        { quiet: true, done: `The host of ${name} is removed.` },
      );
      onClose();
    } catch (refused) {
      setProblem(refused);
    }
  };
  return html`<${Dialog} title=${`Remove the host of ${name}?`} onClose=${onClose}><form onSubmit=${remove}>
    <p>${name} can no longer schedule classes in the platform’s account. A licence of ours is given back.</p>
      <${ProblemNote} of=${problem} />
    <${Select} label="The Zoom user" value=${zoom} onChange=${setZoom} options=${ZOOM} />
    <${Switch} label="Remove although classes are ahead" hint="They are not cancelled." checked=${force}
      onChange=${setForce} />
    <footer><${Button} onClick=${onClose}>Keep the host<//><${Button} type="submit" kind="danger">Remove host<//>
      </footer></form><//>`;
}

const WEEK_MS = 7 * 86_400_000;

function Licences({ name }) {
  const read = useLoad('licences', () => school.get('/v1/hosts/licences'), { every: 5000 });
  return html`<section class="licences" aria-label="Licences"><h3>Licences</h3><${Loaded} of=${read} lines=${1}>${(
    of,
  ) => html`
    <div class="tiles"><div class="tile"><strong>${of.assigned}</strong>assigned</div><div class="tile"><strong>
      ${of.limit ?? '–'}</strong>${of.limit === null ? 'limit, not known' : 'limit'}</div></div>
    ${
      of.held.length > 0 &&
      html`<div class="table-wrap card" tabindex="0" role="region" aria-label="Hosts with a licence"><table><thead><tr>
        <th scope="col">Trainer</th><th scope="col">Since</th><th scope="col">Until</th></tr></thead>
      <tbody>${of.held.map(
        (each) => html`<tr key=${each.trainer_id}><th scope="row">${name(each.trainer_id)}</th><td>
        ${stamp(each.since, HERE)}</td><td>${each.until ? stamp(each.until, HERE) : 'permanent'}</td></tr>`,
      )}</tbody>
          </table></div>`
    }
    <h4>Needed in the next seven days</h4>
    <${Forecast} of=${of.forecast} limit=${of.limit} />`}<//></section>`;
}

/** The most licences that are needed at the same time, day by day. */
function Forecast({ of, limit }) {
  const days = busiestByDay(of, nextMidnight, stackNow() + WEEK_MS);
  const full = Math.max(limit ?? 0, ...days.map((each) => each.needed), 1);
  return html`<div class="table-wrap card" tabindex="0" role="region"
    aria-label="Licences needed in the next seven days"><table><thead><tr><th scope="col">Day</th><th
      scope="col">Busiest from</th><th scope="col" class="num">Needed</th><th scope="col"><span
        class="hidden">Share of the limit</span></th></tr></thead>
    <tbody>${days.map(
      (each) => html`<tr key=${each.from}><th scope="row">${day(each.from, HERE)}</th><td>
        ${each.needed ? hour(each.at, HERE) : '–'}</td><td class="num">${each.needed}</td>
      <td><${Share} percent=${(each.needed / full) * 100}
        label=${limit === null ? `${each.needed} needed` : `${each.needed} of ${limit}`} />
          ${
            limit !== null &&
            each.needed > limit &&
            html` <${Badge} tone="bad" icon="warn">
            ${each.needed - limit} short<//>`
          }</td></tr>`,
    )}</tbody></table></div>`;
}
