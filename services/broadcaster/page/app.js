// The page: it connects to the broadcaster, shows the states in a table, and says above it whether they can be trusted.

import { Access } from "./access.js";
import { element, setText } from "./cells.js";
import { Cottage, SILENT_AFTER } from "./cottage.js";
import { CAUSES, Table, WAIT, duration } from "./table.js";

/** @typedef {import("./cottage.js").Cause | "server_down"} Cause */

const REFUSALS_LISTED = 6; // the most refused snapshots that are told of
const REFUSALS_LAST = 30_000; // ms; while there are any they are said again every few seconds
const NAMES_LISTED = 12; // the most symbols that a notice names
const FEWEST = 2; // a source of a single symbol is not silent as a whole: a symbol may be quiet
const REGIMES = ["Gaussian", "Lévy Stable", "Critical", WAIT];

/** @type {Partial<Record<Cause, string>>} */
const PROBLEMS = {
  bridge_down: "The bridge is down: the broadcaster has lost its source.",
  redis_down: "Redis is down: the bridge cannot read it.",
  writer_down: "The writer is down: Feynman has stopped writing states.",
};

/**
 * What is broken for the symbols of one source, while the way from Redis to this page works.
 * @typedef {object} Fault
 * @property {Cause} cause
 * @property {string} source
 * @property {number} symbols How many of them are not live for this cause.
 * @property {import("./cottage.js").State} newest The one of these with the newest sample.
 */

/** @type {Partial<Record<Cause, (fault: Fault) => string>>} */
const FAULTS = {
  writer_down: ({ symbols }) => `The writer is down: Feynman has stopped writing the states of ${counted(symbols)}.`,
  feed_down: ({ source, symbols }) => `The feed “${source}” is down: ${counted(symbols)} without new prices.`,
  feed_ended: ({ source, symbols }) => `The feed “${source}” has ended: ${counted(symbols)} without new prices.`,
  market_quiet: ({ source, symbols }) =>
    `“${source}” is silent, all ${counted(symbols)}: its feed has died, or its market is closed.`,
};

/** @param {string} id The id of an element of index.html. */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

let scheduled = false;
let summaryOutdated = true;
/** @type {Map<string, { data: import("./cottage.js").FeedRefusals["data"], at: number }>} By shard, and when it was said. */
const refusals = new Map();
/** @type {Fault[]} */
let faults = [];

const access = new Access(() => connection.renew());
const address = new URL("ws", import.meta.url); // a proxy may serve all of this under a path
const connection = new Cottage(address, { token: (refusal) => access.token(refusal) });
connection.addEventListener("state", onState);
connection.addEventListener("change", onChange);
connection.addEventListener("feedrefusals", onFeedRefusals);
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

/** @param {import("./cottage.js").FeedRefusalsEvent} event */
function onFeedRefusals({ message: { shard, data } }) {
  refusals.set(shard, { data, at: performance.now() });
  wake();
}

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
  if (summaryOutdated) showSummary();
  summaryOutdated = false;
  showStatus();
  access.show(connection.tokenLeft);
  showRefused();
}

/**
 * The present problem of the way to Redis and Feynman in words, that of the nearest hop first, and the milliseconds
 * since that hop was last heard; null if these are not known. The words are empty if there is no problem.
 * @returns {[words: string, age: number | null]}
 */
function problem() {
  const { phase, upstream, silence, problem: why } = connection;
  if (access.waits) return ["", null]; // the dialog says it
  if (phase === "unauthorized") return ["The server wants a token now. Reload the page to give one.", null];
  if (phase === "refused") return ["The server has refused this page. Reload it to try again.", null];
  if (phase === "reconnecting") return ["The connection is lost. What is shown is no longer updated.", silence];
  if (phase === "connecting") {
    const late = silence >= SILENT_AFTER;
    return [late ? `No connection yet: ${why ?? "the server does not answer"}.` : "", null];
  }
  if (silence >= SILENT_AFTER) return ["The server is silent. What is shown is no longer updated.", silence];
  if (upstream === null || upstream.status === "live") return ["", null];
  const { cause } = upstream;
  const words = cause === null ? "The server has lost its source." : (PROBLEMS[cause] ?? `Upstream: ${cause}.`);
  const { size } = connection.states;
  return [size === 0 ? words : `${words} ${counted(size)} not live.`, connection.upstreamAge];
}

/** @param {number} symbols */
const counted = (symbols) => `${symbols}\u00a0${symbols === 1 ? "symbol" : "symbols"}`;

const PHASES = {
  connecting: "Connecting",
  connected: "Connected",
  reconnecting: "Reconnecting",
  refused: "Refused",
  unauthorized: "No access",
  closed: "Closed",
};

function showStatus() {
  const [words, age] = problem();
  const upstream = connection.phase === "connected" ? connection.upstream : null;
  const shown = words === "" && upstream !== null ? faults : []; // until the server has said it, nobody knows
  const hop = upstream?.cause ?? null;
  const broken = shown.find(isBroken)?.cause ?? hop;
  const status = byId("status");
  status.dataset.phase = connection.phase;
  status.dataset.healthy = String(connection.phase === "connected" && words === "" && !shown.some(isBroken));
  setText(byId("phase"), access.waits ? PHASES.unauthorized : PHASES[connection.phase]);
  byId("broken").hidden = broken === null;
  setText(byId("broken"), broken === null ? "" : capitalized(CAUSES[broken] ?? broken));
  byId("problem").hidden = words === "";
  setText(byId("problem-words"), words);
  setText(byId("problem-age"), age === null ? "" : `Last heard ${duration(age)} ago.`);
  showFaults(shown);
}

/** @type {Partial<Record<Cause, string>>} */
const NOTICES = { market_quiet: "quiet", feed_ended: "ended" };

/** @param {Fault} fault Whether something is wrong: a feed that has ended has done its work. */
const isBroken = ({ cause }) => cause !== "feed_ended";

/** @param {string} words */
const capitalized = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** @param {Fault[]} shown */
function showFaults(shown) {
  const into = byId("faults");
  while (into.children.length > shown.length) into.lastElementChild?.remove();
  for (const [index, fault] of shown.entries()) {
    const notice = into.children[index] ?? element("p", "", into);
    notice.className = `notice ${NOTICES[fault.cause] ?? "problem"}`;
    const [words, since] = notice.children.length > 0 ? notice.children : newFault(notice);
    setText(words, FAULTS[fault.cause]?.(fault) ?? `${fault.source}: ${CAUSES[fault.cause] ?? fault.cause}.`);
    const age = connection.age(fault.newest);
    const gone = connection.freshness(fault.newest) === "expired" && isBroken(fault);
    const forget = gone ? " If it is gone for good, “cottage retire” forgets its symbols." : "";
    setText(since, (age === null ? "" : ` Last price ${duration(age)} ago.`) + forget);
  }
}

/** @param {Element} notice */
function newFault(notice) {
  const since = element("span");
  since.ariaLive = "off"; // it changes each second
  notice.append(element("strong"), since);
  return notice.children;
}

/**
 * Of what is not live, what is a fault: single symbols may be quiet, or late by nature.
 * @param {Iterable<Fault>} found
 * @param {Map<string, number>} symbols How many symbols each source has.
 */
function realFaults(found, symbols) {
  return [...found].filter(({ cause, source, symbols: some }) => {
    if (cause === "market_quiet") return some >= FEWEST && some === symbols.get(source);
    return cause !== "feed_late";
  });
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
  /** @type {Map<string, Fault>} */
  const found = new Map();
  /** @type {Map<string, number>} */
  const symbols = new Map();
  for (const state of connection.states.values()) {
    const { symbol, regime, source } = state;
    const cause = connection.cause(state);
    const of = source ?? "unknown";
    symbols.set(of, (symbols.get(of) ?? 0) + 1);
    if (cause !== null) {
      causes.set(cause, (causes.get(cause) ?? 0) + 1);
      const fault = found.get(`${cause} ${of}`) ?? { cause, source: of, symbols: 0, newest: state };
      fault.symbols += 1;
      if ((state.time ?? 0) > (fault.newest.time ?? 0)) fault.newest = state;
      found.set(`${cause} ${of}`, fault);
    }
    regimes.set(regime, (regimes.get(regime) ?? 0) + 1);
    if (source === "simulate") simulated.push(symbol);
    if (source === "replay") replayed.push(symbol);
    if (isContested(state)) contested.push(symbol);
  }
  const counts = [...regimes].filter(([, count]) => count > 0).map(([regime, count]) => `${count}\u00a0${regime}`);
  for (const [cause, count] of causes) counts.push(`${count}\u00a0not live: ${CAUSES[cause] ?? cause}`);
  faults = realFaults(found.values(), symbols);
  setText(byId("count"), [counted(connection.states.size), ...counts].join(" · "));
  fold.hidden = table.unfed === 0;
  setText(fold, `${table.unfed}\u00a0${table.unfed === 1 ? "symbol" : "symbols"} that no feed brings any more`);
  showNotice("simulated", simulated);
  showNotice("replayed", replayed);
  showNotice("contested", contested);
  showEmpty();
}

/** What Feynman refuses, as long as it goes on saying so. */
function showRefused() {
  let number = 0;
  const said = [];
  for (const [shard, { data, at }] of refusals) {
    if (performance.now() - at > REFUSALS_LAST) {
      refusals.delete(shard);
      continue;
    }
    for (const count of [data?.symbols, data?.bad_names?.names]) number += Number.isFinite(count) ? count : 0;
    for (const [symbol, words] of Object.entries(data?.first ?? {})) said.push(`${symbol}: ${words}`);
    said.push(...Object.values(data?.bad_names?.first ?? {}).map(String));
  }
  byId("refused").hidden = number === 0;
  setText(byId("refused-number"), `${number}\u00a0${number === 1 ? "snapshot is" : "snapshots are"} refused.`);
  setText(byId("refused-symbols"), said.slice(0, REFUSALS_LISTED).join(" · "));
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
