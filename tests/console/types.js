// Calls that the type check must refuse: `tsc` fails if one of these lines has no error. Nothing runs this file.
import { all, api } from '../../local/console/js/api.js';

/** @param {string} id */
export async function refused(id) {
  const tara = api('tara');
  // @ts-expect-error: openapi.yaml has no such path.
  await tara.get(`/v1/sessions/${id}/nonsense`);
  // @ts-expect-error: the path has no such method.
  await tara.delete(`/v1/sessions/${id}/attendance`);
  // @ts-expect-error: the body has no such field.
  await tara.put(`/v1/sessions/${id}/polls/${id}/vote`, { choices: [] });
  const polls = await tara.get(`/v1/sessions/${id}/polls`);
  // @ts-expect-error: a poll has no such field.
  const field = polls.items[0].nonsense;
  const [session] = await all('tara', '/v1/sessions?limit=100');
  // @ts-expect-error: a class has no such field.
  return [field, session.nonsense];
}
