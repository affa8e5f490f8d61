// The dead-letter queue and redriving its messages.
import { html } from '../ui.js';
import { stack } from '../api.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { ask } from '../notes.js';
import { stamp, HERE } from '../time.js';
import { counted } from '../plural.js';
import { Badge, Button, Empty, Loaded } from '../parts/basic.js';
import { pretty } from './pretty.js';

/**
 * Returns `{kind, to, error}` of a message. Mails name people by their user id, and invited addresses by a pseudonym,
 * so that erasing a person needs no look at queues.
 */
function facts(body) {
  let message = {};
  try {
    message = JSON.parse(body) ?? {};
  } catch {
    return { kind: 'unreadable', to: null, error: 'The message is not JSON.' };
  }
  const { type, kind, user, recipient, error } = message;
  return {
    kind: kind || type || 'unreadable',
    to: user || (recipient && `an invited address (${recipient.slice(0, 8)})`),
    error: error || (type ? 'The message was received too often.' : 'No function can read the message.'),
  };
}

function Message({ of }) {
  const { kind, to, error } = facts(of.body);
  return html`<li class="dead-letter"><p><${Badge} tone="bad">${kind.replaceAll('_', ' ')}<//>
      ${to && html`${' '}to <bdi>${to}</bdi>`}</p>
    <p>${error}</p>
    <p class="fine">since ${stamp(of.sent_at, HERE)}, received ${counted(of.received, 'time')}</p>
    <details><summary class="fine">Details</summary>
      <pre tabindex="0" aria-label="The message">${pretty(of.body)}</pre></details></li>`;
}

function Queue({ of, onRedrive }) {
  const count = of.messages.length;
  return html`<section class="card dead" aria-label=${of.queue}>
    <header><div><h3>${of.queue}</h3><p class="fine">failed messages of ${of.sources.join(' and ')}</p></div>
      ${count > 0 && html`<${Button} onClick=${() => onRedrive(of.queue, count)}>Redrive ${count}<//>`}</header>
    ${
      count
        ? html`<ul>${of.messages.map((message) => html`<${Message} key=${message.id} of=${message} />`)}</ul>`
        : html`<${Empty} icon="check" title="No dead letters" />`
    }</section>`;
}

export function DeadLetters() {
  const list = useLoad('dead letters', () => stack.get('/local/dead-letters'));
  const redrive = async (queue, count) => {
    const sure = await ask({
      title: 'Redrive the messages?',
      text: `${counted(count, 'message')} will return to the queue and start over. Fix the cause first.`,
      yes: 'Redrive',
      no: 'Not yet',
      danger: false,
    });
    if (sure)
      await click('Redrive dead letters', () => stack.post('/local/dead-letters/redrive', { queue }), {
        done: ({ moved }) => `${moved} redriven.`,
      });
  };
  return html`<${Loaded} of=${list}>${({ items }) =>
    items.map((of) => html`<${Queue} key=${of.queue} of=${of} onRedrive=${redrive} />`)}<//>`;
}
