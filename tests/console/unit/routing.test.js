// Addresses and the pages that they show.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOME, address, changedPages, linkedClass, pageOf, parse } from '../../../local/console/js/address.js';

const open = (hash, before = HOME) => parse(hash, before);

test('an address shows a person’s page, and without one the trainer’s', () => {
  assert.equal(open('').view, 'tara');
  assert.equal(open('#/').view, 'tara');
  assert.deepEqual(open('#/sam/classes/ses_a/polls').places.sam, 'classes/ses_a/polls');
  assert.equal(open('#/sam').places.sam, 'classes');
  assert.equal(open('#/scenes').places.scenes, 'mail');
});

test('other panes keep their places', () => {
  const before = { ...HOME, tara: 'new' };
  assert.equal(open('#/sam/notices', before).places.tara, 'new');
  const { view, places } = open('#/all?sam=notices', before);
  assert.deepEqual([view, places.tara, places.sam], ['all', 'new', 'notices']);
});

test('an address that does not exist is unknown', () => {
  assert.equal(open('#/nobody/classes').view, 'unknown');
  assert.equal(open('#/tara/classes').view, 'tara');
});

test('every address is read back as it was written', () => {
  for (const hash of [
    '#/tara/classes/ses_a/edit',
    '#/sam/preferences',
    '#/gil/mail',
    '#/platform/runs',
    '#/scenes/dead',
  ])
    assert.equal(address(open(hash)), hash);
  const all = { view: 'all', places: { ...HOME, sam: 'classes/ses_a' } };
  assert.deepEqual(open(address(all)), all);
});

test('a place is a page of the person’s role', () => {
  const trainer = (place) => pageOf('trainer', place);
  const student = (place) => pageOf('student', place);
  assert.deepEqual(trainer('classes'), { page: 'classes' });
  assert.deepEqual(trainer('new'), { page: 'new' });
  assert.deepEqual(trainer('classes/a'), { page: 'class', id: 'a', part: 'overview', section: null });
  assert.deepEqual(trainer('classes/a/timeline'), { page: 'class', id: 'a', part: 'timeline', section: null });
  assert.deepEqual(trainer('classes/a/edit'), { page: 'edit', id: 'a' });
  // The sections of the page after class keep their own addresses.
  assert.deepEqual(trainer('classes/a/polls'), { page: 'class', id: 'a', part: 'report', section: 'polls' });
  assert.deepEqual(student('classes/a/recordings'), { page: 'class', id: 'a', part: 'report', section: 'recordings' });
});

test('a place of another role, or with a misspelt part, is unknown', () => {
  const unknown = { page: 'unknown' };
  for (const place of ['new', 'classes/a/edit', 'classes/a/timeline', 'classes/a/attendance', 'nonsense', 'notices/a'])
    assert.deepEqual(pageOf('student', place), unknown, place);
  for (const place of ['classes/a/nonsense', 'classes/a/polls/b', 'mail'])
    assert.deepEqual(pageOf('trainer', place), unknown, place);
});

test('a navigation changes one page, or the whole view', () => {
  const at = (view, places = {}) => ({ view, places: { ...HOME, ...places } });
  assert.deepEqual(changedPages(at('tara'), at('sam')), ['sam']);
  assert.deepEqual(changedPages(at('tara'), at('tara', { tara: 'new' })), ['tara']);
  assert.deepEqual(changedPages(at('all'), at('all', { sam: 'notices' })), ['sam']);
  assert.deepEqual(changedPages(at('all'), at('all')), []);
  // A link to the page that is shown.
  assert.deepEqual(changedPages(at('sam'), { ...at('sam'), again: 'sam' }), ['sam']);
});

test('the address of a mail leads to a class', () => {
  assert.equal(linkedClass('/sessions/ses_a'), 'ses_a');
  assert.equal(linkedClass('/sessions/ses_a/more'), undefined);
  assert.equal(linkedClass('/'), undefined);
});
