// What a trainer does with a class, from the list as from its page.
import { api } from '../api.js';
import { click } from '../cost.js';
import { ask } from '../notes.js';

export async function cancel(as, session) {
  const sure = await ask({
    title: `Cancel “${session.title}”?`,
    text: 'Everybody who was invited is told, the calendar entry is taken back, and the meeting is deleted at Zoom. This cannot be undone.',
    yes: 'Cancel the class',
    no: 'Keep the class',
    field: { label: 'A reason for those who were invited', hint: 'One sentence; it goes into their mail.' },
  });
  if (!sure) return;
  await click('Cancel a class', () => api(as).post(`/v1/sessions/${session.id}/cancel`, sure.text ? { reason: sure.text } : {}), { done: 'The class is cancelled.' });
}

export async function resend(as, session) {
  const sure = await ask({
    title: 'Send the invitation again?',
    text: `Everybody who is invited to “${session.title}” gets the current invitation by mail once more.`,
    yes: 'Send again',
    no: 'Not now',
    danger: false,
  });
  if (!sure) return;
  await click('Resend the invitation', () => api(as).post(`/v1/sessions/${session.id}/resend-invite`, {}), {
    done: ({ queued }) => (queued === 1 ? 'One invitation is on its way.' : `${queued} invitations are on their way.`),
  });
}
