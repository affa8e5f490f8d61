// Full screen. The whole document fills the screen, so that Zoom's client and the room's own controls are both in it.
import { useEffect, useState } from '../ui.js';

/** Phones of Apple have no full screen for pages. */
export const canFill = () => document.fullscreenEnabled === true;

export function useFullscreen() {
  const [isFull, setIsFull] = useState(false);
  useEffect(() => {
    const changed = () => setIsFull(Boolean(document.fullscreenElement));
    document.addEventListener('fullscreenchange', changed);
    return () => document.removeEventListener('fullscreenchange', changed);
  }, []);
  const toggle = () =>
    (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()).catch(
      () => {},
    );
  return [isFull, toggle];
}
