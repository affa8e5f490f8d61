// The nightly export of the platform as CSV files, sent with the command of the Python client.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { school } from './directory.js';

/** The command's exit code if some records were rejected. */
const SOME_REJECTED = 3;
const COLUMNS = {
  user: ['id', 'email', 'name', 'role', 'plan'],
  course: ['id', 'title', 'trainer_id'],
  enrollment: ['course_id', 'user_id', 'email', 'name'],
};

function csv(kind, records) {
  const columns = COLUMNS[kind];
  const rows = records.filter((record) => record.type === kind);
  return [columns, ...rows.map((record) => columns.map((name) => record[name] ?? ''))]
    .map((cells) => `${cells.join(',')}\n`)
    .join('');
}

/** Runs a command without blocking, because the issuer answers in this process. */
function run(command, args, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'pipe'] });
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log += text;
    });
    child.on('error', reject).on('close', (code) => resolve({ code, log }));
  });
}

export async function exported({ stack, issuer, importer }) {
  const records = school();
  const folder = mkdtempSync(join(tmpdir(), 'school-'));
  const file = (name) => join(folder, name);
  try {
    for (const kind of Object.keys(COLUMNS)) writeFileSync(file(`${kind}s.csv`), csv(kind, records));
    const files = Object.keys(COLUMNS).flatMap((kind) => [`--${kind}s`, file(`${kind}s.csv`)]);
    const args = [...files, '--url', stack.base, '--report', file('report.ndjson')];
    const { code, log } = await run(importer, args, { LIVE_CLASSES_TOKEN: issuer.token('back-end', 'service') });
    assert.equal(code, SOME_REJECTED, log);
    const lines = readFileSync(file('report.ndjson'), 'utf8').trim().split('\n');
    const report = lines.map((line) => JSON.parse(line));
    const rejected = report.filter(({ outcome }) => outcome === 'rejected');
    const found = rejected.map((it) => [it.user_id ?? it.id, it.course_id, it.field]);
    assert.equal(rejected.length, 3, JSON.stringify(found));
    // Each rejection leads to the line of the file.
    for (const { file: path, line } of rejected) {
      const text = readFileSync(path, 'utf8').split('\n')[line - 1];
      assert.ok(/student-a|a@,|course:99/.test(text), `${path}:${line} is ${text}`);
    }
    const warnings = report.filter(({ outcome }) => outcome === 'warning');
    const count = (wanted) => warnings.reduce((sum, it) => sum + (it.code === wanted ? it.count : 0), 0);
    assert.deepEqual([count('unknown_course'), count('unknown_plan'), count('unknown_user')], [3, 1, 0], log);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
