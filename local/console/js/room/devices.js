// The check of camera and microphone in the lobby. Zoom's client opens them again when the person joins.
import { html, useEffect, useRef, useState } from '../ui.js';
import { Button, Icon } from '../parts/basic.js';

/** How often the level is measured. */
const LEVEL_MS = 100;
/** Above this share of the full scale, somebody speaks. Quiet rooms are below 1 %. */
const HEARD = 0.03;

/** The explanation of each error of `getUserMedia`, by its name. */
const REASONS = {
  NotAllowedError: 'notAllowed',
  SecurityError: 'notAllowed',
  NotReadableError: 'inUse',
  AbortError: 'inUse',
};
const MISSING = new Set(['NotFoundError', 'OverconstrainedError']);

/** Returns the text for an error of `getUserMedia`. `kind` is `camera` or `microphone`. */
export function explainDevice(error, kind, word) {
  if (MISSING.has(error.name)) return word(kind === 'camera' ? 'noCamera' : 'noMicrophone');
  return word(REASONS[error.name] || 'deviceFailed', { device: word(kind) });
}

/** Opens one kind of device, so that a missing camera does not hide a working microphone. */
async function open(constraints) {
  try {
    return { stream: await navigator.mediaDevices.getUserMedia(constraints) };
  } catch (error) {
    return { error };
  }
}

const stop = (stream) => {
  for (const track of stream?.getTracks() ?? []) track.stop();
};

/** The loudness of the microphone, from 0 to 1. */
function useLevel(stream) {
  const [level, setLevel] = useState(0);
  useEffect(() => {
    if (!stream) return undefined;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      setLevel(Math.min(1, Math.max(...samples.map(Math.abs))));
    }, LEVEL_MS);
    return () => {
      clearInterval(timer);
      context.close();
    };
  }, [stream]);
  return level;
}

export function DeviceCheck({ word }) {
  const [isOn, setIsOn] = useState(false);
  return html`<div class="devices">
    <${Button} kind="quiet" icon="video" aria-expanded=${isOn ? 'true' : 'false'} onClick=${() => setIsOn(!isOn)}>
      ${word(isOn ? 'stopCheck' : 'checkDevices')}<//>
    ${isOn && html`<${Devices} word=${word} />`}</div>`;
}

function Devices({ word }) {
  const [camera, setCamera] = useState(null);
  const [microphone, setMicrophone] = useState(null);
  useEffect(() => {
    let isGone = false;
    const opened = [];
    const take = async (constraints, set) => {
      const result = await open(constraints);
      opened.push(result.stream);
      if (isGone) stop(result.stream);
      else set(result);
    };
    // One after the other, because a browser asks one question at a time.
    take({ audio: true }, setMicrophone).then(() => !isGone && take({ video: true }, setCamera));
    return () => {
      isGone = true;
      opened.forEach(stop);
    };
  }, []);
  return html`<div class="device-rows">
    <${Picture} of=${camera} word=${word} /><${Loudness} of=${microphone} word=${word} /></div>`;
}

function Trouble({ text }) {
  return html`<p class="device-trouble" role="alert"><${Icon} name="warn" size=${18} /><span>${text}</span></p>`;
}

function Picture({ of, word }) {
  const picture = useRef(null);
  useEffect(() => {
    if (picture.current) picture.current.srcObject = of?.stream ?? null;
  }, [of]);
  if (of?.error) return html`<${Trouble} text=${explainDevice(of.error, 'camera', word)} />`;
  const label = word('yourPicture');
  return html`<video class="picture" ref=${picture} autoplay playsinline muted aria-label=${label}></video>`;
}

function Loudness({ of, word }) {
  const level = useLevel(of?.stream);
  const [isHeard, setIsHeard] = useState(false);
  useEffect(() => {
    if (level > HEARD) setIsHeard(true);
  }, [level]);
  if (of?.error) return html`<${Trouble} text=${explainDevice(of.error, 'microphone', word)} />`;
  const percent = Math.round(level * 100);
  return html`<div class="loudness"><span id="loudness">${word('level')}</span>
    <meter aria-labelledby="loudness" min="0" max="100" value=${percent}></meter>
    <p class="fine" role="status">${word(isHeard ? 'heard' : 'speak')}</p></div>`;
}
