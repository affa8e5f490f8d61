// The texts of components that the console and the room share. The console is in English, the room in the language of
// its reader.
import { store, useStore } from '../store.js';

const ENGLISH = {
  dismiss: 'Dismiss',
  closeDialog: 'Close',
  cancel: 'Cancel',
  show: 'Show',
  hide: 'Hide',
  copyPasscode: 'Copy passcode',
  passcodeCopied: 'Passcode copied.',
  useLight: 'Use light colours',
  useDark: 'Use dark colours',
  details: 'Details',
};
const labels = store(ENGLISH);

/** Sets the texts. `word` returns the text of a key. */
export function translateLabels(word) {
  labels.set(/** @type {typeof ENGLISH} */ (Object.fromEntries(Object.keys(ENGLISH).map((key) => [key, word(key)]))));
}

export const useLabels = () => useStore(labels);
