// Zoom's client, in a frame of the room. The frame is loaded in the lobby, so that the class opens at once.
import { clientProblem } from './errors.js';

const FRAME = '/zoom-frame';
/** The features that the room's page passes on to the frame. */
const ALLOWED = [
  ...['camera', 'microphone', 'display-capture', 'autoplay', 'fullscreen', 'clipboard-write'],
  ...['speaker-selection', 'screen-wake-lock', 'cross-origin-isolated'],
].join('; ');

/** Whether this browser has what Zoom's client cannot do without. */
export const isSupported = () =>
  Boolean(globalThis.WebAssembly && globalThis.RTCPeerConnection && navigator.mediaDevices?.getUserMedia);

/** Whether the network is metered and the person asked to save data. Then nothing is fetched before the click. */
export const savesData = () => /** @type {any} */ (navigator).connection?.saveData === true;

/**
 * Loads Zoom's client into a frame in `place`. `on` has callbacks: `progress(loaded, total)`, `status(status,
 * sinceInputMs)` and `left()`. `ready` rejects if the client cannot be loaded. `join(pass, language)` resolves in the
 * meeting. `remove()` takes the client away with everything that it has added.
 */
export function openClient(place, on) {
  const frame = Object.assign(document.createElement('iframe'), { src: FRAME, allow: ALLOWED, title: 'Zoom' });
  let settle = {};
  const next = () =>
    new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
  const heard = {
    progress: ({ loaded, total }) => on.progress(loaded, total),
    ready: () => settle.resolve(),
    joined: () => settle.resolve(),
    failed: (message) => settle.reject(clientProblem(message)),
    status: ({ status, sinceInputMs }) => on.status(status, sinceInputMs),
    left: () => {
      // Zoom's client may lead out of a meeting that it never reported as joined.
      settle.resolve();
      on.left();
    },
  };
  const hear = (event) => {
    if (event.source === frame.contentWindow && event.origin === location.origin) heard[event.data?.type]?.(event.data);
  };
  addEventListener('message', hear);
  const ready = next();
  ready.catch(() => {});
  place.append(frame);
  return {
    ready,
    async join(pass, language) {
      await ready;
      const joined = next();
      frame.contentWindow.postMessage({ type: 'join', pass, language }, location.origin);
      await joined;
    },
    remove() {
      removeEventListener('message', hear);
      frame.remove();
    },
  };
}
