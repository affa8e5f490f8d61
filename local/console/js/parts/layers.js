// Layers above the page: messages, dialogs, menus.
import { html, useState, useEffect, useLayoutEffect, useRef, useId } from '../ui.js';
import { useStore } from '../store.js';
import { notes, question, dismiss } from '../notes.js';
import { Button, Icon, ProblemDetails } from './basic.js';
import { Text } from './form.js';
import { useLabels } from './labels.js';

/** A native dialog, which traps and restores the focus and closes on Escape. */
export function Dialog({ title, onClose, children, wide }) {
  const dialog = useRef(null);
  const id = useId();
  const { closeDialog } = useLabels();
  useLayoutEffect(() => {
    const before = /** @type {HTMLElement} */ (document.activeElement);
    dialog.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog ref=${dialog} class=${wide ? 'wide' : ''} aria-labelledby=${id}
      onCancel=${(event) => {
        event.preventDefault();
        onClose();
      }}
      onMouseDown=${(event) => {
        if (event.target === dialog.current) onClose();
      }}>
    <div class="dialog"><header><h2 id=${id}>${title}</h2><${Button} kind="quiet" icon="close" label=${closeDialog}
      onClick=${onClose} /></header>
    ${children}</div></dialog>`;
}

/** The confirmation dialog for irreversible actions. */
export function Question() {
  const asked = useStore(question);
  const [text, setText] = useState('');
  const { cancel } = useLabels();
  useEffect(() => setText(''), [asked]);
  if (!asked) return null;
  const answer = (value) => {
    question.set(null);
    asked.resolve(value);
  };
  const missing = asked.field?.required && !text.trim();
  return html`<${Dialog} key=${asked} title=${asked.title} onClose=${() => answer(null)}>
    <form onSubmit=${(event) => {
      event.preventDefault();
      if (!missing) answer({ text: text.trim() });
    }}>
      <p>${asked.text}</p>
      ${
        asked.field &&
        html`<${Text} label=${asked.field.label} optional=${!asked.field.required} hint=${asked.field.hint} lines=${2}
        maxlength=${500} value=${text} onInput=${setText} />`
      }
      <footer><${Button} onClick=${() => answer(null)}>${asked.no || cancel}<//>
        <${Button} type="submit" kind=${asked.danger === false ? 'primary' : 'danger'} disabled=${missing}>${asked.yes}
          <//></footer>
    </form><//>`;
}

export function Notes() {
  const all = useStore(notes);
  const { dismiss: dismissLabel } = useLabels();
  const one = (note) => html`<div class=${`toast ${note.kind}`} key=${note.n}>
    <${Icon} name=${note.kind === 'problem' ? 'warn' : 'check'} />
    <div>${note.title && html`<strong>${note.title}</strong>`}<p>${note.text}</p>
      <${ProblemDetails} code=${note.code} request=${note.request} /></div>
    <${Button} kind="quiet" small icon="close" label=${dismissLabel} onClick=${() => dismiss(note.n)} /></div>`;
  return html`<div class="toasts">
    <div role="status" aria-live="polite">${all.filter((note) => note.kind !== 'problem').map(one)}</div>
    <div role="alert">${all.filter((note) => note.kind === 'problem').map(one)}</div></div>`;
}

/** A menu button. */
export function Menu({ label, icon = 'more', items, small = true }) {
  const [open, setOpen] = useState(false);
  const root = useRef(null);
  const id = useId();
  const buttons = () => [...root.current.querySelectorAll('[role=menuitem]')];
  // Focus at once, so that the next key goes to the menu.
  useLayoutEffect(() => {
    if (open) buttons()[0]?.focus();
  }, [open]);
  const shut = () => {
    setOpen(false);
    root.current.querySelector('button')?.focus();
  };
  const key = (event) => {
    if (!open) return;
    const all = buttons();
    const at = all.indexOf(document.activeElement);
    if (event.key === 'Escape') {
      event.stopPropagation();
      shut();
    }
    if (event.key === 'ArrowDown') {
      event.preventDefault();
      all[(at + 1) % all.length].focus();
    }
    if (event.key === 'ArrowUp') {
      event.preventDefault();
      all[(at - 1 + all.length) % all.length].focus();
    }
  };
  return html`<div class="menu" ref=${root} onKeyDown=${key}
      onFocusOut=${(event) => {
        if (!root.current?.contains(event.relatedTarget)) setOpen(false);
      }}>
    <${Button} kind="quiet" small=${small} icon=${icon} label=${label} aria-haspopup="menu"
      aria-expanded=${open ? 'true' : 'false'}
      aria-controls=${id} onClick=${() => {
        setOpen(!open);
      }} />
    <div class="menu-items" role="menu" id=${id} aria-label=${label} hidden=${!open}>
      ${items.filter(Boolean).map(
        (item) => html`<button type="button" role="menuitem" tabindex="-1" key=${item.text}
        class=${item.danger ? 'danger' : ''} onClick=${() => {
          shut();
          item.onClick();
        }}>
        <${Icon} name=${item.icon} />${item.text}</button>`,
      )}</div></div>`;
}

/** Tabs with an address each. If they do not fit, the current one is scrolled into view. */
export function Places({ label, of, at, link, onGo }) {
  const nav = useRef(null);
  useEffect(() => {
    const centre = ({ left, width }) => left + width / 2;
    const show = () => {
      const current = nav.current?.querySelector('[aria-current]');
      if (current)
        nav.current.scrollLeft += centre(current.getBoundingClientRect()) - centre(nav.current.getBoundingClientRect());
    };
    const observer = new ResizeObserver(show);
    observer.observe(nav.current);
    show();
    return () => observer.disconnect();
  }, [at]);
  return html`<nav class="places" ref=${nav} aria-label=${label}>${of.map(
    ([key, word, count]) => html`
    <a key=${key} href=${link(key)} aria-current=${at === key ? 'page' : undefined}
      onClick=${(event) => {
        if (!event.metaKey && !event.ctrlKey) {
          event.preventDefault();
          onGo(key);
        }
      }}>${word}${count !== undefined && html`<span class="count">${count}</span>`}</a>`,
  )}</nav>`;
}
