// A section of a page with an address of its own.
import { html, useEffect, useId, useRef } from '../ui.js';

/** Comes into view when the address names it (`at`). The focus is on the heading of the page. */
export function Section({ id, title, at, children }) {
  const heading = useId();
  const section = useRef(null);
  useEffect(() => {
    if (at === id) section.current.scrollIntoView({ block: 'nearest' });
  }, [at, id]);
  return html`<section class="section" ref=${section} aria-labelledby=${heading}>
    <h3 id=${heading}>${title}</h3>${children}</section>`;
}
