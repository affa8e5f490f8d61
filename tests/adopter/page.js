// The platform's page, on an origin of its own: it connects Zoom through its own callback, and counts down to the next
// class.
import { serve } from './server.js';

const HTML = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>School</title>
<h1>School</h1>
<button hidden>Connect Zoom</button>
<p id="zoom"></p>
<ul></ul>
<script type="module">
const { base, token } = JSON.parse(sessionStorage.getItem('school') ?? '{}');
const call = async (method, path, body) => {
  const response = await fetch(base + path, {
    method,
    headers: { authorization: 'Bearer ' + token, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.title);
  return answer;
};
const zoom = document.querySelector('#zoom');
const button = document.querySelector('button');
const callback = location.origin + '/zoom/callback';
async function showConnection() {
  const { code, state, error } = Object.fromEntries(new URLSearchParams(location.search));
  // A used code must not be sent again when the page is reloaded.
  if (location.search) history.replaceState(null, '', '/');
  const connection = code
    ? await call('POST', '/v1/zoom/connect', { code, state })
    : await call('GET', '/v1/zoom/connection');
  zoom.textContent = error ?? connection.status + ' ' + (connection.zoom_email ?? '');
  button.hidden = connection.status === 'connected';
}
async function showClasses() {
  const { items, server_time } = await call('GET', '/v1/sessions');
  // The clock of the browser may be wrong, so only the difference of the server's times counts.
  const texts = items.map((item) => {
    const minutes = Math.round((Date.parse(item.starts_at) - Date.parse(server_time)) / 60000);
    return item.title + ' in ' + minutes + ' min, ' + item.join.state;
  });
  document.querySelector('ul').replaceChildren(
    ...texts.map((text) => Object.assign(document.createElement('li'), { textContent: text })),
  );
}
button.onclick = async () => {
  const { authorize_url } = await call('POST', '/v1/zoom/authorize', { redirect_uri: callback });
  location.assign(authorize_url);
};
if (token) {
  await showConnection().catch((error) => { zoom.textContent = error.message; });
  await showClasses();
  document.body.dataset.ready = 'yes';
}
</script>
</html>
`;

/** `{base, callback, close}` */
export async function startPage() {
  const { base, close } = await serve((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
    response.end(HTML);
  });
  return { base, callback: `${base}/zoom/callback`, close };
}
