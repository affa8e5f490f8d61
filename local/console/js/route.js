// Routing: the selected person and the place on their page. It is kept in the address after the `#`, so that history and
// reload work. Side by side, each pane has its own place.
import { store } from './store.js';
import { PEOPLE, PERSONAS } from './people.js';
import { goOn } from './notes.js';

// The panes of the view side by side.
const KEYS = Object.keys(PEOPLE);
const HOME = { tara: 'classes', sam: 'classes', gil: 'mail', platform: 'bookings', scenes: 'mail' };

function parse(hash, before) {
  const [path, query] = hash.replace(/^#\/?/, '').split('?');
  const [view, ...rest] = path.split('/').filter(Boolean);
  const places = { ...before };
  if (view === 'all') {
    const given = new URLSearchParams(query);
    for (const key of KEYS) if (given.get(key)) places[key] = given.get(key);
    return { view, places };
  }
  if (PERSONAS[view] || view === 'scenes') {
    places[view] = rest.join('/') || HOME[view];
    return { view, places };
  }
  return { view: 'tara', places };
}

export const route = store(parse(location.hash, HOME));
addEventListener('popstate', () => route.set((at) => parse(location.hash, at.places)));
addEventListener('hashchange', () => route.set((at) => parse(location.hash, at.places)));

function address({ view, places }) {
  if (view !== 'all') return `#/${view}/${places[view]}`;
  const query = new URLSearchParams(KEYS.map((key) => [key, places[key]]));
  return `#/all?${query}`;
}

function move(at) {
  goOn();
  if (address(at) !== location.hash) history.pushState(null, '', address(at));
  route.set(at);
}

/** Shows a person's page, all panes (`all`) or the stack's tools, at the last place. */
export function show(view) {
  move({ ...route.get(), view });
}

/** Navigates on a person's page, in whichever view it is shown. */
export function go(key, place) {
  const at = route.get();
  const places = { ...at.places, [key]: place };
  const view = at.view === key || (at.view === 'all' && PEOPLE[key]) ? at.view : key;
  move({ view, places });
}

/** Returns the address for `go`, for links that open in a new tab. */
export function href(key, place) {
  const at = route.get();
  const view = at.view === 'all' && PEOPLE[key] ? 'all' : key;
  return address({ view, places: { ...at.places, [key]: place } });
}
