// Basic components.
import { html, useState } from '../ui.js';
import { say } from '../notes.js';

// Strokes on a grid of 24 units, so that all icons share size and weight.
const PATHS = {
  bell: 'M6 9a6 6 0 1 1 12 0c0 6 2.500 7 2.500 7h-17S6 15 6 9M10 20a2.200 2.200 0 0 0 4 0',
  calendar:
    'M5 6.500h14a1 1 0 0 1 1 1V19a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V7.500a1 1 0 0 1 1-1zM4 11h16M8.500 4v4M15.500 4v4',
  check: 'M5 12.500l4.500 4.500L19 7.500',
  chevron: 'M9 6l6 6-6 6',
  clock: 'M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM12 8v4.500l3 1.800',
  close: 'M6 6l12 12M18 6L6 18',
  code: 'M8.500 7.500L4 12l4.500 4.500M15.500 7.500L20 12l-4.500 4.500',
  copy: 'M9 9h10v11H9zM5 15V4h10',
  download: 'M12 4v11M7.500 11l4.500 4.500 4.500-4.500M5 20h14',
  edit: 'M5 19h3.500L19 8.500 15.500 5 5 15.500zM13 7.500l3.500 3.500',
  expand: 'M9 4H4v5M15 4h5v5M9 20H4v-5M15 20h5v-5',
  gear: 'M12 9a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM12 3v3M12 18v3M3 12h3M18 12h3M5.600 5.600l2.200 2.200M16.200 16.200l2.200 2.200M5.600 18.400l2.200-2.200M16.200 7.800l2.200-2.200',
  key: 'M14.500 4.500a5 5 0 1 1-3.600 8.400L5 19v-3h2v-2h2l1.400-1.400A5 5 0 0 1 14.500 4.500zM15.800 8.200h.01',
  leave: 'M10 5H5v14h5M14 8l4 4-4 4M18 12H9',
  link: 'M10 14a4 4 0 0 0 5.700 0l3-3A4 4 0 0 0 13 5.300l-1 1M14 10a4 4 0 0 0-5.700 0l-3 3A4 4 0 0 0 11 18.700l1-1',
  mail: 'M4 6h16v12H4zM4 7l8 6 8-6',
  moon: 'M20 14.500A8 8 0 0 1 9.500 4 8 8 0 1 0 20 14.500z',
  more: 'M6 12h.01M12 12h.01M18 12h.01',
  panes: 'M4 5h16v14H4zM12 5v14',
  people:
    'M9 5a3.500 3.500 0 1 1 0 7 3.500 3.500 0 0 1 0-7zM3 19c.5-3.500 3-5 6-5s5.500 1.500 6 5M16 5.500a3 3 0 0 1 0 6M18 14.500c1.800.7 2.800 2.200 3 4.500',
  play: 'M8 5.500v13l10.500-6.500z',
  plus: 'M12 5v14M5 12h14',
  poll: 'M5 20V11M12 20V4M19 20v-6',
  record: 'M12 7a5 5 0 1 1 0 10 5 5 0 0 1 0-10z',
  search: 'M11 5a6 6 0 1 1 0 12 6 6 0 0 1 0-12zM15.500 15.500L20 20',
  send: 'M4 12l16-7-6 15-3-6zM11 14l9-9',
  sun: 'M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 2.500v2M12 19.500v2M2.500 12h2M19.500 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M5.300 18.700l1.400-1.400M17.300 6.700l1.400-1.400',
  trash: 'M5 7h14M9 7V4.500h6V7M7 7l.8 12.500h8.400L17 7',
  video: 'M4 7.500h10.500v9H4zM14.500 11l5.500-3v8l-5.500-3z',
  warn: 'M12 4l9 16H3zM12 10v4.500M12 17.300h.01',
};

export function Icon({ name, size = 18 }) {
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" fill="none" stroke="currentColor"
    stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}

/** A button that shows progress and ignores a second click. */
export function Button({ kind = 'plain', icon, label, children, busy, onClick, small, type = 'button', ...rest }) {
  const [working, setWorking] = useState(false);
  const press =
    onClick &&
    (async (event) => {
      const outcome = onClick(event);
      if (outcome?.finally) {
        setWorking(true);
        try {
          await outcome;
        } finally {
          setWorking(false);
        }
      }
    });
  const waits = busy || working;
  return html`<button type=${type} class=${`button ${kind}${small ? ' small' : ''}${children ? '' : ' bare'}`}
    aria-label=${label} title=${children ? undefined : label} aria-busy=${waits ? 'true' : undefined} onClick=${waits ? undefined : press}
    disabled=${waits && type === 'submit'} ...${rest}>
    ${icon && html`<${Icon} name=${icon} />`}${children && html`<span>${children}</span>`}</button>`;
}

export function Badge({ tone = 'quiet', icon, children }) {
  return html`<span class=${`badge ${tone}`}>${icon && html`<${Icon} name=${icon} size=${13} />`}${children}</span>`;
}

const STATUS = {
  scheduled: ['info', 'Scheduled'],
  live: ['live', 'Live'],
  ended: ['quiet', 'Ended'],
  cancelled: ['bad', 'Cancelled'],
};
export function Status({ of }) {
  const [tone, word] = STATUS[of] || ['quiet', of];
  return html`<${Badge} tone=${tone}>${of === 'live' && html`<span class="pulse" aria-hidden="true"></span>`}${word}<//>`;
}

export function Provider({ of }) {
  return of === 'zoom' ? html`<${Badge} icon="video">Zoom<//>` : html`<${Badge} icon="link">Own link<//>`;
}

export function Avatar({ of, size }) {
  const letters = of.name
    .split(/\s+/)
    .filter(Boolean)
    .map((word) => [...word][0])
    .slice(0, 2)
    .join('')
    .toUpperCase();
  return html`<span class=${`avatar ${of.key || ''}${size ? ` ${size}` : ''}`} aria-hidden="true">${letters || '?'}</span>`;
}

/** An error at the place where it occurred. */
export function ProblemNote({ of, again }) {
  if (!of) return null;
  return html`<div class="note bad" role="alert">
    <${Icon} name="warn" />
    <div><strong>${of.title}</strong><p>${of.message}</p>
      <p class="fine">Code <code>${of.code}</code>${of.request_id && html` · request <code>${of.request_id}</code>`}
      ${of.retry_after && html` · again in ${of.retry_after} s`}</p>
      ${again && html`<${Button} small onClick=${again}>Try again<//>`}</div></div>`;
}

export function Note({ tone = 'info', icon = 'warn', title, children }) {
  return html`<div class=${`note ${tone}`}><${Icon} name=${icon} /><div>${title && html`<strong>${title}</strong>`}${children}</div></div>`;
}

export function Empty({ icon = 'calendar', title, children }) {
  return html`<div class="empty"><${Icon} name=${icon} size=${28} /><p class="empty-title">${title}</p>${children && html`<p>${children}</p>`}</div>`;
}

/** A placeholder with the size of the content, so that the page does not jump. */
export function Skeleton({ lines = 3, height = 84 }) {
  return html`<div class="skeleton" role="status"><span class="hidden">Loading…</span>
    ${Array.from({ length: lines }, (_, n) => html`<div key=${n} class="bone" style=${{ height: `${height}px` }}></div>`)}</div>`;
}

/** Shows the loaded data, an error, or a placeholder. */
export function Loaded({ of, lines, height, children }) {
  if (of.data !== undefined)
    return html`${of.problem && html`<${ProblemNote} of=${of.problem} again=${of.reload} />`}${children(of.data)}`;
  if (of.problem) return html`<${ProblemNote} of=${of.problem} again=${of.reload} />`;
  return html`<${Skeleton} lines=${lines} height=${height} />`;
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Fallback without clipboard permission.
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  say(`${what} copied.`);
}

export function CopyButton({ text, what, small = true, kind = 'quiet', children }) {
  return html`<${Button} kind=${kind} small=${small} icon="copy" label=${`Copy ${what.toLowerCase()}`}
    onClick=${() => copy(text, what)}>${children}<//>`;
}

/** Downloads a CSV file. Reading the response as text removed its byte order mark, which spreadsheets need for UTF-8. */
export function saveCsv(name, text) {
  const file = URL.createObjectURL(new Blob(['\uFEFF', text.replace(/^\uFEFF/, '')], { type: 'text/csv' }));
  Object.assign(document.createElement('a'), { href: file, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(file), 10_000);
}

/** A passcode that is hidden until requested. */
export function Passcode({ code }) {
  const [shown, setShown] = useState(false);
  return html`<span class="passcode"><code>${shown ? code : '•'.repeat(Math.min(code.length, 10))}</code>
    <${Button} kind="quiet" small aria-pressed=${shown} onClick=${() => setShown(!shown)}>${shown ? 'Hide' : 'Show'}<//>
    <${CopyButton} text=${code} what="Passcode" /></span>`;
}

/** A choice as a row of buttons. */
export function Segments({ label, of, value, onChange }) {
  return html`<div class="segments" role="group" aria-label=${label}>
    ${of.map(([key, word]) => html`<button type="button" key=${key} aria-pressed=${value === key} onClick=${() => onChange(key)}>${word}</button>`)}
  </div>`;
}

export function Share({ percent, label }) {
  return html`<span class="share" role="img" aria-label=${label}><span style=${{ width: `${Math.min(100, percent)}%` }}></span></span>`;
}
