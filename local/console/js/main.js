// The console: the top bar, the pages of one person or of all, the stack's tools, and the drawer.
import { html, render, useEffect } from './ui.js';
import { useStore } from './store.js';
import { route } from './route.js';
import { changed, epoch } from './load.js';
import { working } from './cost.js';
import { readStackClock } from './time.js';
import { HOME, linkedClass, pageOf } from './address.js';
import { useArrival } from './arrival.js';
import { PEOPLE, PLATFORM } from './people.js';
import { Empty } from './parts/basic.js';
import { NotFound, Notices, Pane, Preferences } from './parts/person.js';
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
  if (as === PLATFORM.key) return html`<${Platform} place=${place} />`;
  const { claims } = PEOPLE[as];
  if (!claims) return place === HOME[as] ? html`<${Mailbox} as=${as} />` : html`<${NotFound} as=${as} />`;
  const { page, id, part, section } = pageOf(claims.role, place);
  const isTrainer = claims.role === 'trainer';
  switch (page) {
    case 'classes':
      return isTrainer ? html`<${Classes} as=${as} />` : html`<${Upcoming} as=${as} />`;
    case 'class':
      return html`<${isTrainer ? Detail : StudentDetail} as=${as} id=${id} part=${part} section=${section} />`;
    case 'new':
      return html`<${Schedule} as=${as} />`;
    case 'edit':
      return html`<${Edit} as=${as} id=${id} />`;
    case 'notices':
      return html`<${Notices} as=${as} />`;
    case 'preferences':
      return html`<${Preferences} as=${as} />`;
    default:
      return html`<${NotFound} as=${as} />`;
  }
}

/** The parts of a class are one page, so that its data stays. */
const pageKey = (place) => place.replace(/^(classes\/[^/]+)\/(?!edit).*$/, '$1');

/** An address of nobody's page. */
function Nowhere() {
  const heading = useArrival('unknown', 'Page not found');
  return html`<section class="pane"><div class="heading"><h2 tabindex="-1" ref=${heading}>Page not found</h2></div>
    <${Empty} icon="search" title="There is no page at this address." />
    <p class="centre"><a class="button" href="#/tara/classes">Back to the start</a></p></section>`;
}

/** What the address shows: one person's page, all panes, or the stack's tools. */
function Stage({ at }) {
  if (at.view === 'unknown') return html`<${Nowhere} />`;
  if (at.view === 'scenes') return html`<${Scenes} place=${at.places.scenes} />`;
  return (at.view === 'all' ? Object.keys(PEOPLE) : [at.view]).map((as) => {
    const place = at.places[as];
    return html`<${Pane} key=${as} as=${as} place=${place}>
      <${Page} key=${pageKey(place)} as=${as} place=${place} /><//>`;
  });
}

function Console() {
  const at = useStore(route);
  const open = useStore(drawer);
  useEffect(() => {
    readStackClock().catch(() => {});
    const timer = setInterval(() => {
      if (!document.hidden) readStackClock().catch(() => {});
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
    if (PEOPLE[at.view]?.claims) localStorage.setItem('last', at.view);
  }, [at.view]);
  const heading = useArrival('all', 'Side by side');
  const skip = (event) => {
    event.preventDefault();
    document.getElementById('main').focus();
  };
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to content</a>
    <${Bar} view=${at.view} />
    <div class=${`stage${open ? ' with-drawer' : ''}`}>
      <main id="main" tabindex="-1" class=${at.view === 'all' ? 'side-by-side' : 'alone'}>
        <h1 class="hidden" tabindex="-1" ref=${heading}>${at.view === 'all' ? 'Side by side' : 'Live Classes'}</h1>
        <${Stage} at=${at} /></main>
      ${open && html`<${Drawer} />`}</div>
    <${CostLine} /><${Notes} /><${Question} />`;
}

// A link in a mail leads to a class. It opens the page of the last selected person.
const linked = linkedClass(location.pathname);
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
