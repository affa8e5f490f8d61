// Inputs with label, hint and error, connected for screen readers.
import { html, useState, useRef, useId, useEffect } from '../ui.js';
import { Icon } from './basic.js';

export function Field({ label, hint, error, children, optional }) {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ') || undefined;
  return html`<div class=${`field${error ? ' wrong' : ''}`}>
    <label for=${id}>${label}${optional && html` <span class="fine">optional</span>`}</label>
    ${children({ id, 'aria-describedby': described, 'aria-invalid': error ? 'true' : undefined })}
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${error && html`<p class="error" id=${`${id}-error`}>${error}</p>`}</div>`;
}

export function Text({ label, value, onInput, hint, error, optional, lines, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} error=${error} optional=${optional}>${(ties) =>
    lines
      ? html`<textarea ...${ties} rows=${lines} value=${value} onInput=${(event) => onInput(event.target.value)}
        ...${rest}></textarea>`
      : html`<input ...${ties} value=${value} onInput=${(event) => onInput(event.target.value)} ...${rest} />`}<//>`;
}

export function Select({ label, value, onChange, options, hint, error, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} error=${error}>${(ties) => html`
    <select ...${ties} value=${value} onChange=${(event) => onChange(event.target.value)} ...${rest}>
      ${options.map(
        ([key, word]) => html`<option key=${key} value=${key} selected=${String(key) === String(value)}>
        ${word}</option>`,
      )}
    </select>`}<//>`;
}

export function Switch({ label, hint, checked, onChange, disabled, error }) {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ') || undefined;
  return html`<div class="switch-row">
    <div><label for=${id}>${label}</label>${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
      ${error && html`<p class="error" id=${`${id}-error`}>${error}</p>`}</div>
    <input type="checkbox" role="switch" class="switch" id=${id} checked=${checked} disabled=${disabled}
      aria-describedby=${described}
      onChange=${(event) => onChange(event.target.checked)} /></div>`;
}

/** A combobox with search. `options` are `{key, text, more}`. */
export function Combo({ label, hint, error, value, onChange, options, placeholder }) {
  const [open, setOpen] = useState(false);
  const [typed, setTyped] = useState(null);
  const [at, setAt] = useState(0);
  const list = useId();
  const box = useRef(null);
  const chosen = options.find((option) => option.key === value);
  const words = (typed || '').toLowerCase().split(/\s+/).filter(Boolean);
  const found = options
    .filter((option) => {
      const text = `${option.text} ${option.more || ''}`.toLowerCase();
      return words.every((word) => text.includes(word));
    })
    .slice(0, 50);
  useEffect(() => {
    if (open) document.getElementById(`${list}-${at}`)?.scrollIntoView({ block: 'nearest' });
  }, [open, at]);
  const pick = (option) => {
    onChange(option.key);
    setTyped(null);
    setOpen(false);
  };
  const key = (event) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      if (!open) {
        setOpen(true);
        setAt(0);
        return;
      }
      const step = event.key === 'ArrowDown' ? 1 : -1;
      setAt((at + step + found.length) % Math.max(1, found.length));
    } else if (event.key === 'Enter' && open) {
      event.preventDefault();
      if (found[at]) pick(found[at]);
    } else if (event.key === 'Escape' && open) {
      event.preventDefault();
      event.stopPropagation();
      setOpen(false);
      setTyped(null);
    }
  };
  return html`<${Field} label=${label} hint=${hint} error=${error}>${(ties) => html`
    <div class="combo" ref=${box} onFocusOut=${(event) => {
      if (!box.current?.contains(event.relatedTarget)) {
        setOpen(false);
        setTyped(null);
      }
    }}>
      <${Icon} name="search" />
      <input ...${ties} type="text" role="combobox" autocomplete="off" aria-expanded=${open ? 'true' : 'false'}
        aria-controls=${list}
        aria-autocomplete="list" aria-activedescendant=${open && found[at] ? `${list}-${at}` : undefined}
          placeholder=${placeholder}
        value=${typed === null ? chosen?.text || '' : typed}
        onInput=${(event) => {
          setTyped(event.target.value);
          setAt(0);
          setOpen(true);
        }}
        onClick=${() => {
          setOpen(true);
          setAt(Math.max(0, found.indexOf(chosen)));
        }} onKeyDown=${key} />
      <ul class="options" id=${list} role="listbox" aria-label=${label} hidden=${!open}>
        ${found.map(
          (option, n) => html`<li key=${option.key} id=${`${list}-${n}`} role="option"
            aria-selected=${n === at ? 'true' : 'false'}
          class=${option.key === value ? 'chosen' : ''} onMouseDown=${(event) => event.preventDefault()}
            onClick=${() => pick(option)}>
          <span>${option.text}</span>${option.more && html`<span class="fine">${option.more}</span>`}</li>`,
        )}
        ${
          open &&
          !found.length &&
          html`<li class="fine" role="option" aria-selected="false"
          aria-disabled="true">No match.</li>`
        }
      </ul></div>`}<//>`;
}

const ADDRESS = /^[^\s@<>"(),:;[\]\\]+@[^\s@.]+(\.[^\s@.]+)+$/;

/** Parses typed or pasted text into invitees: "Ada Lovelace <ada@example.test>, bob@example.test". */
export function addresses(text) {
  return text
    .split(/[,;\n]+/)
    .map((part) => part.trim())
    .filter(Boolean)
    .flatMap((part) => {
      const named = part.match(/^"?([^"<]*)"?\s*<([^>]+)>$/);
      if (named) return [{ email: named[2].trim(), name: named[1].trim() || null }];
      return part.split(/\s+/).map((email) => ({ email, name: null }));
    });
}

/** Invitees as chips. An invalid address stays with an error and can be removed. */
export function Invitees({ label, value, onChange, error, errors }) {
  const [typed, setTyped] = useState('');
  const input = useRef(null);
  const wrong = (person, n) =>
    errors[`invitees[${n}].email`] ||
    errors[`invitees[${n}].name`] ||
    (ADDRESS.test(person.email) ? null : 'is not an e-mail address');
  const add = (text) => {
    const more = addresses(text).filter(
      (person) => !value.some((held) => held.email.toLowerCase() === person.email.toLowerCase()),
    );
    if (more.length) onChange([...value, ...more]);
    setTyped('');
  };
  const remove = (n) => {
    onChange(value.filter((_, m) => m !== n));
    input.current?.focus();
  };
  const mistakes = value.map((person, n) => [person, wrong(person, n)]).filter(([, why]) => why);
  const told = mistakes.length ? mistakes.map(([person, why]) => `${person.email} ${why}`).join('; ') : error;
  return html`<${Field} label=${label} error=${told} hint="Type or paste addresses. Enter or a comma ends an address.">
    ${(ties) => html`
    <div class="chips" onClick=${(event) => {
      if (event.target === event.currentTarget) input.current?.focus();
    }}>
      ${value.map(
        (person, n) => html`<span class=${`chip${wrong(person, n) ? ' wrong' : ''}`} key=${person.email}>
        <span>${person.name ? `${person.name} · ${person.email}` : person.email}</span>
        <button type="button" aria-label=${`Remove ${person.email}`} onClick=${() => remove(n)}><${Icon} name="close"
          size=${14} /></button></span>`,
      )}
      <input ...${ties} ref=${input} type="text" inputmode="email" autocomplete="off" value=${typed}
        placeholder=${value.length ? '' : 'ada@example.test'}
        onInput=${(event) => {
          const text = event.target.value;
          if (/[,;\n]/.test(text)) add(text);
          else setTyped(text);
        }}
        onPaste=${(event) => {
          event.preventDefault();
          add(event.clipboardData.getData('text'));
        }}
        onBlur=${() => typed.trim() && add(typed)}
        onKeyDown=${(event) => {
          if (event.key === 'Enter') {
            event.preventDefault();
            if (typed.trim()) add(typed);
          }
          if (event.key === 'Backspace' && !typed && value.length) {
            event.preventDefault();
            remove(value.length - 1);
          }
        }} />
    </div>`}<//>`;
}
