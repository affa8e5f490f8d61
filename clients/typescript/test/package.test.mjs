// The built package, loaded as an ES module and as CommonJS, against a server that answers as the API does.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import * as imported from '@live-classes/client';

const required = createRequire(import.meta.url)('@live-classes/client');
const problem = {
  type: 'about:blank',
  title: 'Too many requests',
  status: 429,
  detail: 'Try again later.',
  code: 'rate_limited',
  request_id: 'r1',
};

let server;
let baseUrl;

before(async () => {
  server = createServer((request, response) => {
    assert.equal(request.headers.authorization, 'Bearer secret');
    if (request.url.startsWith('/v1/me/notifications')) request.socket.destroy();
    else if (request.url.startsWith('/v1/sessions/ses_limited')) {
      response
        .writeHead(429, { 'content-type': 'application/problem+json', 'retry-after': '7' })
        .end(JSON.stringify(problem));
    } else if (request.headers['if-none-match'] === '"1"') response.writeHead(304, { etag: '"1"' }).end();
    else response.writeHead(200, { 'content-type': 'application/json', etag: '"1"' }).end('{"items":[]}');
  });
  await new Promise((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  baseUrl = `http://127.0.0.1:${port}`;
});
after(() => server.close());

for (const [format, client] of [
  ['ES module', imported],
  ['CommonJS', required],
]) {
  const { answer, liveClasses, NetworkError, ProblemError } = client;
  const api = () => liveClasses({ baseUrl, token: () => 'secret' });
  const polls = (id, etag) =>
    api().GET('/v1/sessions/{id}/polls', {
      params: { path: { id }, header: etag ? { 'If-None-Match': etag } : {} },
    });

  test(`${format}: a success is its body`, async () => {
    assert.deepEqual(await answer(polls('ses_1')), { items: [] });
  });

  test(`${format}: a 304 is what the caller has`, async () => {
    const held = { items: ['held'] };
    assert.equal(await answer(polls('ses_1', '"1"'), { unchanged: held }), held);
    assert.equal(await answer(polls('ses_1', '"1"'), { unchanged: undefined }), undefined);
    await assert.rejects(answer(polls('ses_1', '"1"')), { name: 'ProblemError', code: 'not_modified', status: 304 });
  });

  test(`${format}: a problem has its code and the time to wait`, async () => {
    const refused = await answer(polls('ses_limited')).catch((error) => error);
    assert.ok(refused instanceof ProblemError);
    assert.deepEqual([refused.code, refused.retryAfter, refused.message], ['rate_limited', 7, 'Try again later.']);
  });

  test(`${format}: a broken connection is a network error`, async () => {
    const failed = await answer(api().GET('/v1/me/notifications')).catch((error) => error);
    assert.ok(failed instanceof NetworkError);
    assert.ok(failed.cause instanceof Error);
  });

  test(`${format}: an abort is the caller's own`, async () => {
    const aborted = answer(api().GET('/v1/me/sessions', { signal: AbortSignal.abort() }));
    await assert.rejects(aborted, { name: 'AbortError' });
  });
}
