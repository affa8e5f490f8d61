// Items of tables, and the search of lists.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matches } from '../../../local/console/js/parts/search.js';
import { plainItem } from '../../../local/console/js/scenes/data.js';

test('an item of DynamoDB is shown as plain JSON', () => {
  const item = {
    pk: { S: 'SESSION#a' },
    version: { N: '12' },
    open: { BOOL: false },
    ended: { NULL: true },
    drift: { L: [{ S: 'title' }, { M: { minutes: { N: '5' } } }] },
    days: { NS: ['1', '2'] },
  };
  assert.deepEqual(plainItem(item), {
    pk: 'SESSION#a',
    version: 12,
    open: false,
    ended: null,
    drift: ['title', { minutes: 5 }],
    days: [1, 2],
  });
});

test('a search finds all of its words, in any order and case', () => {
  const text = 'student1@example.test New class: Fractions scheduled';
  for (const search of ['', 'fractions', 'SCHEDULED student1', ' class  new '])
    assert.ok(matches(text, search), search);
  assert.equal(matches(text, 'fractions cancelled'), false);
});
