// The dead-letter queue and redriving its messages.
import { html } from '../ui.js';
import { stack } from '../api.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { ask } from '../notes.js';
import { stamp, HERE } from '../time.js';
import { Button, Empty, Loaded } from '../parts/basic.js';

function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

export function DeadLetters() {
  const list = useLoad('dead letters', () => stack.get('/local/dead-letters'));
  const redrive = async (queue, count) => {
    const sure = await ask({
      title: 'Redrive the messages?',
      text: `${count === 1 ? 'One message goes' : `${count} messages go`} back to the queue and start over. Fix the cause first.`,
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
    items.map(
      (of) => html`<section class="card dead" key=${of.queue} aria-label=${of.queue}><header><div><h3>${of.queue}</h3><p
        class="fine">failed messages of ${of.sources.join(' and ')}</p></div>
    ${
      of.messages.length > 0 &&
      html`<${Button}
      onClick=${() => redrive(of.queue, of.messages.length)}>Redrive ${of.messages.length}<//>`
    }</header>
    ${
      of.messages.length
        ? html`<ul>${of.messages.map(
            (message) => html`<li key=${message.id}><details><summary><code>
          ${message.id.slice(0, 8)}</code> <span
            class="fine">since ${stamp(message.sent_at, HERE)}, received ${message.received} times</span></summary><pre
              tabindex="0" aria-label="The message">${pretty(message.body)}</pre></details></li>`,
          )}</ul>`
        : html`<${Empty} icon="check" title="No dead letters" />`
    }</section>`,
    )}<//>`;
}
