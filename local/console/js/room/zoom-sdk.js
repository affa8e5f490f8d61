// Zoom's Meeting SDK for the web, client view, loaded from Zoom's host as its licence requires.
// https://developers.zoom.us/docs/meeting-sdk/web/client-view/
import { Problem } from '../api.js';

const VERSION = '6.2.0';
const HOST = 'https://source.zoom.us';
const SCRIPTS = [
  ...['react', 'react-dom', 'redux', 'redux-thunk', 'lodash'].map(
    (name) => `${HOST}/${VERSION}/lib/vendor/${name}.min.js`,
  ),
  `${HOST}/zoom-meeting-${VERSION}.min.js`,
];
/** Zoom's client has no Arabic and no Hindi. Only this page is translated. */
const LANGUAGES = { en: 'en-US', es: 'es-ES', ar: 'en-US', hi: 'en-US' };

function load(src) {
  return new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement('script'), { src, async: false });
    script.onload = resolve;
    script.onerror = () =>
      reject(
        new Problem({
          title: 'Zoom’s client could not be loaded',
          detail: `${HOST} does not respond or is blocked.`,
          code: 'sdk_not_loaded',
        }),
      );
    document.head.append(script);
  });
}

const done = (start) =>
  new Promise((resolve, reject) => {
    start({
      success: resolve,
      error: (error) =>
        reject(
          new Problem({
            title: 'Zoom’s client reported an error',
            detail: error?.errorMessage || error?.reason || 'No reason given.',
            code: `zoom_sdk_${error?.errorCode ?? 'error'}`,
          }),
        ),
    });
  });

/** Opens Zoom's client on this page and joins. Removes the client after a failure. */
export async function openZoom(pass, language) {
  document.body.classList.add('in-zoom');
  try {
    await goIn(pass, language);
  } catch (problem) {
    document.body.classList.remove('in-zoom');
    throw problem;
  }
}

async function goIn(pass, language) {
  for (const script of SCRIPTS) await load(script);
  const zoom = globalThis.ZoomMtg;
  zoom.setZoomJSLib(`${HOST}/${VERSION}/lib`, '/av');
  zoom.preLoadWasm();
  zoom.prepareWebSDK();
  zoom.i18n.load(LANGUAGES[language] || 'en-US');
  await done((answers) =>
    zoom.init({ leaveUrl: pass.leave_url, leaveOnPageUnload: true, patchJsMedia: true, ...answers }),
  );
  await done((answers) =>
    zoom.join({
      signature: pass.signature,
      meetingNumber: pass.meeting_number,
      passWord: pass.passcode,
      userName: pass.user_name,
      customerKey: pass.customer_key,
      ...(pass.zak && { zak: pass.zak }),
      ...(pass.obf_token && { obfToken: pass.obf_token }),
      ...answers,
    }),
  );
}
