// Counted nouns, by the plural rules of the language.
const rules = new Intl.PluralRules('en');

/** "1 class", "3 classes": a number with the form of the noun that belongs to it. */
export function counted(n, one, other = `${one}s`) {
  return `${n} ${rules.select(n) === 'one' ? one : other}`;
}
