// The room with the files of Zoom's web client. Zoom's service itself cannot be reached: the client joins until its
// first call. What follows is driven by the events that the client passes on, at the place where it passes them on.
import { open } from '../lib/browser.js';
import { inspect, violations } from '../lib/look.js';
import { equal, eventually, holds, test } from '../lib/runner.js';
import { hits } from './hits.js';
import { TITLE } from './scene.js';
import { unisolated } from './unisolated.js';

const SIZES = { phone: { width: 360, height: 740 }, desk: { width: 1280, height: 800 } };
const MAIN_SCRIPT = /\/zoom-meeting-[\d.]+\.min\.js$/;
/** The client's script takes a while to run on a busy machine. */
const CLIENT_MS = 60_000;
/** A page looks at the polls at least this often while the class is live. */
const LOOK_MS = 20_000;
const STATUS = { connected: 2, disconnected: 3, reconnecting: 4 };

/** The styles of our page that the client could change. */
const look = (page) =>
  page.evaluate(() => {
    const style = (of) => JSON.stringify(of && [getComputedStyle(of).fontSize, getComputedStyle(of).lineHeight]);
    const of = [document.documentElement, document.querySelector('h1'), document.querySelector('h2'), document.body];
    return [...of.map(style), document.styleSheets.length, document.body.className, document.scripts.length].join(' ');
  });

const frame_of = async (page) => (await page.locator('.stage iframe').elementHandle()).contentFrame();

/** Passes an event on as the client does it. */
async function emit(page, status) {
  const frame = await frame_of(page);
  await frame.evaluate((meetingStatus) => {
    const event = new CustomEvent('onMeetingStatus', { detail: { data: { meetingStatus } } });
    document.getElementById('zmmtg-root').dispatchEvent(event);
  }, status);
}

export function tests({ browser, base, zoom, world, looks }) {
  /**
   * A student's room in a browser of its own.
   *
   * @param {{size?: string, lang?: string, options?: object, before?: Function, as?: string}} [options]
   */
  const room = async ({ size = 'desk', lang = 'en', options = {}, before, as = 'sam' } = {}) => {
    const { context } = await open(browser, base, { viewport: SIZES[size], ...options });
    const page = await context.newPage();
    await before?.(page, context);
    await page.goto(`/room/${world.id}?as=${as}&lang=${lang}`);
    await page.locator('.lobby h2').waitFor();
    return { page, context };
  };
  const ready = (page) => page.getByText('Zoom’s client is ready.').waitFor({ timeout: CLIENT_MS });
  const button = (page) => page.locator('.lobby .button.primary');
  const inZoom = (page) => page.locator('.room.at-zoom').waitFor({ timeout: CLIENT_MS });
  /** Waits until the client has called Zoom's service again. It then listens to events. */
  const called = (before) => eventually(() => zoom.calls.length > before, 'the client calls Zoom', CLIENT_MS);
  /** Joins. The client then waits for Zoom's service, and takes its whole window. */
  const enter = async (page) => {
    zoom.network.service = 'silent';
    const calls = zoom.calls.length;
    await button(page).click();
    await inZoom(page);
    await called(calls);
  };

  test('the lobby loads Zoom’s client and shows the progress', async () => {
    zoom.network.state = 'slow';
    const { page, context } = await room({ lang: 'en' });
    const bar = page.getByLabel('Loading Zoom’s client');
    await eventually(async () => (await bar.getAttribute('value').catch(() => null)) > 5, 'the bar moves');
    await ready(page);
    zoom.network.state = 'good';
    const loads = () => zoom.asked.filter((path) => MAIN_SCRIPT.test(path)).length;
    equal(loads(), 1, 'loads of the main script');
    await enter(page);
    equal(loads(), 1, 'loads of the main script, after joining');
    equal(await page.title(), `${TITLE} · Live Classes`, 'the title');
    await context.close();
  });

  test('a failed join is explained, leaves nothing behind, and offers the link', async () => {
    const { page, context } = await room({ lang: 'es' });
    const before = await look(page);
    zoom.network.service = 'refusing';
    await page.getByRole('button', { name: 'Entrar en la clase' }).click();
    await page.locator('.note.bad', { hasText: 'Zoom no pudo abrir la clase' }).waitFor({ timeout: CLIENT_MS });
    await page.locator('.note.bad code', { hasText: 'zoom_sdk_1' }).waitFor();
    equal(await page.locator('iframe').count(), 0, 'frames');
    equal(await look(page), before, 'the styles of the page');
    await page.getByText('O abre la clase en la aplicación de Zoom:').waitFor();
    await inspect(looks, page, 'room-failed');
    await page.getByRole('button', { name: 'Abrir en la aplicación de Zoom' }).click();
    const link = page.getByRole('link', { name: 'Abrir la reunión' });
    holds(/^https:\/\/[^/]*zoom\.us\//.test(await link.getAttribute('href')), 'it leads to Zoom');
    await context.close();
  });

  test('a blocked network is explained, and the next try loads the client', async () => {
    zoom.network.state = 'blocked';
    const { page, context } = await room();
    await button(page).click();
    await page.locator('.note.bad code', { hasText: 'sdk_not_loaded' }).waitFor();
    zoom.network.state = 'good';
    await enter(page);
    await context.close();
  });

  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const lang of ['en', 'ar']) {
      test(`Zoom’s client covers no control at ${viewport.width} px in ${lang}`, async () => {
        const { page, context } = await room({ size, lang });
        const before = await look(page);
        await enter(page);
        equal(await page.evaluate(() => document.documentElement.dir), lang === 'ar' ? 'rtl' : 'ltr');
        const polls = page.locator('.poll-button button');
        equal(await page.getByText('Classes may be recorded.').isVisible(), true, 'the disclaimer');
        for (const part of ['as it opens', 'with the polls turned']) {
          await hits(page, part);
          await polls.click();
        }
        await page.locator('.room-bar button').nth(1).click();
        await eventually(() => page.evaluate(() => Boolean(document.fullscreenElement)), 'it fills the screen');
        const shown = await page.evaluate(() => {
          const frame = document.querySelector('.stage iframe');
          return document.fullscreenElement.contains(frame) && frame.getBoundingClientRect().height > 200;
        });
        equal(shown, true, 'Zoom’s client is in the full screen');
        await hits(page, 'full screen');
        await page.evaluate(() => document.exitFullscreen());
        for (const forcedColors of ['active', 'none']) {
          await page.emulateMedia({ forcedColors });
          await hits(page, `forced colours ${forcedColors}`);
        }
        await inspect(looks, page, `room-zoom-${lang}`);
        equal(await look(page).then((now) => now.split(' ')[0]), before.split(' ')[0], 'the root’s font');
        await context.close();
      });
    }
  }

  test('Zoom’s controls are in the person’s language', async () => {
    for (const [lang, code, leave, joining] of [
      ['ar', 'ar-SA', 'مغادرة', 'جارٍ الانضمام إلى الاجتماع…'],
      ['hi', 'hi-IN', 'बाहर जाएँ', 'बैठक से जुड़ रहे हैं…'],
    ]) {
      const { page, context } = await room({ lang });
      await enter(page);
      const frame = await frame_of(page);
      const found = await eventually(
        () =>
          frame.evaluate(() => {
            const { i18n } = globalThis.ZoomMtg;
            return i18n.getCurrentLang() !== 'en-US' && [i18n.getCurrentLang(), i18n.get('apac.toolbar_leave')].join();
          }),
        'the language is loaded',
      );
      equal(found, [code, leave].join());
      await frame.waitForSelector(`#wc-loading:has-text("${joining}")`);
      await context.close();
    }
  });

  test('the page joins again after the connection broke, and not after somebody left', async () => {
    const { page, context } = await room();
    await enter(page);
    await emit(page, STATUS.connected);
    await emit(page, STATUS.reconnecting);
    await emit(page, STATUS.disconnected);
    const calls = zoom.calls.length;
    await page.getByRole('heading', { name: 'The connection to the class ended' }).waitFor();
    holds((await page.title()).startsWith('The connection to the class ended'), await page.title());
    await inZoom(page);
    await called(calls);
    await emit(page, STATUS.connected);
    await (await frame_of(page)).evaluate(() => location.assign('/zoom-frame?left'));
    await page.getByRole('heading', { name: 'You have left the class' }).waitFor();
    equal(await page.locator('iframe').count(), 0, 'frames');
    equal(await page.evaluate(() => document.activeElement.textContent), 'You have left the class', 'the focus');
    await inspect(looks, page, 'room-left');
    await context.close();
  });

  test('without isolation the client works, and the page names what is missing', async () => {
    const { address, stop } = await unisolated(base);
    const { page, context } = await room({ options: { baseURL: address } });
    equal(await page.evaluate(() => crossOriginIsolated), false, 'isolated');
    await page.getByText('Your browser shows one person at a time').waitFor();
    await ready(page);
    await inspect(looks, page, 'room-not-isolated');
    await context.close();
    stop();
  });

  test('a browser without the client’s needs is offered the link first', async () => {
    const { page, context } = await room({
      before: (page) => page.addInitScript(() => delete globalThis.RTCPeerConnection),
    });
    await page.getByText('This browser cannot show the class in this page.').waitFor();
    equal(await button(page).textContent(), 'Open in Zoom’s app instead');
    equal(await page.locator('iframe').count(), 0, 'frames');
    await inspect(looks, page, 'room-unsupported');
    await page.getByRole('button', { name: 'Join the class' }).click();
    await page.locator('.note.bad code', { hasText: 'sdk_unsupported' }).waitFor();
    await context.close();
  });

  test('camera and microphone are checked, and a refusal is explained', async () => {
    const { page, context } = await room({ options: { permissions: ['camera', 'microphone'] } });
    await page.getByRole('button', { name: 'Check camera and microphone' }).click();
    await page.getByText('The microphone works.').waitFor();
    await eventually(() => page.locator('video').evaluate((video) => video.videoWidth > 0), 'the picture is there');
    await inspect(looks, page, 'room-devices');
    await page.getByRole('button', { name: 'Stop the check' }).click();
    equal(await page.locator('video').count(), 0, 'pictures');
    await page.evaluate(() => {
      navigator.mediaDevices.getUserMedia = async ({ video }) => {
        throw new DOMException('', video ? 'NotFoundError' : 'NotAllowedError');
      };
    });
    await page.getByRole('button', { name: 'Check camera and microphone' }).click();
    await page.getByText('The browser blocks the microphone.').waitFor();
    await page.getByText('No camera is connected.').waitFor();
    await inspect(looks, page, 'room-devices-refused');
    await context.close();
  });

  test('a closed panel announces a new poll once, marks it, and opens as a sheet', async () => {
    await world.start();
    await eventually(async () => (await world.session()).status === 'live', 'the class is live');
    const { page, context } = await room({ size: 'phone' });
    await page.evaluate(() => {
      const region = document.querySelector('[data-polls]');
      globalThis.announced = [];
      new MutationObserver(() => globalThis.announced.push(region.textContent)).observe(region, {
        childList: true,
        characterData: true,
        subtree: true,
      });
    });
    const poll = await world.launch('Which is larger?');
    const shows = page.getByRole('button', { name: 'Show polls, 1 new' });
    await shows.waitFor({ timeout: LOOK_MS });
    equal(await page.locator('.poll-panel').isVisible(), false, 'the panel');
    await shows.click();
    equal(await page.evaluate(() => document.activeElement.id), 'polls-heading', 'the focus');
    const announced = () => page.evaluate(() => globalThis.announced.splice(0).join());
    equal(await announced(), 'New poll: \u2068Which is larger?\u2069', 'announcements');
    await inspect(looks, page, 'room-sheet');
    await page.setViewportSize(SIZES.phone);
    // The other language announced the poll again.
    await announced();
    await page.getByRole('radio', { name: 'One half' }).check();
    await page.getByRole('button', { name: 'Vote', exact: true }).click();
    await page.getByText('Votes: 1 · 100 %').waitFor();
    await page.getByRole('button', { name: 'Change my vote' }).click();
    await page.getByRole('radio', { name: 'One third' }).check();
    await page.getByRole('button', { name: 'Vote', exact: true }).click();
    await page.locator('.tally li', { hasText: 'One third' }).getByText('Votes: 1').waitFor();
    equal(await announced(), '', 'announcements of votes');
    equal(await page.locator('[aria-live], [role=status]:not(.lobby *):not(.toasts *)').count(), 2, 'live regions');
    equal((await violations(page)).join(), '', 'violations');
    await page.keyboard.press('Escape');
    equal(await page.locator('.poll-panel').isVisible(), false, 'the panel after Escape');
    const focused = await page.evaluate(() => document.activeElement.getAttribute('aria-label'));
    equal(focused, 'Show polls', 'the focus after Escape');
    await world.close(poll);
    await context.close();
  });
}
