// Messages that disappear, and questions that wait for an answer.
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

/** Removes error messages when the user continues. */
export function goOn() {
  notes.set((all) =>
    all.some((note) => note.kind === 'problem') ? all.filter((note) => note.kind !== 'problem') : all,
  );
}

export function say(text) {
  add({ kind: 'done', text });
}

/** The text of an error in English, as the API sends it. */
function asSent(problem) {
  const fields = (problem.errors || []).map((error) => `${error.field} ${error.message}`).join(', ');
  return [problem.title || 'Request failed', fields ? `${problem.message} ${fields}.` : problem.message];
}
let explain = asSent;

/** Sets how errors are shown: `explanation` returns the title and the next step. */
export function explainWith(explanation) {
  explain = explanation;
}

/** Shows an error with its code until it is dismissed. */
export function tell(problem) {
  const [title, text] = explain(problem);
  add({
    kind: 'problem',
    title,
    text,
    code: problem.code || 'unexpected',
    request: problem.request_id,
  });
}

/**
 * Asks for confirmation before an irreversible action. Returns `null` for no, else `{text}` with the text typed into
 * `field`.
 */
export function ask(asked) {
  return new Promise((resolve) => question.set({ ...asked, resolve }));
}
