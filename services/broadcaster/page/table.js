// The table of states: one row per symbol, updated in place at most once per frame. Only the rows on screen exist as
// elements: a browser lays out and paints a table as a whole, and thousands of rows would take all of its time.

import { bar, element, quantity, setText, signedBar } from "./cells.js";

export const WAIT = "WAIT";
const WAIT_RETURNS = 64; // the tail index needs so many returns that are not zero
const ALPHA_MOST = 10; // the bound of α; an interval that reaches it has no upper end
const AROUND = 8; // extra rows above and below the visible ones, for scrolling faster than one frame

/**
 * @typedef {import("./cottage.js").State} State
 * @typedef {import("./cottage.js").Freshness} Freshness
 * @typedef {import("./cottage.js").Cause | "server_down"} Cause
 */

// In the order of the columns in index.html.
const PILLARS = /** @type {const} */ (["mass", "momentum", "friction", "entropy", "nash"]);
const PUBLISHED = { mass: "mass", momentum: "momentum", friction: "friction", entropy: "entropy", nash: "nash_dist" };

/**
 * What is meant by each regime.
 * @type {Record<string, string>}
 */
const MEANINGS = {
  Gaussian: "variance finite",
  "Lévy Stable": "variance in doubt",
  Critical: "variance not finite",
  [WAIT]: "too few large moves",
};

/**
 * What the words of `notes` mean; a feed may have others.
 * @type {Record<string, string>}
 */
const NOTES = {
  jump: "a return above 20 times what is usual in the window, or a price that nearly doubled or halved",
  break: "prices before and after a sample cannot be compared, such as after a split",
  gap: "two samples lie far apart, or some between them are lost: nothing is computed across it",
  session: "volume and trades began anew",
  correction: "the feed took back some of its volume or trades",
  overflow: "volume or trades are beyond what a number holds",
  rolling: "volume or trades fall again and again, as a 24-hour figure does: what was traded is not known",
  two_writers: "somebody else writes this symbol too",
  no_volume: "no volume now",
  no_trades: "no number of trades now",
  mid: "the price is the middle of bid and ask",
  auction: "the price is an auction's",
  off_tick: "fewer than half of the prices lie on the tick that the feed states, which is not used",
};

/** One row of the table, which shows the state of one symbol. */
class Row {
  #heading;
  #cells;
  /** @type {State | undefined} The state that the row shows. */
  #state;

  /** @param {string} symbol */
  constructor(symbol) {
    this.element = element("tr");
    this.element.dataset.symbol = symbol;
    this.#heading = element("th", "symbol", this.element);
    this.#heading.scope = "row";
    this.#heading.textContent = symbol;
    this.#cells = this.#build();
  }

  #build() {
    /** @param {string} name */
    const cell = (name) => element("td", name, this.element);
    // The cells are made in the order of the columns in index.html.
    const price = quantity(cell("price"), priceText);
    const age = cell("age");
    const regime = cell("regime");
    const badge = element("span", "badge", regime);
    const held = element("time", "held", regime);
    const progress = bar(regime, "progress");
    const meaning = element("span", "meaning", regime);
    const alpha = cell("alpha");
    const tail = { number: element("span", "number", alpha), interval: element("span", "interval", alpha) };
    const pillars = PILLARS.map((name) => {
      const into = cell(`pillar ${name}`);
      const signed = name === "momentum";
      return {
        name,
        value: quantity(into, signed ? signedHundredths : hundredths),
        bar: (signed ? signedBar : bar)(into, "level"),
      };
    });
    const samples = quantity(cell("samples"), (value) => WHOLE.format(value));
    const source = cell("source");
    return {
      price,
      regime,
      badge,
      held,
      progress,
      meaning,
      tail,
      pillars,
      samples,
      source,
      sourceWord: element("bdi", "word", source),
      notes: cell("notes"),
      age,
      label: element("span", "label", age),
      seconds: element("span", "seconds", age),
    };
  }

  /**
   * @param {State} state
   * @param {number | null} age The age of the sample in milliseconds; null if it is not known.
   * @param {Freshness} freshness
   * @param {Cause | null} cause
   */
  show(state, age, freshness, cause) {
    const cells = this.#cells;
    if (this.element.dataset.freshness !== freshness) this.element.dataset.freshness = freshness;
    setText(cells.label, LABELS[freshness]);
    const why = cause === null ? "" : `${LABELS[freshness]}: ${CAUSES[cause] ?? cause}`;
    if (cells.age.title !== why) cells.age.title = why;
    setText(cells.seconds, age === null ? "" : duration(age));
    if (state === this.#state) return;
    this.#state = state;
    this.#heading.title = state.native === state.symbol ? "" : state.native;
    cells.price(state.price);
    this.#showRegime(state);
    for (const { name, value, bar } of cells.pillars) {
      const known = state.void.includes(PUBLISHED[name]) ? null : state[name];
      value(known);
      bar(known ?? 0);
    }
    cells.samples(state.samples);
    setText(cells.sourceWord, state.source ?? "–");
    cells.source.title = state.source ?? "";
    setText(cells.notes, state.notes.map(noteText).join(", "));
    cells.notes.title = state.notes.map((word) => `${noteText(word)}: ${NOTES[word] ?? "a word of its feed"}`).join("\n");
  }

  /** @param {State} state */
  #showRegime(state) {
    const { regime, regimeSince, nonzero } = state;
    const cells = this.#cells;
    const waiting = isWaiting(state);
    if (cells.regime.dataset.regime !== regime) cells.regime.dataset.regime = regime;
    cells.regime.classList.toggle("waiting", waiting);
    setText(cells.badge, waiting && nonzero !== null ? `${WAIT} ${nonzero} of ${WAIT_RETURNS}` : regime);
    cells.progress((nonzero ?? 0) / WAIT_RETURNS);
    setText(cells.meaning, MEANINGS[regime] ?? "");
    const since = waiting || regimeSince === null ? "" : new Date(regimeSince).toISOString();
    if (cells.held.dateTime !== since) {
      cells.held.dateTime = since;
      cells.held.title = since && `since ${since}`;
    }
    setText(cells.held, since && heldText(state));
    const [number, interval] = tailTexts(state);
    setText(cells.tail.number, number);
    setText(cells.tail.interval, interval);
  }
}

/** @param {State} state Whether it has too few returns for a tail index. */
function isWaiting({ regime, nonzero }) {
  return regime === WAIT && (nonzero ?? 0) < WAIT_RETURNS;
}

/** @param {State} state How long its regime has held at its sample, by the market's own time. */
function heldText({ regimeSince, eventTime, feedTime, time }) {
  const sampled = eventTime ?? feedTime ?? time;
  return sampled === null || regimeSince === null ? "" : duration(Math.max(0, sampled - regimeSince));
}

/**
 * The tail index and its interval. Where α is its bound there is no estimate, but there is what it is not below.
 * @param {State} state
 * @returns {[number: string, interval: string]}
 */
function tailTexts(state) {
  const { alpha, alphaLow, alphaHigh } = state;
  const number = alpha === null ? "–" : hundredths(alpha);
  if (isWaiting(state)) return [number, "not measured"];
  if (alpha === null || alphaLow === null || alphaHigh === null) return [number, ""];
  if (alphaHigh < ALPHA_MOST) return [number, `${hundredths(alphaLow)}–${hundredths(alphaHigh)}`];
  const least = `≥ ${hundredths(alphaLow)}`;
  return alpha < ALPHA_MOST ? [number, least] : [least, "no upper end"];
}

const ROW_HEIGHT = 38.5; // in px, used until there is a row to measure

const LABELS = { live: "", stale: "stale", expired: "expired", undated: "no time" };

const ANNOUNCED_SOURCES = new Set(["simulate", "replay", "live"]); // those of the suite's own market service

/** @type {Record<Cause, string>} */
export const CAUSES = {
  server_down: "no server",
  bridge_down: "no bridge",
  redis_down: "no Redis",
  writer_down: "no writer",
  feed_down: "no feed",
  feed_ended: "feed ended",
  feed_late: "late feed",
  market_quiet: "quiet",
};

/** @type {Intl.NumberFormatOptions} */
const HUNDREDTHS = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
const USUAL_PRICE = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 4 });
const SMALL_PRICE = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
const SIGNED = new Intl.NumberFormat("en", { ...HUNDREDTHS, signDisplay: "exceptZero" });
const WHOLE = new Intl.NumberFormat("en");

/** @param {string} word */
const noteText = (word) => word.replaceAll("_", " ");
/** @param {number} value */
const hundredths = (value) => value.toFixed(2);
/** @param {number} value */
const signedHundredths = (value) => SIGNED.format(value).replace("-", "\u2212"); // U+2212 is as wide as the plus sign

/** @param {number} price */
function priceText(price) {
  return (price >= 1 ? USUAL_PRICE : SMALL_PRICE).format(price);
}

/** @param {number} milliseconds */
export function duration(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 1000) return `${seconds} s`;
  if (seconds < 100 * 60) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/** The table of the states of a connection. app.js makes it, and calls `draw` at most once per frame. */
export class Table {
  #connection;
  #table;
  #scroller;
  #before; // these two spacers are as high as the rows that do not exist
  #after;
  /** @type {Map<string, Row>} The rows that exist, by symbol. */
  #rows = new Map();
  /** @type {string[]} The symbols that match the filter and are not folded away, sorted; then those unfolded. */
  #symbols = [];
  #outdated = false; // whether #symbols must be computed again
  #filter = "";
  #unfolded = false;
  /** The number of symbols that no feed brings any more; 0 if that is all of them, or a filter looks for some. */
  unfed = 0;

  /**
   * @param {import("./cottage.js").Cottage} connection The client whose states are shown.
   * @param {HTMLTableElement} table
   * @param {HTMLElement} scroller
   * @param {() => void} wake Called when scrolling or resizing makes other rows visible.
   */
  constructor(connection, table, scroller, wake) {
    this.#connection = connection;
    this.#table = table;
    this.#scroller = scroller;
    this.#before = spacer(table.tBodies[0]);
    this.#after = spacer(table.tBodies[0]);
    scroller.addEventListener("scroll", wake, { passive: true });
    new ResizeObserver(wake).observe(scroller);
  }

  /** The number of symbols that match the filter. */
  get matching() {
    return this.#symbols.length;
  }

  /** To be called when symbols were added or removed. */
  outdated() {
    this.#outdated = true;
  }

  /** @param {string} text Only symbols that contain this text are shown. */
  filter(text) {
    this.#filter = text.trim().toUpperCase();
    this.#outdated = true;
  }

  /** @param {boolean} unfolded Whether the symbols that no feed brings any more are shown, after the others. */
  unfold(unfolded) {
    this.#unfolded = unfolded;
    this.#outdated = true;
  }

  draw() {
    const { states } = this.#connection;
    if (this.#outdated) {
      const matching = [...states.values()].filter(
        ({ symbol, native }) => symbol.includes(this.#filter) || native.toUpperCase().includes(this.#filter),
      );
      const unfed = matching.filter((state) => this.#filter === "" && this.#isUnfed(state));
      this.unfed = unfed.length < matching.length ? unfed.length : 0;
      const folded = new Set(this.unfed > 0 ? unfed : []);
      const first = matching.filter((state) => !folded.has(state));
      const last = this.#unfolded ? [...folded] : [];
      this.#symbols = [first, last].flatMap((some) => some.map(({ symbol }) => symbol).sort());
      this.#table.setAttribute("aria-rowcount", String(this.#symbols.length + 1));
      this.#outdated = false;
    }
    this.#window();
    for (const [symbol, row] of this.#rows) {
      const state = states.get(symbol);
      const connection = this.#connection;
      if (state === undefined) continue;
      row.show(state, connection.age(state), connection.freshness(state), connection.cause(state));
    }
  }

  /**
   * Whether no feed brings the symbol any more. Feeds of the suite announce themselves; of others it is known only that
   * nothing has come of them for a minute.
   * @param {State} state
   */
  #isUnfed(state) {
    if (this.#connection.freshness(state) !== "expired") return false;
    const cause = this.#connection.cause(state);
    return cause === "feed_down" || (cause === "market_quiet" && !ANNOUNCED_SOURCES.has(state.source ?? ""));
  }

  /** Make elements for the rows on screen, and remove all others. */
  #window() {
    const height = this.#rowHeight();
    const head = this.#table.tHead?.offsetHeight ?? 0;
    const seen = Math.ceil((this.#scroller.clientHeight - head) / height);
    const most = Math.max(0, this.#symbols.length - seen);
    const top = Math.min(most, Math.floor(this.#scroller.scrollTop / height));
    const first = Math.max(0, top - AROUND);
    const wanted = this.#symbols.slice(first, top + seen + AROUND);

    const keep = new Set(wanted);
    for (const [symbol, row] of this.#rows) {
      if (keep.has(symbol)) continue;
      row.element.remove();
      this.#rows.delete(symbol);
    }
    let place = this.#before.nextElementSibling;
    for (const [index, symbol] of wanted.entries()) {
      let row = this.#rows.get(symbol);
      if (row === undefined) {
        row = new Row(symbol);
        this.#rows.set(symbol, row);
      }
      if (row.element === place) place = place.nextElementSibling;
      else place?.before(row.element);
      row.element.ariaRowIndex = String(first + index + 2); // the head is the first
    }
    this.#before.style.height = `${first * height}px`;
    this.#after.style.height = `${(this.#symbols.length - first - wanted.length) * height}px`;
  }

  /** The height of a row in px. All rows are equally high, by style.css. */
  #rowHeight() {
    const [row] = this.#rows.values();
    return row?.element.getBoundingClientRect().height || ROW_HEIGHT;
  }
}

/** @param {HTMLTableSectionElement} body */
function spacer(body) {
  const row = element("tr", "spacer", body);
  row.ariaHidden = "true";
  return row;
}
