// Rules of the room, without a browser.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CODES, explain, isCuredByNewJoin } from '../../../local/console/js/room/errors.js';
import { MOST_ATTEMPTS, STATUS, delay, isDropped } from '../../../local/console/js/room/rejoin.js';
import { WORDS, words } from '../../../local/console/js/room/words.js';
import { loadLanguage, translated } from '../../../local/console/js/room/zoom-language.js';
import { download } from '../../../local/console/js/room/download.js';
import { judge, nextRaise, order } from '../room/sdk-version.js';

const day = (date) => date.toISOString().slice(0, 10);

test('every text exists in every language', () => {
  const [keys, ...others] = Object.values(WORDS).map((texts) => Object.keys(texts).sort());
  for (const other of others) assert.deepEqual(other, keys);
  for (const [language, texts] of Object.entries(WORDS))
    for (const [key, text] of Object.entries(texts)) {
      const places = (of) => (of.match(/\{\w+\}/g) || []).sort().join();
      assert.equal(places(text), places(WORDS.en[key]), `${language} ${key}`);
    }
  assert.equal(words('hi')('votes', { n: 3 }), 'मत: 3');
  assert.equal(words('xx')('join'), WORDS.en.join);
});

test('every code is explained in every language, and others by their own text', () => {
  for (const code of Object.keys(CODES))
    for (const language of Object.keys(WORDS)) {
      const [title, next] = explain(language, { code });
      assert.ok(title && next, `${language} ${code}`);
    }
  assert.equal(explain('es', { code: 'zoom_sdk_3004', zoom: 3004 })[0], 'El código de acceso es incorrecto');
  assert.deepEqual(explain('es', { code: 'odd', title: 'Odd', message: 'Why' }), ['Odd', 'Why']);
  assert.deepEqual(explain('en', { code: 'zoom_sdk_77', zoom: 77 }), explain('en', { code: 1 }));
});

test('codes in the reference are explained', () => {
  const page = readFileSync(new URL('../../../docs/reference/zoom-app.md', import.meta.url), 'utf8');
  const table = page.slice(page.indexOf('## Errors of the SDK in the browser'));
  const codes = [...table.matchAll(/^\| ([\d, ]+) \|/gm)].flatMap(([, list]) => list.split(',').map(Number));
  assert.ok(codes.length > 10);
  for (const code of codes) assert.ok(code === 3008 || CODES[code], `${code}`);
});

test('an expired token is cured by a new join, a wrong passcode is not', () => {
  assert.equal(isCuredByNewJoin({ zoom: 3705 }), true);
  assert.equal(isCuredByNewJoin({ zoom: 3004 }), false);
  assert.equal(isCuredByNewJoin({ code: 'zoom_sdk_3705' }), false);
});

test('attempts to join again are spread, slow down and end', () => {
  const plain = [0, 1, 2, 3, 4, 11].map((attempt) => delay(attempt, 0));
  assert.deepEqual(plain, [2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  assert.equal(delay(0, 1), 3_000);
  assert.equal(delay(MOST_ATTEMPTS, 0), null);
});

test('a disconnection after no input or a reconnection is a broken connection', () => {
  for (const [before, sinceInputMs, dropped] of [
    [STATUS.connected, 500, false],
    [STATUS.connected, 60_000, true],
    [STATUS.reconnecting, 500, true],
  ])
    assert.equal(isDropped(before, sinceInputMs), dropped);
});

test('Arabic replaces the texts that it has, and is loaded before the meeting', async () => {
  const english = { 'apac.a': 'Mute', 'apac.b': 'Mute', 'apac.c': 'Something rare' };
  const arabic = { Mute: 'كتم الصوت' };
  assert.deepEqual(translated(english, arabic), {
    'apac.a': 'كتم الصوت',
    'apac.b': 'كتم الصوت',
    'apac.c': 'Something rare',
  });
  const loads = [];
  const load = async (...args) => {
    loads.push(args);
    return english;
  };
  const i18n = { load };
  await loadLanguage(i18n, 'ar');
  assert.deepEqual(loads[0], ['en-US']);
  for (const [n, code] of ['en-US', 'ar-SA'].entries())
    assert.deepEqual([loads[n + 1][0]['apac.a'], loads[n + 1][1]], ['كتم الصوت', code]);
  loads.length = 0;
  await loadLanguage(i18n, 'es');
  await loadLanguage(i18n, 'xx');
  assert.deepEqual(loads, [['es-ES'], ['en-US']]);
});

test('a download reports bytes, and fails when nothing arrives', async (context) => {
  const reports = [];
  const body = (chunks, end) => ({
    ok: true,
    body: { getReader: () => ({ read: async () => (chunks.length ? { value: { length: chunks.shift() } } : end()) }) },
  });
  context.mock.method(globalThis, 'fetch', async () => body([3, 4], () => ({ done: true })));
  await download(
    [
      { url: 'a', bytes: 7 },
      { url: 'b', bytes: 7 },
    ],
    (loaded, total) => reports.push([loaded, total]),
  );
  assert.deepEqual(reports.at(-1), [14, 14]);
  const stalled = (_, { signal }) =>
    body([1], () => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))));
  /** @type {any} */ (globalThis.fetch).mock.mockImplementation(stalled);
  await assert.rejects(
    download([{ url: 'a', bytes: 7 }], () => {}, { stalledMs: 20 }),
    { code: 'sdk_not_loaded' },
  );
  /** @type {any} */ (globalThis.fetch).mock.mockImplementation(async () => ({ ok: false, status: 404 }));
  await assert.rejects(
    download([{ url: 'a', bytes: 7 }], () => {}),
    { code: 'sdk_not_loaded' },
  );
});

test('Zoom raises its minimum on the first Saturday of four months', () => {
  const next = (now) => day(nextRaise(new Date(now)));
  assert.equal(next('2026-11-30'), '2027-02-06');
  assert.equal(next('2026-11-07'), '2027-02-06');
  assert.equal(next('2026-11-06'), '2026-11-07');
  assert.equal(next('2026-02-06'), '2026-02-07');
});

test('only a version that npm does not have fails, and an older one is a warning', () => {
  const times = {
    created: '2020-01-01',
    '5.9.0': '2026-01-10',
    '6.0.0': '2026-03-01',
    '6.1.0-rc': '2026-04-01',
    '6.10.0': '2026-09-01',
    modified: '2026-11-01',
  };
  assert.ok(order('6.10.0', '6.9.9') > 0 && order('6.2.0', '6.2.0') === 0);
  const of = (version) => judge(version, { latest: '6.10.0', times }, new Date('2026-11-30'));
  const [old, newest, unknown] = ['5.9.0', '6.10.0', '6.9.0'].map(of);
  assert.deepEqual([old.exists, newest.exists, unknown.exists], [true, true, false]);
  assert.match(old.lines[0], /^WARNING: .* 5\.9\.0 is 2 versions and 8 months older than 6\.10\.0/);
  assert.match(newest.lines[0], /is the latest on npm/);
  for (const { lines } of [old, newest]) assert.match(lines[1], /on 2027-02-06/);
  assert.match(unknown.lines[0], /^ERROR: npm has no @zoom\/meetingsdk@6\.9\.0/);
});
