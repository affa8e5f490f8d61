// What one does on the console, by what one sees on it.

/** Acts as somebody, or looks behind the scenes. */
export async function as(page, name) {
  await page
    .getByRole('group', { name: 'Act as' })
    .getByRole('button', { name: new RegExp(`^${name}`) })
    .click();
}

export async function scene(page, name) {
  await as(page, 'Behind the scenes');
  await page.getByRole('navigation', { name: 'Behind the scenes' }).getByRole('link', { name }).click();
}

/** Goes through Zoom's consent page, in the window that the console opens for it. */
export async function consent(page, { decision = 'Allow', without = [], account = '' } = {}) {
  const button = page.getByRole('button', { name: /^(Connect|Reconnect) Zoom$/ });
  const [zoom] = await Promise.all([page.context().waitForEvent('page'), button.click()]);
  await zoom.getByRole('heading', { name: /to use your Zoom account/ }).waitFor();
  if (account) await zoom.getByLabel(account).check();
  for (const scope of without) await zoom.getByLabel(scope, { exact: true }).uncheck();
  // The window closes while the click is still being looked at.
  await Promise.all([
    zoom.waitForEvent('close'),
    zoom
      .getByRole('button', { name: decision })
      .click()
      .catch(() => {}),
  ]);
}

/** Opens the room from a class's button, in the window that it gets. */
export async function room(page, link) {
  const [opened] = await Promise.all([page.context().waitForEvent('page'), link.click()]);
  await opened.locator('.lobby h2').waitFor();
  return opened;
}

/** The list's item of a class. */
export const card = (page, title) =>
  page.locator('.class', { has: page.getByRole('link', { name: title, exact: true }) });

export async function note(page, text) {
  await page.locator('.toast', { hasText: text }).first().waitFor();
}

/** Answers the question that is asked. */
export async function answer(page, button) {
  await page.getByRole('dialog').getByRole('button', { name: button }).click();
}
