// The clock of the stack and its schedules.
import { html, useState } from '../ui.js';
import { all, stack } from '../api.js';
import { click } from '../cost.js';
import { say } from '../notes.js';
import { HERE, hour, longDay, span, stackClockMoved, stackNow, useStackNow, wall } from '../time.js';
import { Button } from '../parts/basic.js';
import { Text } from '../parts/form.js';

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
    stackClockMoved(at);
    say(`It is ${longDay(at, HERE)}, ${hour(at, HERE)}.`);
  });
}

async function nextClass() {
  const at = stackNow();
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

/** How far the stack's clock is from this machine's, in words. */
function difference(at) {
  const ahead = at - Date.now();
  if (Math.abs(ahead) <= 2000) return 'as on this machine';
  return `${span(Math.abs(ahead))} ${ahead > 0 ? 'ahead of' : 'behind'} this machine`;
}

/** Sets the clock to a date and time of this machine's time zone. */
function SetClock() {
  const [when, setWhen] = useState(() => {
    const { date, time } = wall(stackNow(), HERE);
    return `${date}T${time}`;
  });
  const set = (event) => {
    event.preventDefault();
    return move('Set the clock', { now: new Date(when).toISOString() });
  };
  return html`<form class="row end-row" onSubmit=${set} aria-label="Set the clock">
    <${Text} label="Date and time" type="datetime-local" value=${when} onInput=${setWhen} required />
    <${Button} type="submit">Set<//></form>`;
}

function Sweep({ name, word, how }) {
  const [result, setResult] = useState();
  const run = () =>
    click(`Run ${name}`, async () => {
      setResult(await stack.post(`/local/schedules/${name}/run`));
      say(`${name} has run.`);
    });
  return html`<li><div><strong>${word}</strong><span class="fine"><code>${name}</code>, ${how}</span>
      ${result !== undefined && html`<pre>${JSON.stringify(result, null, 1)}</pre>`}</div>
    <${Button} small onClick=${run}>Run now<//></li>`;
}

export function Clock() {
  const at = useStackNow(1000);
  const advance = (label, by) =>
    html`<${Button} onClick=${() => move(`Advance ${label}`, { advance: by })}>+ ${label}<//>`;
  return html`<div class="clock">
    <p class="clock-face"><time>${hour(at, HERE)}</time>
      <span>${longDay(at, HERE)}<br /><span class="fine">${HERE}, ${difference(at)}</span></span></p>
    <div class="acts">${advance('10 min', '10m')}${advance('1 h', '1h')}${advance('24 h', '24h')}
      <${Button} kind="primary" onClick=${nextClass}>To the next class<//></div>
    <p class="hint">Due schedules run at once. “To the next class” stops ten minutes before it, inside the join
      window.</p>
    <${SetClock} />
    <h3>Sweeps</h3><ul class="sweeps">${SWEEPS.map(
      ([name, word, how]) => html`<${Sweep} key=${name} name=${name} word=${word} how=${how} />`,
    )}</ul></div>`;
}
