// The import of a term's classes, one JSON object in each line.
import { html, useState } from '../ui.js';
import { click } from '../cost.js';
import { HERE } from '../time.js';
import { Badge, Button, Loaded, Note, ProblemNote } from '../parts/basic.js';
import { Text } from '../parts/form.js';
import { backEnd, daysAhead, startOf, useSchool } from './school.js';

const ROWS = 10;

/** Returns lessons of a course, one a week, as lines of the import. */
function term(school) {
  const [course] = school.courses;
  const line = (week) =>
    JSON.stringify({
      external_ref: `term-${week}`,
      trainer_id: course?.trainer_id || school.trainers[0]?.id,
      title: `Week ${week}`,
      audience_type: course ? 'course' : 'standalone',
      ...(course && { course_id: course.id }),
      starts_at: startOf(daysAhead(7 * week)),
      timezone: HERE,
      duration_minutes: 60,
    });
  return [1, 2, 3, 4, 5, 6].map(line).join('\n');
}

export function Imports() {
  const school = useSchool();
  return html`<${Note} icon="download" title="Up to 1,000 classes at a time">
      <p>Each line is a booking with its reference.${' '}
      The meetings are made later, some days before each class.</p><//>
    <${Loaded} of=${school} lines=${1}>${(of) => html`<${Lines} of=${of} />`}<//>`;
}

function Rejected({ of }) {
  return html`<tr><td class="num">${of.line}</td><td><code>${of.code}</code></td></tr>`;
}

function Lines({ of }) {
  const [lines, setLines] = useState(() => term(of));
  const [answer, setAnswer] = useState(null);
  const [problem, setProblem] = useState(null);
  const send = async (event) => {
    event.preventDefault();
    setProblem(null);
    setAnswer(null);
    const post = () =>
      backEnd.call({
        method: 'POST',
        path: '/v1/sessions/import',
        raw: lines,
        headers: { 'content-type': 'application/x-ndjson' },
      });
    try {
      const { data } = await click('Import classes', post, { quiet: true, done: 'Imported.' });
      setAnswer(data);
    } catch (refused) {
      setProblem(refused);
    }
  };
  return html`<form class="card form-card" onSubmit=${send} aria-label="Import classes"><${ProblemNote} of=${problem} />
    <${Text} label="Lines" lines=${ROWS} value=${lines} onInput=${setLines} spellcheck="false" required />
    <footer class="form-foot"><${Button} type="submit" kind="primary">Import<//></footer></form>
    ${
      answer &&
      html`<section class="card" aria-label="Answer" aria-live="polite">
      <p><${Badge} tone="good">${answer.accepted} accepted<//>${' '}
        ${answer.rejected_count > 0 && html`<${Badge} tone="bad">${answer.rejected_count} rejected<//>`}</p>
      ${
        answer.rejected.length > 0 &&
        html`<div class="table-wrap" tabindex="0" role="region" aria-label="Rejected lines"><table>
        <thead><tr><th scope="col" class="num">Line</th><th scope="col">Code</th></tr></thead>
        <tbody>${answer.rejected.map((line) => html`<${Rejected} key=${line.line} of=${line} />`)}</tbody>
        </table></div>`
      }
      ${answer.next_line && html`<p class="fine">The time was up. Send the rest from line ${answer.next_line}.</p>`}
    </section>`
    }`;
}
