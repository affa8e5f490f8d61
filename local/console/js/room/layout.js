// The room's layout, measured: what fits beside the class depends on the room's own size, not on the window's.
import { useLayoutEffect, useState } from '../ui.js';

/** Below this width, polls cover the class as a sheet. Zoom's client needs about 500 px beside a column of 350 px. */
const WIDE_PX = 860;

/** Returns whether the element of `ref` is wide enough for a column beside the class. */
export function useIsWide(ref) {
  const [isWide, setIsWide] = useState(innerWidth >= WIDE_PX);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => setIsWide(entry.contentRect.width >= WIDE_PX));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, [ref]);
  return isWide;
}
