// Fault injection: the next matching calls fail.
import { html, useState } from '../ui.js';
import { stack } from '../api.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { Badge, Button, Empty, Loaded } from '../parts/basic.js';
import { Select, Text } from '../parts/form.js';

// The services with their operations and kinds of faults. `webhook` means Zoom's deliveries of events. The stack
// refuses other combinations.
const OPERATIONS = {
  zoom: [
    '*',
    'token',
    'revoke',
    'create_meeting',
    'update_meeting',
    'delete_meeting',
    'get_meeting',
    'list_meetings',
    'get_user',
    'create_user',
    'update_user',
    'set_user_status',
    'delete_user',
    'zak',
    'obf',
    'recordings',
    'past_participants',
  ],
  dynamodb: [
    '*',
    'GetItem',
    'Query',
    'BatchGetItem',
    'PutItem',
    'UpdateItem',
    'DeleteItem',
    'BatchWriteItem',
    'TransactWriteItems',
    'TransactGetItems',
  ],
  sqs: [
    '*',
    'SendMessage',
    'SendMessageBatch',
    'ReceiveMessage',
    'DeleteMessage',
    'DeleteMessageBatch',
    'ChangeMessageVisibility',
  ],
  ses: ['SendEmail'],
  secretsmanager: ['GetSecretValue'],
  eventbridge: ['PutEvents'],
  webhook: [
    '*',
    'meeting.started',
    'meeting.ended',
    'meeting.participant_joined',
    'meeting.participant_left',
    'meeting.updated',
    'meeting.deleted',
    'recording.completed',
    'app_deauthorized',
  ],
};
const KINDS = [
  ['error', 'Answers 500, nothing done'],
  ['throttle', 'Throttles'],
  ['timeout', 'No answer, nothing done'],
  ['late', 'Done, answered late'],
  ['lost', 'Done, the answer is lost'],
  ['deferred', 'No answer, done five minutes later'],
  ['half', 'Done, the answer is cut'],
  ['html', 'A proxy answers with HTML'],
  ['unauthorized', 'Credentials refused'],
  ['daily', 'Daily limit used up'],
  ['invalid_grant', 'Refresh token is dead'],
  ['conflict', 'Another transaction'],
  ['stale', 'An index that is behind'],
  ['partial', 'The last of a batch fails'],
  ['paused', 'Sending paused'],
  ['rejected', 'This mail refused for good'],
  ['drop', 'Never delivered'],
  ['duplicate', 'Delivered twice'],
  ['delay', 'Delivered ten minutes late'],
  ['reorder', 'Delivered after the next event'],
];
const ONLY = {
  drop: ['webhook'],
  duplicate: ['webhook'],
  delay: ['webhook'],
  reorder: ['webhook'],
  invalid_grant: ['zoom'],
  deferred: ['zoom'],
  daily: ['zoom', 'ses'],
  conflict: ['dynamodb'],
  stale: ['dynamodb'],
  partial: ['dynamodb', 'sqs'],
  paused: ['ses'],
  rejected: ['ses'],
};

export function Faults() {
  const list = useLoad('faults', () => stack.get('/local/faults'), { every: 4000 });
  const [fault, setFault] = useState({ service: 'zoom', operation: 'create_meeting', kind: 'error', times: 1 });
  const kinds = KINDS.filter(([kind]) =>
    ONLY[kind] ? ONLY[kind].includes(fault.service) : fault.service !== 'webhook',
  );
  const set = (field) => (value) =>
    setFault((held) => ({
      ...held,
      [field]: value,
      ...(field === 'service' && { operation: OPERATIONS[value][0], kind: value === 'webhook' ? 'drop' : 'error' }),
    }));
  const remove = () =>
    click('Remove all faults', () => stack.delete('/local/faults'), { done: 'All faults are removed.' });
  const inject = (event) => {
    event.preventDefault();
    click('Inject a fault', () => stack.post('/local/faults', { ...fault, times: Number(fault.times) }), {
      done: 'The next matching call fails.',
    });
  };
  return html`<form class="card form-card" onSubmit=${inject}><div class="row">
      <${Select} label="Service" value=${fault.service} onChange=${set('service')}
        options=${Object.keys(OPERATIONS).map((key) => [key, key])} />
      <${Select} label="Call" value=${fault.operation} onChange=${set('operation')}
        options=${OPERATIONS[fault.service].map((key) => [key, key === '*' ? 'any' : key])} />
      <${Select} label="What goes wrong" value=${fault.kind} onChange=${set('kind')} options=${kinds} />
      <${Text} label="How many calls" type="number" min="1" max="100" value=${fault.times} onInput=${set('times')} />
        </div>
      <footer class="form-foot"><${Button} type="submit" kind="primary">Inject<//></footer></form>
    <h3>Active faults</h3>
    <${Loaded} of=${list} lines=${1} height=${48}>${(of) => {
      const items = of.items || of.faults || of;
      return items.length
        ? html`<ul class="card people">${items.map(
            (each, n) => html`<li key=${n}><${Badge} tone="warn">${each.kind}
          <//> <strong>${each.service}</strong> ${each.operation} <span class="fine">× ${each.times}</span></li>`,
          )}</ul>
        <p><${Button}
          onClick=${remove}>Remove all<//></p>`
        : html`<${Empty} icon="check" title="No active faults" />`;
    }}<//>`;
}
