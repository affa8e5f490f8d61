// What is wrong with the layout of a page as it is: text outside of the window or cut off, covered controls, a chosen
// item that looks like the others, and text in another language.

/**
 * Runs in the page. Returns the defects, in one line each.
 *
 * @param {{forced: boolean, language: string | null}} options
 */
function find({ forced, language }) {
  const found = [];
  const visible = (element) =>
    element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && element.getClientRects().length > 0;
  /** A short description of an element. */
  const name = (element) => {
    const text = (element.getAttribute('aria-label') || element.textContent || element.value || '').trim();
    const classes = [...element.classList].map((each) => `.${each}`).join('');
    return `${element.tagName.toLowerCase()}${classes} “${text.replace(/\s+/g, ' ').slice(0, 50)}”`;
  };
  const hasAncestor = (element, holds) => {
    for (let each = element.parentElement; each; each = each.parentElement) if (holds(each)) return true;
    return false;
  };
  const style = (element) => getComputedStyle(element);
  const scrolls = (element) => ['auto', 'scroll'].includes(style(element).overflowX);
  /** For screen readers only. */
  const isUnseen = (element) => {
    const holds = (each) => style(each).clipPath === 'inset(50%)';
    return holds(element) || hasAncestor(element, holds);
  };
  const dialog = document.querySelector('dialog[open]');
  const all = [...(dialog ?? document.body).querySelectorAll('*')].filter((element) => visible(element));
  const ownText = (element) =>
    [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
  const texts = all.filter(
    (element) => ownText(element).length > 0 && !element.closest('option') && !isUnseen(element),
  );

  for (const element of texts) {
    for (const node of ownText(element)) {
      const range = document.createRange();
      range.selectNodeContents(node);
      const { left, right } = range.getBoundingClientRect();
      const isOutside = left < -1 || right > innerWidth + 1;
      if (isOutside && !hasAncestor(element, scrolls) && style(element).textOverflow !== 'ellipsis')
        found.push(`text outside of the window: ${name(element)}`);
      // Text that its own or a near box cuts off, without an ellipsis.
      for (let box = element, n = 0; box && n < 3; box = box.parentElement, n += 1) {
        const { overflowX, textOverflow } = style(box);
        const edge = box.getBoundingClientRect();
        if (textOverflow === 'ellipsis') break;
        if (!['hidden', 'clip'].includes(overflowX)) continue;
        if (left < edge.left - 1 || right > edge.right + 1) found.push(`text is cut off: ${name(element)}`);
        break;
      }
    }
  }

  /** What may lie over a page that scrolls. */
  const floats = (element) => {
    const holds = (each) => ['fixed', 'sticky'].includes(style(each).position) || each.matches('.poll-panel.sheet');
    return holds(element) || hasAncestor(element, holds);
  };
  const controls = all.filter((element) => element.matches('button, a[href], select, input, textarea, summary'));
  for (const control of controls) {
    const [box] = control.getClientRects();
    const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    if (x < 0 || y < 0 || x > innerWidth || y > innerHeight) continue;
    const hit = document.elementFromPoint(x, y);
    const isScrolledOut = hasAncestor(control, (each) => {
      const { left, right, top, bottom } = each.getBoundingClientRect();
      const clips = style(each).overflowX !== 'visible';
      return clips && (x < left || x > right || y < top || y > bottom);
    });
    if (!hit || hit === control || control.contains(hit) || hit.contains(control) || isScrolledOut) continue;
    if (hit.closest('label')?.contains(control) || floats(hit) || isUnseen(control)) continue;
    found.push(`covered: ${name(control)} by ${name(hit)}`);
  }

  for (const control of controls) {
    const field = control.closest('.field, dialog, .card');
    const [box] = control.getClientRects();
    const limit = field?.getBoundingClientRect();
    const isInside = !limit || (box.left >= limit.left - 1 && box.right <= limit.right + 1);
    if (!isInside && !hasAncestor(control, scrolls)) found.push(`wider than its place: ${name(control)}`);
  }
  for (const current of all.filter((each) => each.matches('[aria-current]:not([aria-current=false])'))) {
    const { left, right } = current.getBoundingClientRect();
    const box = current.closest('nav')?.getBoundingClientRect();
    const isHidden = box && (left < box.left - 1 || right > box.right + 1);
    if (isHidden) found.push(`the current item is scrolled out of view: ${name(current)}`);
  }

  if (forced) {
    const look = (element) => {
      const { outlineStyle, outlineColor, borderStyle, borderColor, borderWidth, color, textDecorationLine } =
        style(element);
      return [outlineStyle, outlineColor, borderStyle, borderColor, borderWidth, color, textDecorationLine].join();
    };
    const chosen =
      '[aria-pressed=true], [aria-current]:not([aria-current=false]), [aria-selected=true], label.chosen, li.chosen';
    for (const element of all.filter((each) => each.matches(chosen) && !isUnseen(each))) {
      const isOther = (each) =>
        each !== element && each.tagName === element.tagName && !each.matches(chosen) && visible(each);
      const siblings = [...element.parentElement.children].filter(isOther);
      const alike = all.filter((each) => each.className === element.className && isOther(each));
      const others = siblings.length > 0 ? siblings : alike;
      if (others.some((other) => look(other) === look(element)))
        found.push(`looks like the others, although it is chosen: ${name(element)}`);
    }
  }

  if (language) {
    // Names of products, and the texts and codes that people and servers wrote.
    const kept = /\b(Zoom|Chrome|Edge|Firefox|Live Classes|Safari)\b/g;
    const isolated = /\u2068[^\u2069]*\u2069/g;
    const isForeign = (text) => /[A-Za-z]{3,}/.test(text.replace(isolated, '').replace(kept, ''));
    const written = 'bdi, code, select, script, style, .toast, .avatar';
    for (const element of texts.filter((each) => !each.closest(written)))
      for (const node of ownText(element))
        if (isForeign(node.textContent)) found.push(`not in ${language}: ${node.textContent.trim()}`);
    for (const element of all)
      for (const attribute of ['aria-label', 'title', 'placeholder', 'alt']) {
        const text = element.getAttribute(attribute);
        if (text && isForeign(text) && !element.closest('code, select')) found.push(`not in ${language}: ${text}`);
      }
  }
  return [...new Set(found)];
}

/** Returns the defects of a page. `forced`: colours are forced. `language`: the one that all texts must have. */
export const defects = (page, { forced = false, language = null } = {}) => page.evaluate(find, { forced, language });
