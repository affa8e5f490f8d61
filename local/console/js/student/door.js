// A student's way into a class: Join, or why it is not possible yet.
import { html, useEffect, useRef, useState } from '../ui.js';
import { api } from '../api.js';
import { room } from '../classes.js';
import { click } from '../cost.js';
import { changed } from '../load.js';
import { span, useNow } from '../time.js';
import { Badge, Button, Icon, Passcode } from '../parts/basic.js';

/** Reloads when the join window opens or closes. The server decides the state. Returns the server's time. */
export function useDoor(session) {
  const at = useNow(1000);
  const asked = useRef(null);
  const { state, opens_at: opens, closes_at: closes } = session.join;
  const turns = state === 'too_early' ? opens : closes;
  useEffect(() => {
    if (at >= new Date(turns).getTime() && asked.current !== turns && state !== 'closed' && state !== 'cancelled') {
      asked.current = turns;
      changed();
    }
  }, [at, turns, state]);
  return at;
}

/** Joins a class with a link of the trainer. The API hands the link out, with a password if it needs one. */
function JoinByLink({ as, session }) {
  const [pass, setPass] = useState(null);
  const join = async () => {
    // Browsers block a window that is opened later than the click.
    const opened = window.open('', '_blank');
    const found = await click('Join', () => api(as).post(`/v1/sessions/${session.id}/join`, {}));
    if (!found) {
      opened?.close();
      return;
    }
    setPass({ ...found, blocked: !opened });
    if (opened) {
      opened.opener = null;
      opened.location.replace(found.join_url);
    }
  };
  return html`<span class="door">
    <${Button} kind="primary" icon="video" aria-label=${`Join: ${session.title}`} onClick=${join}>Join<//>
    ${pass?.blocked && html`<a href=${pass.join_url} target="_blank" rel="noopener noreferrer">Open the class</a>`}
    ${pass?.passcode && html`<span class="fine">Password${' '}<${Passcode} code=${pass.passcode} /></span>`}</span>`;
}

export function Door({ as, session, at }) {
  const { state, opens_at: opens } = session.join;
  switch (state) {
    case 'open':
      if (session.provider === 'manual') return html`<${JoinByLink} as=${as} session=${session} />`;
      return html`<a class="button primary" href=${room(session, as, true)} target="_blank" rel="noopener"
        aria-label=${`Join: ${session.title}`}><${Icon} name="video" /><span>Join</span></a>`;
    case 'waiting_for_host':
      return html`<span class="door"><${Badge} tone="info" icon="clock">Waiting for the trainer<//></span>`;
    case 'no_meeting_yet':
      return html`<span class="door"><${Badge} tone="warn" icon="warn">No meeting yet<//></span>`;
    case 'too_early':
      return html`<span class="door">
        <button type="button" class="button primary" disabled aria-label=${`Join: ${session.title}`}>
          <${Icon} name="video" /><span>Join</span></button>
        <span class="fine" role="timer">opens in ${span(new Date(opens).getTime() - at)}</span></span>`;
    default:
      return null;
  }
}
