// A trainer visits the platform's page in a headless browser.
import assert from 'node:assert/strict';
import { launch, open } from '../console/lib/browser.js';
import { trainer } from './directory.js';

const HOUR_MS = 3_600_000;

export async function visit({ stack, issuer, page: { base } }) {
  const token = issuer.token(trainer(2), 'trainer', { email: 'trainer2@example.test', email_verified: true });
  const browser = await launch();
  const { context, wrong } = await open(browser, base);
  try {
    await context.addInitScript(
      ([origin, value]) => {
        // Not for Zoom's page.
        if (location.origin === origin) sessionStorage.setItem('school', value);
      },
      [base, JSON.stringify({ base: stack.base, token })],
    );
    const page = await context.newPage();
    const ready = () => page.locator('body[data-ready=yes]').waitFor();
    const connect = async (decision) => {
      await page.getByRole('button', { name: 'Connect Zoom' }).click();
      await page.getByRole('heading', { name: /to use your Zoom account/ }).waitFor();
      await page.getByRole('button', { name: decision }).click();
      await page.waitForURL(`${base}/`);
      await ready();
    };
    await page.goto('/');
    await ready();
    await connect('Deny');
    assert.equal(await page.locator('#zoom').textContent(), 'access_denied');
    await connect('Allow');
    assert.match(await page.locator('#zoom').textContent(), /^connected \S+@\S+$/);

    const { now } = await stack.local('GET', '/local/clock');
    const starts_at = new Date(Date.parse(now) + 2 * HOUR_MS).toISOString();
    await stack.call(token, 'POST', '/v1/sessions', {
      body: { title: 'Algebra', audience_type: 'course', course_id: 'course:2', starts_at, duration_minutes: 60 },
    });
    // A reload sends no code again, and the countdown follows the clock of the server.
    await stack.local('POST', '/local/clock', { advance: '30m' });
    await page.reload();
    await ready();
    assert.match(await page.locator('#zoom').textContent(), /^connected/);
    assert.match(await page.locator('li').first().textContent(), /^Algebra in (89|90) min, too_early$/);
    assert.deepEqual(wrong, []);
  } finally {
    await browser.close();
  }
}
