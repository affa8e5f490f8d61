// The import of a school with 4,500 lines, as an export of a database looks: some lines are wrong, and some records are
// missing.
import assert from 'node:assert/strict';
import { repeated } from './stack.js';

export const COURSES = 60;
const TRAINERS = 30;
const LINES = 4500;
const STUDENTS = 1500;
/** Every tenth student is known without an address. */
const WITHOUT_ADDRESS = 10;

const course = (n) => `course:${n}`;
const student = (n) => `student-${n}`;
export const trainer = (n) => `trainer-${n}`;

/** The lines, in the worst order: enrollments before their courses and users, and the settings at the end. */
export function school() {
  const users = [];
  for (let n = 0; n < TRAINERS; n += 1) {
    const plan = n === 7 ? 'platinum' : 'pro';
    const email = `trainer${n}@example.test`;
    users.push({ type: 'user', id: trainer(n), email, name: `Trainer ${n}`, role: 'trainer', plan });
  }
  for (let n = 0; n < STUDENTS; n += 1) {
    const address = n % WITHOUT_ADDRESS === 0 ? {} : { email: `student${n}@example.test` };
    users.push({ type: 'user', id: student(n), ...address, name: `Student ${n}`, role: 'student' });
  }
  const courses = [];
  for (let n = 0; n < COURSES; n += 1) {
    courses.push({ type: 'course', id: course(n), title: `Course ${n}`, trainer_id: trainer(n % TRAINERS) });
  }
  const settings = {
    type: 'settings',
    live_classes_enabled: true,
    plans: { pro: {}, free: { sessions_per_month: 4 } },
  };
  const wrong = [
    { type: 'user', id: 'student-a', email: 'nobody', name: 'Ann', role: 'student' },
    { type: 'enrollment', course_id: course(1), user_id: student(1), email: 'a@', name: 'One' },
    { type: 'course', id: course(99), trainer_id: trainer(1) },
    { type: 'enrolment', course_id: course(1), user_id: student(1), name: 'One' },
  ];
  const count = LINES - users.length - courses.length - wrong.length - 1;
  const enrollments = Array.from({ length: count }, (_, n) => ({
    type: 'enrollment',
    // Three of the enrollments belong to a course that was deleted.
    course_id: n < 3 ? course(500) : course((n * 7) % COURSES),
    user_id: student(n % STUDENTS),
    name: `Student ${n % STUDENTS}`,
  }));
  return [...enrollments, ...wrong, ...courses, ...users, settings];
}

/** Imports all lines. Each response counts its own lines from 1. */
export async function importLines(stack, token, records) {
  const total = { accepted: 0, rejected: [], warnings: [], requests: 0 };
  for (let first = 0; first < records.length; ) {
    const lines = records
      .slice(first)
      .map((record) => JSON.stringify(record))
      .join('\n');
    const { body } = await repeated(() => stack.call(token, 'POST', '/v1/directory/import', { lines }));
    total.accepted += body.accepted;
    total.rejected.push(...body.rejected.map((it) => ({ ...it, record: records[first + it.line - 1] })));
    total.warnings.push(...body.warnings);
    total.requests += 1;
    first = body.next_line === null ? records.length : first + body.next_line - 1;
  }
  return total;
}

export async function directory({ stack, issuer }) {
  const token = issuer.token('back-end', 'service');
  const records = school();
  assert.equal(records.length, LINES);
  // Of a second import, as of a nightly export, nothing differs.
  for (const time of ['first', 'second']) {
    const start = Date.now();
    const result = await importLines(stack, token, records);
    assert.equal(result.accepted, LINES - 4, time);
    const ids = result.rejected.map(({ course_id, user_id }) => [course_id, user_id]);
    assert.deepEqual(ids, [
      [undefined, 'student-a'],
      ['course:1', 'student-1'],
      ['course:99', undefined],
      [undefined, undefined],
    ]);
    for (const { record, line } of result.rejected) assert.ok(record, `line ${line} belongs to a record`);
    assert.equal(JSON.stringify(result.rejected.map(({ record, ...rest }) => rest)).includes('@'), false);
    if (result.requests === 1) {
      const counts = result.warnings.map(({ code, kind, count }) => [code, kind, count]);
      assert.deepEqual(counts, [
        ['unknown_course', 'enrollment', 3],
        ['unknown_plan', 'user', 1],
      ]);
    }
    console.log(`    ${time} import: ${LINES} lines in ${result.requests} request(s), ${Date.now() - start} ms`);
  }
  // A token of another issuer, or with the role elsewhere, has no rights.
  const misplaced = issuer.token('back-end', 'nobody', { role: 'service' });
  await assert.rejects(stack.call(misplaced, 'PUT', '/v1/directory/settings', { body: {} }), { status: 403 });
  const forged = `${token.slice(0, -8)}AAAAAAAA`;
  await assert.rejects(stack.call(forged, 'GET', '/v1/me/capabilities'), { status: 401 });
}
