// Basic components.
import { html, useState } from '../ui.js';
import { say } from '../notes.js';
import { counted } from '../plural.js';
import { useLabels } from './labels.js';

// Strokes on a grid of 24 units, so that all icons share size and weight.
const PATHS = {
  bell: 'M6 9a6 6 0 1 1 12 0c0 6 2.5 7 2.5 7h-17S6 15 6 9M10 20a2.2 2.2 0 0 0 4 0',
  calendar: 'M5 6.5h14a1 1 0 0 1 1 1V19a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V7.5a1 1 0 0 1 1-1zM4 11h16M8.5 4v4M15.5 4v4',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  chevron: 'M9 6l6 6-6 6',
  clock: 'M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM12 8v4.5l3 1.8',
  close: 'M6 6l12 12M18 6L6 18',
  code: 'M8.5 7.5L4 12l4.5 4.5M15.5 7.5L20 12l-4.5 4.5',
  copy: 'M9 9h10v11H9zM5 15V4h10',
  download: 'M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14',
  edit: 'M5 19h3.5L19 8.5 15.5 5 5 15.5zM13 7.5l3.5 3.5',
  expand: 'M9 4H4v5M15 4h5v5M9 20H4v-5M15 20h5v-5',
  gear:
    'M12 9a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM12 3v3M12 18v3M3 12h3M18 12h3' +
    'M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M5.6 18.4l2.2-2.2M16.2 7.8l2.2-2.2',
  key: 'M14.5 4.5a5 5 0 1 1-3.6 8.4L5 19v-3h2v-2h2l1.4-1.4A5 5 0 0 1 14.5 4.5zM15.8 8.2h.01',
  leave: 'M10 5H5v14h5M14 8l4 4-4 4M18 12H9',
  link: 'M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1',
  mail: 'M4 6h16v12H4zM4 7l8 6 8-6',
  moon: 'M20 14.5A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.5z',
  more:
    'M6 11.4a.6.6 0 1 1 0 1.2.6.6 0 0 1 0-1.2zM12 11.4a.6.6 0 1 1 0 1.2.6.6 0 0 1 0-1.2z' +
    'M18 11.4a.6.6 0 1 1 0 1.2.6.6 0 0 1 0-1.2z',
  panes: 'M4 5h16v14H4zM12 5v14',
  people:
    'M9 5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7zM3 19c.5-3.5 3-5 6-5s5.5 1.5 6 5' +
    'M16 5.5a3 3 0 0 1 0 6M18 14.5c1.8.7 2.8 2.2 3 4.5',
  play: 'M8 5.5v13l10.5-6.5z',
  plus: 'M12 5v14M5 12h14',
  poll: 'M5 20V11M12 20V4M19 20v-6',
  record: 'M12 7a5 5 0 1 1 0 10 5 5 0 0 1 0-10z',
  search: 'M11 5a6 6 0 1 1 0 12 6 6 0 0 1 0-12zM15.5 15.5L20 20',
  send: 'M4 12l16-7-6 15-3-6zM11 14l9-9',
  sun:
    'M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2' +
    'M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4',
  trash: 'M5 7h14M9 7V4.5h6V7M7 7l.8 12.5h8.4L17 7',
  video: 'M4 7.5h10.5v9H4zM14.5 11l5.5-3v8l-5.5-3z',
  warn: 'M12 4l9 16H3zM12 10v4.5M12 17.3h.01',
};

/** Icons that point in the direction of reading. */
const DIRECTED = ['chevron', 'leave', 'send'];

export function Icon({ name, size = 18 }) {
  const look = DIRECTED.includes(name) ? 'icon directed' : 'icon';
  return html`<svg class=${look} width=${size} height=${size} viewBox="0 0 24 24" fill="none" stroke="currentColor"
    stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${PATHS[name]} />
      </svg>`;
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
    aria-label=${label} title=${children ? undefined : label} aria-busy=${waits ? 'true' : undefined}
      onClick=${waits ? undefined : press}
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
  return html`<${Badge} tone=${tone}>${of === 'live' && html`<span class="pulse" aria-hidden="true"></span>`}${word}
    <//>`;
}

/** A class that starts within half an hour. */
export function Soon() {
  return html`<${Badge} tone="live"><span class="pulse" aria-hidden="true"></span>Starting soon<//>`;
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
  return html`<span class=${`avatar ${of.key || ''}${size ? ` ${size}` : ''}`} aria-hidden="true">${letters || '?'}
    </span>`;
}

/** The code of an error, and of the request that support can look up. */
export function ProblemDetails({ code, request }) {
  const { details } = useLabels();
  if (!code) return null;
  return html`<details class="fine"><summary>${details}</summary>
    Code <code>${code}</code>${request && html`, request <code>${request}</code>`}</details>`;
}

/** An error at the place where it occurred. */
export function ProblemNote({ of, again }) {
  if (!of) return null;
  return html`<div class="note bad" role="alert">
    <${Icon} name="warn" />
    <div><strong>${of.title}</strong><p>${of.message}</p>
      ${of.retry_after && html`<p>Try again in ${counted(of.retry_after, 'second')}.</p>`}
      <${ProblemDetails} code=${of.code} request=${of.request_id} />
      ${again && html`<${Button} small onClick=${again}>Try again<//>`}</div></div>`;
}

export function Note({ tone = 'info', icon = 'warn', title, children }) {
  return html`<div class=${`note ${tone}`}><${Icon} name=${icon} /><div>${title && html`<strong>${title}</strong>`}
    ${children}</div></div>`;
}

export function Empty({ icon = 'calendar', title, children }) {
  return html`<div class="empty"><${Icon} name=${icon} size=${28} /><p class="empty-title">${title}</p>
    ${children && html`<p>${children}</p>`}</div>`;
}

/** A placeholder with the size of the content, so that the page does not jump. */
export function Skeleton({ lines = 3, height = 84 }) {
  return html`<div class="skeleton" role="status"><span class="hidden">Loading…</span>
    ${Array.from(
      { length: lines },
      (_, n) => html`<div key=${n} class="bone" style=${{ height: `${height}px` }}>
      </div>`,
    )}</div>`;
}

/** Shows the loaded data, an error, or a placeholder. */
export function Loaded({ of, lines, height, children }) {
  if (of.data !== undefined)
    return html`${of.problem && html`<${ProblemNote} of=${of.problem} again=${of.reload} />`}${children(of.data)}`;
  if (of.problem) return html`<${ProblemNote} of=${of.problem} again=${of.reload} />`;
  return html`<${Skeleton} lines=${lines} height=${height} />`;
}

/** Copies a text and shows that it is done, with the message `done`. */
export async function copy(text, done) {
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
  say(done);
}

/** Copies a text. `what` names it in English, or `label` and `done` are the texts in another language. */
export function CopyButton({ text, what = '', label, done, small = true, kind = 'quiet', children }) {
  return html`<${Button} kind=${kind} small=${small} icon="copy" label=${label ?? `Copy ${what.toLowerCase()}`}
    onClick=${() => copy(text, done ?? `${what} copied.`)}>${children}<//>`;
}

/** Saves a file to the user's disk. */
export function saveFile(name, type, parts) {
  const file = URL.createObjectURL(new Blob(parts, { type }));
  Object.assign(document.createElement('a'), { href: file, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(file), 10_000);
}

/** Saves a CSV file. Reading the response as text removed its byte order mark, which spreadsheets need for UTF-8. */
export function saveCsv(name, text) {
  saveFile(name, 'text/csv', ['\uFEFF', text.replace(/^\uFEFF/, '')]);
}

/** A passcode that is hidden until requested. */
export function Passcode({ code }) {
  const [shown, setShown] = useState(false);
  const { show, hide, copyPasscode, passcodeCopied } = useLabels();
  return html`<span class="passcode"><code>${shown ? code : '•'.repeat(Math.min(code.length, 10))}</code>
    <${Button} kind="quiet" small aria-pressed=${shown} onClick=${() => setShown(!shown)}>${shown ? hide : show}<//>
    <${CopyButton} text=${code} label=${copyPasscode} done=${passcodeCopied} /></span>`;
}

/** A choice as a row of buttons. */
export function Segments({ label, of, value, onChange }) {
  return html`<div class="segments" role="group" aria-label=${label}>
    ${of.map(
      ([key, word]) => html`<button type="button" key=${key} aria-pressed=${value === key}
      onClick=${() => onChange(key)}>${word}</button>`,
    )}
  </div>`;
}

export function Share({ percent, label }) {
  return html`<span class="share" role="img" aria-label=${label}><span style=${{ width: `${Math.min(100, percent)}%` }}>
    </span></span>`;
}
