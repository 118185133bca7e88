// The parts of a table cell: numbers and bars. Text from outside is always set as text, never as markup.

const MOMENTUM_SPAN = 3; // the momentum at which its bar is full; the number beside the bar is exact

/**
 * Makes an element, and appends it to `parent` if that is given.
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
 * Sets the text of a node if it differs, since even setting the same text costs layout.
 * @param {Element} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Makes an element for a number, and returns a function that shows a number in it, or a dash for null.
 * @param {Element} parent
 * @param {(value: number) => string} format
 * @returns {(value: number | null) => void}
 */
export function quantity(parent, format) {
  const node = element("span", "number", parent);
  return (value) => setText(node, value === null ? "–" : format(value));
}

/**
 * Makes a bar, and returns a function that sets its length from 0 to 1. Screen readers skip bars, since a number beside
 * each says the same.
 * @param {Element} parent
 * @param {string} className
 * @returns {(level: number) => void}
 */
export function bar(parent, className) {
  const fill = emptyBar(parent, className);
  return (level) => setScale(fill, clamp(level, 0, 1));
}

/**
 * Makes a bar that grows to the left or right of its middle, and returns a function that sets it.
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
 * @param {number} scale The length of the bar, from -1 to 1.
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
