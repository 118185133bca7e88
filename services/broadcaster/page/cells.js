// Parts of a cell. Whatever text comes from outside goes in as text, never as markup.

const MOMENTUM_SPAN = 3; // where a momentum's bar is full; the number beside it is exact

/**
 * A new element, put at the end of its parent where that is given.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} className
 * @param {Element | null} parent
 */
export function element(tag, className = "", parent = null) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  parent?.append(made);
  return made;
}

/**
 * @param {Element} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * A function that shows a number, or a dash for null.
 * @param {Element} parent
 * @param {(value: number) => string} format
 * @returns {(value: number | null) => void}
 */
export function quantity(parent, format) {
  const node = element("span", "number", parent);
  return (value) => setText(node, value === null ? "–" : format(value));
}

/**
 * A function that sets a bar from 0 to 1. Bars repeat what a number says, so they are not read out.
 * @param {Element} parent
 * @param {string} className
 * @returns {(level: number) => void}
 */
export function bar(parent, className) {
  const fill = emptyBar(parent, className);
  return (level) => setScale(fill, clamp(level, 0, 1));
}

/**
 * A function that sets a bar that grows to the left or right of its middle.
 * @param {Element} parent
 * @param {string} className
 * @returns {(level: number) => void}
 */
export function signedBar(parent, className) {
  const fill = emptyBar(parent, `${className} signed`);
  return (level) => setScale(fill, clamp(level / MOMENTUM_SPAN, -1, 1));
}

/**
 * @param {Element} parent
 * @param {string} className
 */
function emptyBar(parent, className) {
  const track = element("span", `bar ${className}`, parent);
  track.setAttribute("aria-hidden", "true");
  return element("span", "fill", track);
}

/**
 * @param {HTMLElement} fill
 * @param {number} scale From -1 to 1.
 */
function setScale(fill, scale) {
  const transform = `scaleX(${scale.toFixed(3)})`;
  if (fill.dataset.scale === transform) return;
  fill.dataset.scale = transform;
  fill.style.transform = transform;
  fill.classList.toggle("negative", scale < 0);
}

/**
 * @param {number} value
 * @param {number} least
 * @param {number} most
 */
function clamp(value, least, most) {
  return Math.min(most, Math.max(least, value));
}
