// The language of Zoom's client. It has no Arabic and no Hindi, but takes a dictionary of texts by key.
import ar from './zoom-words/ar.js';
import hi from './zoom-words/hi.js';

const OF_ZOOM = { en: 'en-US', es: 'es-ES' };
const OF_OURS = { ar: ['ar-SA', ar], hi: ['hi-IN', hi] };

/** Zoom's pages run from left to right, so punctuation at the end of an Arabic text needs a mark of its direction. */
const RIGHT_TO_LEFT_MARK = '\u200f';
const marked = (text) => (/\p{Script=Arabic}.*[….:!؟]$/u.test(text) ? `${text}${RIGHT_TO_LEFT_MARK}` : text);

/** Replaces the English texts that have a translation. The keys are Zoom's and may change, the texts rarely do. */
export function translated(english, translations) {
  return Object.fromEntries(Object.entries(english).map(([key, text]) => [key, marked(translations[text] ?? text)]));
}

/** Loads the language into the SDK's `i18n`. It must have ended before `init`, or the controls stay English. */
export async function loadLanguage(i18n, language) {
  const ours = OF_OURS[language];
  if (!ours) {
    await i18n.load(OF_ZOOM[language] ?? OF_ZOOM.en);
    return;
  }
  const [code, translations] = ours;
  // `getAll` has only the texts of errors if the client has loaded English by itself.
  const dictionary = translated(await i18n.load(OF_ZOOM.en), translations);
  // The client looks up texts in its own languages first, and falls back to English. So English gets our texts too.
  await i18n.load(dictionary, OF_ZOOM.en);
  await i18n.load(dictionary, code);
}
