// Counted nouns.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counted } from '../../../local/console/js/plural.js';

test('one is singular, everything else plural', () => {
  assert.deepEqual(
    [0, 1, 2, 21].map((n) => counted(n, 'vote')),
    ['0 votes', '1 vote', '2 votes', '21 votes'],
  );
  assert.equal(counted(3, 'person', 'people'), '3 people');
});
