// Routing: the selected person and the place on their page. Both are in the address after the `#`, so that history and
// reload work. Side by side, each pane has its own place.
import { store } from './store.js';
import { HOME, address, parse } from './address.js';
import { PEOPLE } from './people.js';
import { goOn } from './notes.js';

export const route = store(parse(location.hash, HOME));
addEventListener('popstate', () => route.set((at) => parse(location.hash, at.places)));
addEventListener('hashchange', () => route.set((at) => parse(location.hash, at.places)));

/** `key` is the pane or the view with the link. */
function move(key, { view, places }) {
  goOn();
  const to = address({ view, places });
  const again = to === location.hash ? key : null;
  if (!again) {
    history.pushState(null, '', to);
    scrollTo(0, 0);
  }
  route.set({ view, places, again });
}

/** Shows a person's page, all panes (`all`) or the stack's tools, at the last place. */
export function show(view) {
  move(view, { ...route.get(), view });
}

/** Navigates on a person's page, in whichever view it is shown. */
export function go(key, place) {
  const at = route.get();
  const places = { ...at.places, [key]: place };
  const view = at.view === key || (at.view === 'all' && PEOPLE[key]) ? at.view : key;
  move(view === 'all' ? key : view, { view, places });
}

/** Returns the address for `go`, for links that open in a new tab. */
export function href(key, place) {
  const at = route.get();
  const view = at.view === 'all' && PEOPLE[key] ? 'all' : key;
  return address({ view, places: { ...at.places, [key]: place } });
}
