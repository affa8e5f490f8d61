// The clock of the stack and its schedules.
import { html, useState } from '../ui.js';
import { all, stack } from '../api.js';
import { click } from '../cost.js';
import { say } from '../notes.js';
import { HERE, hour, longDay, now, setClock, span, useNow } from '../time.js';
import { Button } from '../parts/basic.js';

const SWEEPS = [
  ['reminder-sweep', 'Reminders and repairs', 'every 5 minutes'],
  ['meeting-sweep', 'Hosts and licences of the platform’s account', 'every 5 minutes'],
  ['reconcile-sweep', 'Recordings and attendance from Zoom', 'every 15 minutes'],
  ['outbox-sweep', 'Outbox: mail and notifications', 'every minute'],
];
/** The time before a class to jump to: inside the trainer's join window. */
const EARLY_MS = 10 * 60_000;

async function move(label, to) {
  await click(label, async () => {
    const { now: at } = await stack.post('/local/clock', to);
    setClock(at);
    say(`It is ${longDay(at, HERE)}, ${hour(at, HERE)}.`);
  });
}

async function nextClass() {
  const at = now();
  const classes = await all(
    'tara',
    `/v1/sessions?limit=100&status=scheduled&from=${new Date(at + EARLY_MS).toISOString()}`,
  );
  if (!classes.length) {
    say('No upcoming class.');
    return;
  }
  await move('To the next class', { now: new Date(new Date(classes[0].starts_at).getTime() - EARLY_MS).toISOString() });
}

export function Clock() {
  const at = useNow(1000);
  const [results, setResults] = useState({});
  const run = (name) =>
    click(`Run ${name}`, async () => {
      const result = await stack.post(`/local/schedules/${name}/run`);
      setResults((held) => ({ ...held, [name]: result }));
      say(`${name} has run.`);
    });
  return html`<div class="clock"><p class="clock-face"><time>${hour(at, HERE)}</time><span>${longDay(at, HERE)}<br />
    <span class="fine">${HERE}
      ${Math.abs(at - Date.now()) > 2000 ? `, ${span(Math.abs(at - Date.now()))} ${at > Date.now() ? 'ahead of' : 'behind'} this machine` : ', as on this machine'}</span></span></p>
    <div class="acts"><${Button} onClick=${() => move('Advance 10 minutes', { advance: '10m' })}>+ 10 min<//><${Button}
      onClick=${() => move('Advance one hour', { advance: '1h' })}>+ 1 h<//>
      <${Button} onClick=${() => move('Advance one day', { advance: '24h' })}>+ 24 h<//><${Button} kind="primary"
        onClick=${nextClass}>To the next class<//></div>
    <p class="hint">Due schedules run at once. “To the next class” stops ten minutes before it, inside the join window.</p>
    <h3>Sweeps</h3><ul class="sweeps">${SWEEPS.map(
      ([
        name,
        word,
        how,
      ]) => html`<li key=${name}><div><strong>${word}</strong><span class="fine"><code>${name}</code>, ${how}</span>
      ${results[name] !== undefined && html`<pre>${JSON.stringify(results[name], null, 1)}</pre>`}</div><${Button} small
        onClick=${() => run(name)} label=${undefined}>Run now<//></li>`,
    )}</ul></div>`;
}
