// Searching a list that is on the page.
import { html } from '../ui.js';
import { Text } from './form.js';

/** Returns whether a text has all words of a search, in any order. */
export function matches(text, search) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const where = text.toLowerCase();
  return words.every((word) => where.includes(word));
}

export function Search({ label, value, onInput }) {
  return html`<${Text} label=${label} type="search" value=${value} onInput=${onInput} autocomplete="off" />`;
}
