// Hit-tests: what is at the place of a control, as a finger or a mouse would find it.
import { equal } from '../lib/runner.js';

/** Every visible control of the room that something else covers, by its name. */
const covered = (page) =>
  page.evaluate(() => {
    const controls = [...document.querySelectorAll('.room-bar button, .room-bar select, .poll-panel button')];
    const isVisible = (control) =>
      control.getClientRects().length > 0 && getComputedStyle(control).visibility === 'visible';
    const isHit = (control) => {
      const { left, top, width, height } = control.getBoundingClientRect();
      const [x, y] = [left + width / 2, top + height / 2];
      if (x < 0 || y < 0 || x > innerWidth || y > innerHeight) return false;
      const found = document.elementFromPoint(x, y);
      return control === found || control.contains(found);
    };
    const inView = (control) =>
      !control.closest('.poll-panel') || control.getBoundingClientRect().bottom <= innerHeight;
    const name = (control) => control.getAttribute('aria-label') || control.textContent.trim().slice(0, 40);
    return controls.filter((control) => isVisible(control) && inView(control) && !isHit(control)).map(name);
  });

/**
 * Where Zoom's client lies: the frame fills the pane, and a click on its middle reaches it unless a sheet is there.
 */
const pane = (page) =>
  page.evaluate(() => {
    const frame = /** @type {HTMLIFrameElement} */ (document.querySelector('.stage iframe'));
    const main = document.querySelector('.room-main').getBoundingClientRect();
    const of = frame.getBoundingClientRect();
    const sheet = document.querySelector('.poll-panel.sheet:not([hidden])');
    const [x, y] = [of.left + of.width / 2, of.top + 24];
    const found = document.elementFromPoint(x, y);
    return {
      fills: ['left', 'top', 'width', 'height'].every((side) => Math.abs(of[side] - main[side]) < 1),
      reached: found === frame || Boolean(sheet?.contains(found)),
      // A window has whole pixels.
      measures:
        Math.abs(frame.contentWindow.innerWidth - of.width) <= 1 &&
        Math.abs(frame.contentWindow.innerHeight - of.height) <= 1,
      wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    };
  });

/** Fails if Zoom's client covers a control, or a control covers Zoom's client. */
export async function hits(page, what) {
  equal((await covered(page)).join(', '), '', `${what}: covered controls`);
  const found = await pane(page);
  equal(found.fills, true, `${what}: the frame fills its pane`);
  equal(found.reached, true, `${what}: a click reaches Zoom’s client`);
  equal(found.measures, true, `${what}: the client measures its pane`);
  equal(found.wider, 0, `${what}: pixels wider than the window`);
}
