// Scenarios: states of the whole system that take many clicks to reach, each with an address of its own.
import { html, useState } from '../ui.js';
import { click } from '../cost.js';
import { PEOPLE } from '../people.js';
import { counted } from '../plural.js';
import { Badge, Button } from '../parts/basic.js';
import { Go } from '../parts/person.js';
import { advance, connectZoom, deleteMeeting, enrol, join, meetingAct, schedule } from './steps.js';

async function soon(tell) {
  tell('Connecting Zoom');
  await connectZoom();
  tell('Scheduling');
  return schedule('Starting soon');
}

async function live(tell, count, title = `Live with ${counted(count, 'student')}`) {
  tell('Connecting Zoom');
  await connectZoom();
  tell(`Enrolling ${counted(count, 'student')}`);
  const students = await enrol(count);
  const session = await schedule(title);
  await meetingAct(session, 'start');
  await join(session, students, (n) => tell(`${n} of ${counted(count, 'student')} joined`));
  return session;
}

async function ended(tell) {
  const session = await live(tell, 5, 'Ended, with a recording');
  tell('Ending the class');
  await advance(50);
  await meetingAct(session, 'end');
  await meetingAct(session, 'recording');
  return session;
}

async function deleted(tell) {
  const session = await soon(tell);
  tell('Deleting the meeting at Zoom');
  await deleteMeeting(session);
  return session;
}

const SCENARIOS = [
  ['soon', 'Starting soon', 'A class of the course that begins within ten minutes', soon],
  ['live', 'Live with 30 students', 'They join through the API, as Zoom’s client does', (tell) => live(tell, 30)],
  ['ended', 'Ended, with a recording', 'Five students were there for 50 minutes. The clock moves on.', ended],
  ['deleted', 'Deleted at Zoom', 'A class whose meeting somebody deleted at Zoom', deleted],
];

export function Scenarios({ id }) {
  return html`<p class="fine">A scenario adds to what is there. To begin anew, send <code>POST /local/reset</code>.</p>
    <ul class="card people hosts" aria-label="Scenarios">${SCENARIOS.map(
      ([
        key,
        title,
        about,
        play,
      ]) => html`<${Scenario} key=${key} place=${key} title=${title} about=${about} play=${play}
        chosen=${id === key} />`,
    )}</ul>`;
}

function Scenario({ place, title, about, play, chosen }) {
  const [step, setStep] = useState('');
  const [session, setSession] = useState(null);
  const run = async () => {
    const made = await click(title, () => play(setStep), { done: `“${title}” is ready.` });
    setStep('');
    setSession(made || null);
  };
  return html`<li class=${chosen ? 'chosen' : ''}><div class="host">
      <p><${Go} as="scenes" to=${`scenarios/${place}`}><strong>${title}</strong><//></p>
      <p class="fine">${about}</p>
      <p class="fine" role="status">${step}</p>
      ${
        session &&
        html`<p><${Badge} tone="good" icon="check">Ready<//>${' '}
          <${Go} as=${PEOPLE.tara.key} to=${`classes/${session.id}`}>Open “${session.title}” as Tara<//></p>`
      }</div>
    <${Button} kind=${chosen ? 'primary' : 'plain'} icon="play" small aria-label=${`Play: ${title}`}
      onClick=${run}>Play<//></li>`;
}
