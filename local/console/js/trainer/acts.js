// A trainer's actions on a class, shared by the list and the detail page.
import { html } from '../ui.js';
import { api } from '../api.js';
import { click } from '../cost.js';
import { ask } from '../notes.js';
import { counted } from '../plural.js';

export async function cancel(as, session) {
  const sure = await ask({
    title: html`Cancel “<bdi>${session.title}</bdi>”?`,
    text:
      'Everyone who was invited gets a cancellation by mail with a calendar update, and the meeting is deleted at ' +
      'Zoom. This cannot be undone.',
    yes: 'Cancel the class',
    no: 'Keep the class',
    field: { label: 'Reason', hint: 'One sentence for the mail.' },
  });
  if (!sure) return;
  await click(
    'Cancel a class',
    () => api(as).post(`/v1/sessions/${session.id}/cancel`, sure.text ? { reason: sure.text } : {}),
    { done: 'The class is cancelled.' },
  );
}

export async function resend(as, session) {
  const sure = await ask({
    title: 'Send the invitation again?',
    text: html`Everyone invited to “<bdi>${session.title}</bdi>” gets the current invitation by mail again.`,
    yes: 'Send again',
    no: 'Not now',
    danger: false,
  });
  if (!sure) return;
  await click('Resend the invitation', () => api(as).post(`/v1/sessions/${session.id}/resend-invite`, {}), {
    done: ({ queued }) => `${counted(queued, 'invitation')} queued.`,
  });
}
