// After every navigation, the heading of the new page takes the focus and the title of the window names the page. A
// heading appears when its data is there, so a navigation waits for the heading of its pane.
import { useEffect, useLayoutEffect, useRef } from './ui.js';
import { useStore } from './store.js';
import { changedPages } from './address.js';
import { PERSONAS } from './people.js';
import { route } from './route.js';

/** The panes whose next heading takes the focus. It is empty on the first visit, which the browser announces itself. */
const awaited = new Set();
let before = route.get();

route.watch((at) => {
  const pages = changedPages(before, at);
  if (before.view !== at.view) awaited.clear();
  for (const key of pages) awaited.add(key);
  before = at;
});

/** Returns the reference of the heading of a pane (`all` for all panes). `name` is the page's part of the title. */
export function useArrival(key, name) {
  const heading = useRef(null);
  const at = useStore(route);
  useEffect(() => {
    const whose = PERSONAS[key]?.name;
    if (at.view === key) document.title = [name, whose, 'Live Classes'].filter(Boolean).join(' · ');
  }, [at, key, name]);
  // Focus at once: until a later effect, the focus would be on the link, and the next key or click would be lost to it.
  useLayoutEffect(() => {
    if (awaited.delete(key)) heading.current.focus({ preventScroll: true });
  }, [at, key]);
  return heading;
}
