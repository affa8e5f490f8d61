// The top bar: the selected person, the clock, and the link to the stack's tools.
import { html, useState } from './ui.js';
import { useStore } from './store.js';
import { PERSONAS } from './people.js';
import { show } from './route.js';
import { drawer } from './drawer.js';
import { hour, day, useStackNow, HERE } from './time.js';
import { Avatar, Button, Icon } from './parts/basic.js';
import { ThemeSwitch } from './parts/theme.js';
import { Clock } from './scenes/clock.js';
import { Dialog } from './parts/layers.js';

export function Bar({ view }) {
  const at = useStackNow(1000);
  const open = useStore(drawer);
  const [clock, setClock] = useState(false);
  const who = (
    key,
  ) => html`<button type="button" key=${key} class="persona" aria-pressed=${view === key} onClick=${() => show(key)}>
    <${Avatar} of=${PERSONAS[key]} size="small" /><span>${PERSONAS[key].name}<span class="fine">${PERSONAS[key].role}
      </span></span></button>`;
  return html`<header class="bar">
    <a class="brand" href="#/tara/classes" onClick=${(event) => {
      event.preventDefault();
      show('tara');
    }}><img src="/console/icon.svg" alt="" width="28" height="28" /><span>Live Classes<span
      class="fine">on your machine</span></span></a>
    <div class="personas" role="group" aria-label="Act as">${Object.keys(PERSONAS).map(who)}
      <button type="button" class="persona panes-button" aria-pressed=${view === 'all'} onClick=${() => show('all')}>
        <${Icon} name="panes" /><span>Side by side</span></button>
      <button type="button" class="persona scenes-button" title="Behind the scenes" aria-pressed=${view === 'scenes'}
        onClick=${() => show('scenes')}><${Icon} name="gear" /><span>Behind the scenes</span></button></div>
    <div class="bar-end"><button type="button" class="clock-button" aria-haspopup="dialog"
      onClick=${() => setClock(true)}><${Icon} name="clock" size=${16} />
        <span class="hidden">Clock of the stack: </span><time>${day(at, HERE)} ${hour(at, HERE)}</time></button>
      <${Button} kind="quiet" icon="code" label=${open ? 'Hide the API calls' : 'Show the API calls'}
        aria-pressed=${open} onClick=${() => drawer.set(!open)} />
      <${ThemeSwitch} /></div>
    ${clock && html`<${Dialog} title="Clock of the stack" onClose=${() => setClock(false)}><${Clock} /><//>`}</header>`;
}
