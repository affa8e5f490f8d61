// Zoom's events: those that were sent, to send one again, and any other one.
import { html, useState } from '../ui.js';
import { stack } from '../api.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { say, tell } from '../notes.js';
import { counted } from '../plural.js';
import { stackNow, stamp, HERE } from '../time.js';
import { Badge, Button, Empty, Loaded } from '../parts/basic.js';
import { Select, Text } from '../parts/form.js';
import { Search, matches } from '../parts/search.js';

const STATES = {
  delivered: ['good', 'Delivered'],
  waiting: ['info', 'Waiting'],
  refused: ['bad', 'Refused'],
  gave_up: ['bad', 'Given up'],
  lost: ['warn', 'Lost'],
};
/** Events shown at most. */
const SHOWN = 100;

/** Sends a body to the webhook as its function URL does. The stack signs it. */
async function deliver(body) {
  const { statusCode: status } = await stack.post('/local/events?function=webhook', {
    version: '2.0',
    routeKey: '$default',
    rawPath: '/',
    rawQueryString: '',
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'x-zm-request-timestamp': '0',
      'x-zm-signature': `v0=${'0'.repeat(64)}`,
    },
    requestContext: {
      accountId: 'anonymous',
      apiId: 'local',
      domainName: 'localhost',
      http: { method: 'POST', path: '/', protocol: 'HTTP/1.1', sourceIp: '192.0.2.1', userAgent: 'Zoom' },
      requestId: crypto.randomUUID(),
      routeKey: '$default',
      stage: '$default',
    },
    body: JSON.stringify(body),
    isBase64Encoded: false,
  });
  say(`The webhook answered ${status}.`);
}

export function Events() {
  const [search, setSearch] = useState('');
  const list = useLoad('webhooks', () => stack.get('/zoom/sim/webhooks'), { every: 4000 });
  return html`<${Loaded} of=${list} height=${60}>${({ items, events }) => {
    const found = items.toReversed().filter((of) => matches(JSON.stringify(of), search));
    return html`<${Trigger} events=${events} />
      <h3>Events that Zoom has sent</h3>
      <${Search} label="Search events" value=${search} onInput=${setSearch} />
      <p class="fine" role="status">${search && `${counted(found.length, 'event')} found`}</p>
      ${
        found.length
          ? html`<ul class="card people hosts" aria-label="Events">
            ${found.slice(0, SHOWN).map((of) => html`<${Sent} key=${of.id} of=${of} />`)}</ul>`
          : html`<${Empty} icon="send" title="No events">Start a meeting, or trigger an event.<//>`
      }`;
  }}<//>`;
}

function Sent({ of }) {
  const [tone, word] = STATES[of.state] || ['quiet', of.state.replaceAll('_', ' ')];
  const topic = of.body?.payload?.object?.topic;
  const again = () => click('Send an event again', () => deliver(of.body));
  return html`<li><div class="host"><p><strong>${of.event}</strong>${' '}<${Badge} tone=${tone}>${word}<//></p>
      <p class="fine">${topic && html`<bdi>${topic}</bdi>, `}${stamp(of.body.event_ts, HERE)}${', '}
        ${counted(of.attempts.length, 'attempt')}</p>
      <details><summary class="fine">Details</summary>
        <pre tabindex="0" aria-label="The event">${JSON.stringify(of.body, null, 2)}</pre></details></div>
    <${Button} small aria-label=${`Send again: ${of.event}`} onClick=${again}>Send again<//></li>`;
}

/** Returns an event about a meeting, to be edited. */
function draft(event, meeting, at) {
  const time = new Date(at).toISOString().replace(/\.\d+/, '');
  const object = meeting
    ? {
        id: String(meeting.id),
        uuid: meeting.uuid,
        host_id: meeting.host_id,
        topic: meeting.topic,
        type: 2,
        start_time: meeting.start_time,
        duration: meeting.duration,
        timezone: meeting.timezone,
      }
    : {};
  if (event.includes('participant'))
    object.participant = {
      user_id: '16778240',
      user_name: 'Ada Lovelace',
      participant_uuid: crypto.randomUUID(),
      email: '',
      [event.includes('left') ? 'leave_time' : 'join_time']: time,
    };
  else if (event === 'meeting.ended') object.end_time = time;
  return { event, event_ts: at, payload: { account_id: meeting?.account_id || 'local-app-account', object } };
}

function Trigger({ events }) {
  const meetings = useLoad('meetings to trigger', async () => (await stack.get('/zoom/sim/meetings')).items);
  const [event, setEvent] = useState('meeting.started');
  const [meeting, setMeeting] = useState('');
  const [text, setText] = useState(null);
  const all = meetings.data || [];
  const chosen = all.find((of) => String(of.id) === meeting) || all.at(-1);
  const body = text ?? JSON.stringify(draft(event, chosen, Math.round(stackNow())), null, 2);
  const pick = (set) => (value) => {
    set(value);
    setText(null);
  };
  const send = (submitted) => {
    submitted.preventDefault();
    let parsed;
    try {
      parsed = JSON.parse(body);
    } catch (error) {
      tell({ title: 'The event is not JSON', message: error.message });
      return undefined;
    }
    return click('Trigger an event', () => deliver(parsed));
  };
  return html`<form class="card form-card" onSubmit=${send} aria-label="Trigger an event"><h3>Trigger an event</h3>
    <div class="row"><${Select} label="Event" value=${event} onChange=${pick(setEvent)}
        options=${events.map((name) => [name, name])} />
      <${Select} label="Meeting" value=${chosen ? String(chosen.id) : ''} onChange=${pick(setMeeting)}
        options=${all.length ? all.map((of) => [String(of.id), of.topic]) : [['', 'None yet']]} /></div>
    <details class="more"><summary>Body</summary>
      <${Text} label="Body" lines=${14} value=${body} onInput=${setText} spellcheck="false" /></details>
    <footer class="form-foot"><${Button} type="submit" kind="primary">Send<//></footer></form>`;
}
