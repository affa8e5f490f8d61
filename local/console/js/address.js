// Addresses of pages, without the browser: what the part of an address after `#` shows, and which page a place is.
import { PEOPLE, PERSONAS } from './people.js';

/** The panes of the view side by side. */
const PANES = Object.keys(PEOPLE);
/** The first place of everybody's pages, and of the stack's tools. */
export const HOME = { tara: 'classes', sam: 'classes', gil: 'mail', platform: 'bookings', scenes: 'mail' };

/** The sections of the page after class. They have addresses of their own. */
const SECTIONS = ['attendance', 'recordings', 'polls'];
const CLASS_PARTS = {
  trainer: ['overview', 'report', 'timeline', ...SECTIONS],
  student: ['overview', 'report', 'recordings', 'polls'],
};

/**
 * Returns `{view, places}` for the part of an address after `#`. The other places stay as they were. An address of
 * nobody has the view `unknown`.
 */
export function parse(hash, before) {
  const [path, query] = hash.replace(/^#\/?/, '').split('?');
  const [view, ...rest] = path.split('/').filter(Boolean);
  const places = { ...before };
  if (view === 'all') {
    const given = new URLSearchParams(query);
    for (const key of PANES) if (given.get(key)) places[key] = given.get(key);
    return { view, places };
  }
  if (view === undefined) return { view: 'tara', places };
  if (!PERSONAS[view] && view !== 'scenes') return { view: 'unknown', places };
  places[view] = rest.join('/') || HOME[view];
  return { view, places };
}

/** Returns the part of the address after `#`, the inverse of `parse`. */
export function address({ view, places }) {
  if (view === 'all') return `#/all?${new URLSearchParams(PANES.map((key) => [key, places[key]]))}`;
  return `#/${view}/${places[view] ?? ''}`;
}

/**
 * Returns the keys of the panes whose page changes with a navigation, or the view if it changes as a whole. A link to
 * the page that is shown already leads to the heading of that page (`again`), as it would without scripts.
 */
export function changedPages(before, after) {
  if (before.view !== after.view) return [after.view];
  if (after.again) return [after.again];
  return Object.keys(after.places).filter((key) => after.places[key] !== before.places[key]);
}

/** Returns the class that the address of a mail leads to. */
export function linkedClass(pathname) {
  return pathname.match(/^\/sessions\/([^/]+)$/)?.[1];
}

/** Returns `{page, id, part, section}` for a place on the pages of a trainer or a student. */
export function pageOf(role, place) {
  const unknown = { page: 'unknown' };
  const [first, id, part = 'overview', ...more] = place.split('/');
  if (more.length) return unknown;
  if (first !== 'classes') {
    const pages = ['notices', 'preferences', ...(role === 'trainer' ? ['new'] : [])];
    return id === undefined && pages.includes(first) ? { page: first } : unknown;
  }
  if (!id) return { page: 'classes' };
  if (role === 'trainer' && part === 'edit') return { page: 'edit', id };
  if (!CLASS_PARTS[role].includes(part)) return unknown;
  const section = SECTIONS.includes(part) ? part : null;
  return { page: 'class', id, part: section ? 'report' : part, section };
}
