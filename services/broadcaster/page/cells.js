// Parts of a cell. Whatever text comes from outside goes in as text, never as markup.

const MOMENTUM_SPAN = 3; // where a momentum's bar is full; the number beside it is exact

export function element(tag, className = "", parent = null) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  parent?.append(made);
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** An element to put text into. */
export function labelled(parent, className, tag = "span") {
  return element(tag, className, parent);
}

/** A function that shows a number, or a dash for null. */
export function quantity(parent, format) {
  const node = labelled(parent, "number");
  return (value) => setText(node, value === null ? "–" : format(value));
}

/** A function that sets a bar from 0 to 1. Bars repeat what a number says, so they are not read out. */
export function bar(parent, className) {
  const fill = emptyBar(parent, className);
  return (level) => setScale(fill, clamp(level, 0, 1));
}

/** A function that sets a bar that grows to the left or right of its middle. */
export function signedBar(parent, className) {
  const fill = emptyBar(parent, `${className} signed`);
  return (level) => setScale(fill, clamp(level / MOMENTUM_SPAN, -1, 1));
}

function emptyBar(parent, className) {
  const track = labelled(parent, `bar ${className}`);
  track.setAttribute("aria-hidden", "true");
  return labelled(track, "fill");
}

function setScale(fill, scale) {
  const transform = `scaleX(${scale.toFixed(3)})`;
  if (fill.dataset.scale === transform) return;
  fill.dataset.scale = transform;
  fill.style.transform = transform;
  fill.classList.toggle("negative", scale < 0);
}

function clamp(value, least, most) {
  return Math.min(most, Math.max(least, value));
}
