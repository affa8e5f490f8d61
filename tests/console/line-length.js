// Fails for lines of JavaScript, TypeScript and CSS that are too long. The formatter does not break templates and
// comments.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The `lineWidth` of biome.jsonc. */
const MAX_CHARACTERS = 120;
const GENERATED = /^local\/console\/vendor\//;

const root = new URL('../../', import.meta.url);
const files = execFileSync('git', ['ls-files', '-z', '*.js', '*.mjs', '*.ts', '*.css'], {
  cwd: root,
  encoding: 'utf8',
});
let failed = false;
for (const file of files.split('\0').filter((name) => name && !GENERATED.test(name))) {
  for (const [n, line] of readFileSync(new URL(file, root), 'utf8').split('\n').entries()) {
    if ([...line].length <= MAX_CHARACTERS) continue;
    console.log(`${file}:${n + 1}: ${[...line].length} characters, at most ${MAX_CHARACTERS} are allowed`);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);
