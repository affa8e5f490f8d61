// The page in the room's frame. It holds Zoom's Meeting SDK for the web (client view), which takes a whole window for
// itself: it measures the window, adds elements to the body and rules for `html` and headings. In a frame, the window
// is the pane that the room leaves to it, and removing the frame removes all of it.
// https://developers.zoom.us/docs/meeting-sdk/web/client-view/
import { download } from './download.js';
import { loadLanguage } from './zoom-language.js';

const MANIFEST = '/console/zoom-sdk.json';
/** Zoom's client leads here when somebody has left. */
const LEFT = '?left';

let lastInput = 0;
for (const input of ['pointerdown', 'keydown'])
  addEventListener(input, () => (lastInput = performance.now()), { capture: true });

const toRoom = (message) => parent.postMessage(message, location.origin);

function insert(src) {
  return new Promise((resolve, reject) => {
    // Without `crossorigin`, an isolated page would not share the file with the download.
    const script = Object.assign(document.createElement('script'), { src, async: false, crossOrigin: 'anonymous' });
    script.onload = resolve;
    script.onerror = () => reject(Object.assign(new Error(`${src} was not loaded`), { code: 'sdk_not_loaded' }));
    document.head.append(script);
  });
}

/** Runs a call of the SDK, which reports its end to callbacks. */
const finished = (start) =>
  new Promise((resolve, reject) => {
    start({
      success: resolve,
      error: (error) =>
        reject(
          Object.assign(new Error(error?.errorMessage || error?.reason || ''), { code: Number(error?.errorCode ?? 1) }),
        ),
    });
  });

async function load() {
  const manifest = await (await fetch(MANIFEST)).json();
  const address = ({ path }) => manifest.host + path.replace('{version}', manifest.version);
  const files = (list) => list.map((file) => ({ url: address(file), bytes: file.bytes }));
  await download(files([...manifest.scripts, ...manifest.later]), (loaded, total) =>
    toRoom({ type: 'progress', loaded, total }),
  );
  for (const script of manifest.scripts) await insert(address(script));
  const zoom = globalThis.ZoomMtg;
  zoom.setZoomJSLib(`${manifest.host}/${manifest.version}/lib`, '/av');
  zoom.preLoadWasm();
  zoom.prepareWebSDK();
  return zoom;
}

async function join(zoom, { pass, language }) {
  await loadLanguage(zoom.i18n, language);
  await finished((callbacks) =>
    zoom.init({
      leaveUrl: location.origin + location.pathname + LEFT,
      leaveOnPageUnload: true,
      patchJsMedia: true,
      isShowJoiningErrorDialog: false,
      // The room has its own controls for these. Picture in picture exists only in a top-level window.
      disableInvite: true,
      disablePictureInPicture: true,
      isSupportPolling: false,
      ...callbacks,
    }),
  );
  zoom.inMeetingServiceListener('onMeetingStatus', (data) =>
    toRoom({ type: 'status', status: data?.meetingStatus, sinceInputMs: performance.now() - lastInput }),
  );
  await finished((callbacks) =>
    zoom.join({
      signature: pass.signature,
      meetingNumber: pass.meeting_number,
      passWord: pass.passcode,
      userName: pass.user_name,
      customerKey: pass.customer_key,
      ...(pass.zak && { zak: pass.zak }),
      ...(pass.obf_token && { obfToken: pass.obf_token }),
      ...callbacks,
    }),
  );
  toRoom({ type: 'joined' });
}

async function run() {
  const failed = (problem) =>
    toRoom({ type: 'failed', code: problem.code ?? 'sdk_not_loaded', detail: problem.message });
  let zoom;
  try {
    zoom = await load();
  } catch (problem) {
    failed(problem);
    return;
  }
  addEventListener('message', (event) => {
    if (event.source === parent && event.origin === location.origin && event.data?.type === 'join')
      join(zoom, event.data).catch(failed);
  });
  toRoom({ type: 'ready' });
}

if (location.search === LEFT) toRoom({ type: 'left' });
else run();
