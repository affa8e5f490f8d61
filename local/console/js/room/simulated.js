// The simulated room. It joins the simulated Zoom's meeting, so that events and attendance follow as in production.
import { html, useEffect, useRef, useState } from '../ui.js';
import { Problem, call, stack } from '../api.js';
import { ask } from '../notes.js';
import { hour, HERE } from '../time.js';
import { Avatar, Badge, Button } from '../parts/basic.js';

const LOOK_EVERY_MS = 2_000;
/** The stack's made-up key. Zoom's client opens only with a key of Zoom's. */
const MADE_UP_SDK_KEY = 'local-sdk-key';

export const isSimulated = (pass) => pass.sdk_key === MADE_UP_SDK_KEY;

/** Whether Zoom's client may be needed, before there is a response of `join`. */
export async function hasRealKey() {
  const { secrets } = await stack.get('/local/config');
  return secrets.zoom_sdk_key !== MADE_UP_SDK_KEY;
}

const sim = async (number, what, body) =>
  (await call({ method: 'POST', path: `/zoom/sim/meetings/${number}/${what}`, body, background: true })).data;
const look = async (number) => (await call({ path: `/zoom/sim/meetings/${number}`, background: true })).data;

/** Joins like the Meeting SDK would with this payload. Returns the id of the participation. */
export async function enter(pass, email) {
  const who = { name: pass.user_name, customer_key: pass.customer_key };
  const meeting = await look(pass.meeting_number);
  if (pass.role === 1 && meeting.status !== 'started') {
    const started = await sim(pass.meeting_number, 'start', who);
    return started.participants.find((each) => each.host && !each.leave_time).participant_uuid;
  }
  if (pass.role === 0 && meeting.status !== 'started' && !meeting.settings?.join_before_host)
    throw new Problem({ title: '', detail: '', code: 'waiting_for_host', waits: true });
  const joined = await sim(pass.meeting_number, 'join', {
    ...who,
    email: pass.role === 1 ? meeting.host_email : email,
  });
  return joined.participant_uuid;
}

export function SimulatedRoom({ pass, me, word, onLeft }) {
  const [people, setPeople] = useState([]);
  const gone = useRef(false);
  const number = pass.meeting_number;
  const out = (ended) => {
    if (gone.current) return;
    gone.current = true;
    onLeft(ended);
  };
  useEffect(() => {
    const see = async () => {
      const meeting = await look(number).catch(() => null);
      if (!meeting || gone.current) return;
      setPeople(meeting.participants.filter((who) => !who.leave_time));
      const mine = meeting.participants.find((who) => who.participant_uuid === me);
      if (meeting.status !== 'started') out(true);
      else if (!mine || mine.leave_time) out(false);
    };
    see();
    const timer = setInterval(see, LOOK_EVERY_MS);
    // Closing the window leaves the meeting.
    const closing = () => {
      if (!gone.current)
        navigator.sendBeacon(`/zoom/sim/meetings/${number}/leave`, JSON.stringify({ participant_uuid: me }));
    };
    addEventListener('pagehide', closing);
    return () => {
      clearInterval(timer);
      removeEventListener('pagehide', closing);
    };
  }, [me]);
  const leave = async () => {
    await sim(number, 'leave', { participant_uuid: me }).catch(() => {});
    out(false);
  };
  const end = async () => {
    const sure = await ask({
      title: word('endAllAsk'),
      text: word('endAllMore'),
      yes: word('endAll'),
    });
    if (!sure) return;
    await sim(number, 'end', {}).catch(() => {});
    out(true);
  };
  return html`<section class="simulated" aria-label=${word('inRoom')}>
    <p class="simulated-note"><${Badge} tone="info" icon="video">${word('simulated')}<//>
      <span class="fine">${word('simulatedMore')}</span></p>
    <ul class="seats">${people.map(
      (who) => html`<li class=${`seat${who.host ? ' host' : ''}`} key=${who.participant_uuid}>
      <${Avatar} of=${{ name: who.name }} size="big" />
      <p><bdi>${who.name}</bdi>${who.participant_uuid === me && html` <span class="fine">(${word('you')})</span>`}</p>
      <p class="fine">${who.host && html`<${Badge} tone="info">${word('host')}<//> `}
        ${word('since', { time: hour(who.join_time, HERE) })}</p></li>`,
    )}</ul>
    <div class="controls" role="toolbar" aria-label=${word('inRoom')}><${Badge} icon="people">${people.length}<//>
      <${Button} icon="leave" onClick=${leave}>${word('leave')}<//>
      ${pass.role === 1 && html`<${Button} kind="danger" onClick=${end}>${word('endAll')}<//>`}</div></section>`;
}
