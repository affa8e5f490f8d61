// The room's texts in four languages. Zoom's client has texts of its own, see `zoom-words/`.
import ar from './words/ar.js';
import en from './words/en.js';
import es from './words/es.js';
import hi from './words/hi.js';

export const LANGUAGES = { en: 'English', ar: 'العربية', hi: 'हिन्दी', es: 'Español' };
export const direction = (language) => (language === 'ar' ? 'rtl' : 'ltr');

export const WORDS = { en, ar, hi, es };

/** Returns the texts of a language. Placeholders such as `{n}` are replaced. */
export function words(language) {
  const of = WORDS[language] || WORDS.en;
  return (key, values = {}) => (of[key] ?? WORDS.en[key]).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
