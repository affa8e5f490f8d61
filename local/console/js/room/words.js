// The room's texts in four languages. Zoom's client has texts of its own, see `zoom-words/`.
import ar from './words/ar.js';
import en from './words/en.js';
import es from './words/es.js';
import hi from './words/hi.js';

export const LANGUAGES = { en: 'English', ar: 'العربية', hi: 'हिन्दी', es: 'Español' };
export const direction = (language) => (language === 'ar' ? 'rtl' : 'ltr');

export const WORDS = { en, ar, hi, es };

/** Placeholders for texts of people, whose direction may differ from that of the sentence. */
const WRITTEN = ['name', 'question'];
const isolated = (text) => `\u2068${text}\u2069`;

/** Returns the texts of a language. Placeholders such as `{n}` are replaced. */
export function words(language) {
  const of = WORDS[language] || WORDS.en;
  return (key, values = {}) =>
    (of[key] ?? WORDS.en[key]).replace(/\{(\w+)\}/g, (_, name) =>
      WRITTEN.includes(name) ? isolated(values[name]) : values[name],
    );
}
