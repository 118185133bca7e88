// The page: it connects to the broadcaster, shows the states in a table, and says above it whether they can be trusted.

import { setText } from "./cells.js";
import { Cottage, SILENT_AFTER } from "./cottage.js";
import { CAUSES, Table, WAIT, duration } from "./table.js";

/** @typedef {import("./cottage.js").Cause | "server_down"} Cause */

const NAMES_LISTED = 12; // the most symbols that a notice names
const REGIMES = ["Gaussian", "Lévy Stable", "Critical", WAIT];

/** @type {Partial<Record<Cause, string>>} */
const PROBLEMS = {
  bridge_down: "The bridge is down: the broadcaster has lost its source.",
  redis_down: "Redis is down: the bridge cannot read it.",
  writer_down: "The writer is down: Feynman has stopped writing states.",
};

/** @param {string} id The id of an element of index.html. */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const scheme = location.protocol === "https:" ? "wss:" : "ws:";

let scheduled = false;
let summaryOutdated = true;

const connection = new Cottage(`${scheme}//${location.host}/ws`);
connection.addEventListener("state", onState);
connection.addEventListener("change", onChange);
const table = new Table(connection, /** @type {HTMLTableElement} */ (byId("states")), byId("scroller"), wake);

const filter = /** @type {HTMLInputElement} */ (byId("filter"));
filter.addEventListener("input", () => {
  table.filter(filter.value);
  onChange();
});
const fold = byId("fold");
fold.addEventListener("click", () => {
  const unfolded = fold.getAttribute("aria-expanded") !== "true";
  fold.setAttribute("aria-expanded", String(unfolded));
  table.unfold(unfolded);
  onChange();
});
setInterval(wake, 500); // ages grow although no message arrives

/** @param {import("./cottage.js").StateEvent} event */
function onState({ state, before }) {
  if (state === undefined || before === undefined) table.outdated();
  summaryOutdated ||= state?.source !== before?.source || state?.regime !== before?.regime;
  summaryOutdated ||= isContested(state) !== isContested(before);
  wake();
}

/** @param {import("./cottage.js").State | undefined} state Whether somebody else than its feed writes the symbol too. */
function isContested(state) {
  return state?.notes.includes("two_writers") ?? false;
}

function onChange() {
  table.outdated(); // what has expired may be folded away
  summaryOutdated = true;
  wake();
}

function wake() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(draw);
}

function draw() {
  scheduled = false;
  table.draw();
  showStatus();
  if (summaryOutdated) showSummary();
  summaryOutdated = false;
}

/**
 * The present problem in words, that of the nearest hop first, and the milliseconds since that hop was last heard; null
 * if these are not known. The words are empty if there is no problem.
 * @returns {[words: string, age: number | null]}
 */
function problem() {
  const { phase, upstream, silence } = connection;
  if (phase === "refused") return ["The server has refused this page. Reload it to try again.", null];
  if (phase === "reconnecting") return ["The connection is lost. What is shown is no longer updated.", silence];
  if (phase === "connecting") return [silence >= SILENT_AFTER ? "The server does not answer yet." : "", null];
  if (silence >= SILENT_AFTER) return ["The server is silent. What is shown is no longer updated.", silence];
  if (upstream === null || upstream.status === "live") return ["", null];
  const { cause } = upstream;
  const words = cause === null ? "The server has lost its source." : (PROBLEMS[cause] ?? `Upstream: ${cause}.`);
  return [words, connection.upstreamAge];
}

const PHASES = {
  connecting: "Connecting",
  connected: "Connected",
  reconnecting: "Reconnecting",
  refused: "Refused",
  closed: "Closed",
};

function showStatus() {
  const [words, age] = problem();
  const status = byId("status");
  status.dataset.phase = connection.phase;
  status.dataset.healthy = String(connection.phase === "connected" && words === "");
  setText(byId("phase"), PHASES[connection.phase]);
  byId("problem").hidden = words === "";
  setText(byId("problem-words"), words);
  setText(byId("problem-age"), age === null ? "" : `Last heard ${duration(age)} ago.`);
}

function showSummary() {
  /** @type {Map<string, number>} */
  const regimes = new Map(REGIMES.map((regime) => [regime, 0]));
  /** @type {string[]} */
  const simulated = [];
  /** @type {string[]} */
  const replayed = [];
  /** @type {string[]} */
  const contested = [];
  /** @type {Map<Cause, number>} */
  const causes = new Map();
  for (const state of connection.states.values()) {
    const { symbol, regime, source } = state;
    const cause = connection.cause(state);
    if (cause !== null) causes.set(cause, (causes.get(cause) ?? 0) + 1);
    regimes.set(regime, (regimes.get(regime) ?? 0) + 1);
    if (source === "simulate") simulated.push(symbol);
    if (source === "replay") replayed.push(symbol);
    if (isContested(state)) contested.push(symbol);
  }
  const counts = [...regimes].filter(([, count]) => count > 0).map(([regime, count]) => `${count}\u00a0${regime}`);
  for (const [cause, count] of causes) counts.push(`${count}\u00a0not live: ${CAUSES[cause] ?? cause}`);
  const { size } = connection.states;
  setText(byId("count"), [`${size}\u00a0${size === 1 ? "symbol" : "symbols"}`, ...counts].join(" · "));
  fold.hidden = table.unfed === 0;
  setText(fold, `${table.unfed}\u00a0${table.unfed === 1 ? "symbol" : "symbols"} that no feed brings any more`);
  showNotice("simulated", simulated);
  showNotice("replayed", replayed);
  showNotice("contested", contested);
  showEmpty();
}

/**
 * @param {string} id
 * @param {string[]} symbols The symbols that it is about. Without any, the notice is hidden.
 */
function showNotice(id, symbols) {
  byId(id).hidden = symbols.length === 0;
  setText(byId(`${id}-symbols`), listing(symbols));
}

/** @param {string[]} symbols */
function listing(symbols) {
  if (symbols.length > 1 && symbols.length === connection.states.size) return `All ${symbols.length} symbols.`;
  const listed = symbols.sort().slice(0, NAMES_LISTED).join(", ");
  const more = symbols.length - NAMES_LISTED;
  return more > 0 ? `${listed} and ${more} more.` : `${listed}.`;
}

function showEmpty() {
  const none = byId("empty");
  none.hidden = table.matching > 0;
  if (connection.states.size > 0) setText(none, "No symbol matches the filter.");
  else if (connection.phase === "connected") setText(none, "No states yet. They appear as soon as Feynman writes one.");
  else setText(none, "Waiting for the server.");
}
