// What the page says by itself: notes that pass, and questions that wait for an answer.
import { store } from './store.js';

export const notes = store([]);
export const question = store(null);
let count = 0;

const PASSES_MS = 6_000;

function add(note) {
  const n = ++count;
  notes.set((all) => [...all, { ...note, n }].slice(-4));
  if (note.kind !== 'problem') setTimeout(() => dismiss(n), PASSES_MS);
}

export function dismiss(n) {
  notes.set((all) => all.filter((note) => note.n !== n));
}

/** What went wrong before is no longer of interest once somebody goes on. */
export function goOn() {
  notes.set((all) => (all.some((note) => note.kind === 'problem') ? all.filter((note) => note.kind !== 'problem') : all));
}

export function say(text) {
  add({ kind: 'done', text });
}

/** A problem in words, with its code. It stays until it is put away. */
export function tell(problem) {
  const fields = (problem.errors || []).map((error) => `${error.field} ${error.message}`).join('; ');
  add({
    kind: 'problem',
    title: problem.title || 'That did not work',
    text: fields ? `${problem.message} ${fields}.` : problem.message,
    code: problem.code || 'unexpected',
    request: problem.request_id,
  });
}

/**
 * Asks before something that cannot be undone. Answers `null` for no, else `{text}`, which is what was typed where
 * `field` asked for words.
 */
export function ask(asked) {
  return new Promise((resolve) => question.set({ ...asked, resolve }));
}
