// The console: the top bar, the pages of one person or of all, the stack's tools, and the drawer.
import { html, render, useEffect } from './ui.js';
import { useStore } from './store.js';
import { route } from './route.js';
import { changed, epoch } from './load.js';
import { working } from './cost.js';
import { readClock } from './time.js';
import { PEOPLE, PERSONAS, PLATFORM } from './people.js';
import { Pane, Notices, Preferences } from './parts/person.js';
import { Notes, Question } from './parts/layers.js';
import { Classes } from './trainer/list.js';
import { Schedule, Edit } from './trainer/form.js';
import { Detail } from './trainer/detail.js';
import { Upcoming, Detail as StudentDetail } from './student/classes.js';
import { Mailbox } from './guest/mailbox.js';
import { Platform } from './platform/main.js';
import { returned } from './trainer/zoom.js';
import { Bar } from './bar.js';
import { Drawer, CostLine, drawer } from './drawer.js';
import { Scenes } from './scenes/main.js';

const CLOCK_EVERY_MS = 20_000;

function Page({ as, place }) {
  const [what, id, part] = place.split('/');
  if (as === PLATFORM.key) return html`<${Platform} place=${place} />`;
  if (!PEOPLE[as].claims) return html`<${Mailbox} as=${as} />`;
  if (what === 'notices') return html`<${Notices} as=${as} />`;
  if (what === 'preferences') return html`<${Preferences} as=${as} />`;
  if (PEOPLE[as].claims.role === 'trainer') {
    if (what === 'new') return html`<${Schedule} as=${as} />`;
    if (id && part === 'edit') return html`<${Edit} as=${as} id=${id} />`;
    if (id) return html`<${Detail} as=${as} id=${id} part=${part} />`;
    return html`<${Classes} as=${as} />`;
  }
  if (id) return html`<${StudentDetail} as=${as} id=${id} part=${part} />`;
  return html`<${Upcoming} as=${as} />`;
}

function Console() {
  const at = useStore(route);
  const open = useStore(drawer);
  useEffect(() => {
    readClock().catch(() => {});
    const timer = setInterval(() => {
      if (!document.hidden) readClock().catch(() => {});
    }, CLOCK_EVERY_MS);
    // Reload when the user returns from the room or another tab.
    const back = () => {
      if (!document.hidden && working.get() === 0) changed();
    };
    document.addEventListener('visibilitychange', back);
    const rooms = new BroadcastChannel('live-classes');
    rooms.onmessage = () => changed();
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', back);
      rooms.close();
    };
  }, []);
  useEffect(() => {
    const who =
      at.view === 'all' ? 'Side by side' : at.view === 'scenes' ? 'Behind the scenes' : PERSONAS[at.view].name;
    if (PEOPLE[at.view]?.claims) localStorage.setItem('last', at.view);
    document.title = `${who} · Live Classes`;
  }, [at.view]);
  const shown = at.view === 'all' ? Object.keys(PEOPLE) : [at.view];
  return html`<a class="skip" href="#main" onClick=${(event) => {
    event.preventDefault();
    document.getElementById('main').focus();
  }}>Skip to content</a>
    <${Bar} view=${at.view} />
    <div class=${`stage${open ? ' with-drawer' : ''}`}><main id="main" tabindex="-1" class=${at.view === 'all' ? 'side-by-side' : 'alone'}>
      <h1 class="hidden">Live Classes</h1>
      ${
        at.view === 'scenes'
          ? html`<${Scenes} place=${at.places.scenes} />`
          : shown.map(
              (as) =>
                html`<${Pane} key=${as} as=${as} place=${at.places[as]}><${Page} key=${at.places[as].replace(/^(classes\/[^/]+)\/(?!edit).*$/, '$1')} as=${as} place=${at.places[as]} /><//>`,
            )
      }
    </main>${open && html`<${Drawer} />`}</div>
    <${CostLine} /><${Notes} /><${Question} />`;
}

// A link in a mail leads to a class. It opens the page of the last selected person.
const [, linked] = location.pathname.match(/^\/sessions\/([^/]+)$/) || [];
if (linked) {
  const last = localStorage.getItem('last') || 'sam';
  history.replaceState(null, '', `/#/${last}/classes/${linked}`);
  dispatchEvent(new Event('hashchange'));
}

if (!returned()) {
  render(html`<${Console} />`, document.getElementById('app'));
  // For tests: reloads everything.
  globalThis.liveClasses = { refresh: () => epoch.set((n) => n + 1) };
} else {
  document.getElementById('app').textContent = 'You can close this window.';
}
