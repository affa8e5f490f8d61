// The mailbox of a guest, who has no account and enters through the link in a mail.
import { html } from '../ui.js';
import { stack } from '../api.js';
import { useLoad } from '../load.js';
import { MAILS } from '../mails.js';
import { PEOPLE } from '../people.js';
import { stamp, HERE } from '../time.js';
import { Badge, Empty, Icon, Loaded } from '../parts/basic.js';
import { Heading } from '../parts/person.js';

/** How many of the latest mails are shown. */
const SHOWN = 20;

async function mailsTo(email) {
  const { items } = await stack.get('/local/mail');
  const own = items
    .reverse()
    .filter((mail) => mail.to === email || mail.to.includes?.(email))
    .slice(0, SHOWN);
  return Promise.all(
    own.map(async (mail) => {
      const { text } = await stack.get(`/local/mail/${mail.id}/parts`);
      const [link] = text?.match(/https?:\/\/\S+\/guest\/[\w-]+/) || [];
      return { ...mail, link };
    }),
  );
}

export function Mailbox({ as }) {
  const { email } = PEOPLE[as];
  const list = useLoad(`mailbox ${as}`, () => mailsTo(email));
  return html`<${Heading} as=${as}>Mailbox<//>
    <p class="fine">${email}. Gil has no account. Anyone with the link in a mail can join the class as this address.</p>
    <${Loaded} of=${list} height=${90}>${(mails) =>
      mails.length
        ? html`<ul class="notices">${mails.map(
            (mail) => html`<li key=${mail.id}>
      <span class="notice-icon"><${Icon} name="mail" /></span>
      <div><strong>${mail.subject}</strong><p class="fine"><time datetime=${mail.sent_at}>${stamp(mail.sent_at, HERE)}
        </time> <${Badge}>${MAILS[mail.kind] || 'Mail'}<//></p>
        ${
          mail.link &&
          html`<p><a class="button primary" href=${mail.link} target="_blank" rel="noopener noreferrer"
          aria-label=${`Open the class: ${mail.subject}`}><${Icon} name="video" /><span>Open the class</span></a></p>`
        }
            </div></li>`,
          )}</ul>`
        : html`<${Empty} icon="mail"
          title="No mail yet">When a trainer invites ${email}, the invitation appears here.<//>`}<//>`;
}
