// The table of states: one row a symbol, changed in place, at most once a frame.

import { bar, element, labelled, quantity, setText, signedBar } from "./cells.js";

export const WAIT = "WAIT";
const WAIT_RETURNS = 64; // non-zero returns that a tail index needs
const HIDDEN_ROWS_A_FRAME = 25; // off screen: soon enough, and never in the way of what is seen

const TAILS = {
  Gaussian: "finite variance",
  "Lévy Stable": "infinite variance",
  Critical: "extreme moves",
  [WAIT]: "not measured yet",
};

class Row {
  constructor(symbol) {
    this.symbol = symbol;
    this.element = element("tr");
    this.element.dataset.symbol = symbol;
    const heading = element("th", "symbol", this.element);
    heading.scope = "row";
    heading.textContent = symbol;
    this.cells = null; // made when they are first shown: 10,000 rows cost little
  }

  #build() {
    const cell = (name) => element("td", name, this.element);
    // Columns in the order of the table's head.
    const price = quantity(cell("price"), priceText);
    const age = cell("age");
    const regime = cell("regime");
    const badge = labelled(regime, "badge");
    const progress = bar(regime, "progress");
    const alpha = cell("alpha");
    const tail = { value: quantity(alpha, hundredths), meaning: labelled(alpha, "meaning") };
    const pillar = (name, make, format) => {
      const into = cell(`pillar ${name}`);
      return { value: quantity(into, format), bar: make(into, "level") };
    };
    const pillars = {
      mass: pillar("mass", bar, hundredths),
      momentum: pillar("momentum", signedBar, signedHundredths),
      friction: pillar("friction", bar, hundredths),
      entropy: pillar("entropy", bar, hundredths),
      nash: pillar("nash", bar, hundredths),
    };
    const samples = quantity(cell("samples"), (value) => WHOLE.format(value));
    const source = labelled(cell("source"), "word", "bdi");
    this.cells = {
      price,
      regime,
      badge,
      progress,
      tail,
      pillars,
      samples,
      source,
      label: labelled(age, "label"),
      age: labelled(age, "seconds"),
    };
  }

  /** `age` in ms or null; `freshness` as the connection says. */
  show(state, age, freshness) {
    if (this.cells === null) this.#build();
    const { cells } = this;
    if (this.element.dataset.freshness !== freshness) this.element.dataset.freshness = freshness;
    setText(cells.label, LABELS[freshness]);
    setText(cells.age, age === null ? "" : duration(age));
    if (state === this.shown) return;
    this.shown = state;
    cells.price(state.price);
    this.#showRegime(state);
    for (const [name, pillar] of Object.entries(cells.pillars)) {
      pillar.value(state[name]);
      pillar.bar(state[name] ?? 0);
    }
    cells.samples(state.samples);
    setText(cells.source, state.source ?? "–");
    cells.source.parentElement.title = state.source ?? "";
  }

  #showRegime({ regime, nonzero, alpha }) {
    const { cells } = this;
    const waiting = regime === WAIT && nonzero !== null;
    if (cells.regime.dataset.regime !== regime) cells.regime.dataset.regime = regime;
    setText(cells.badge, waiting ? `${WAIT} ${nonzero} of ${WAIT_RETURNS}` : regime);
    cells.progress(waiting ? nonzero / WAIT_RETURNS : 0);
    cells.tail.value(alpha);
    setText(cells.tail.meaning, TAILS[regime] ?? "");
  }
}

const LABELS = { live: "", stale: "stale", expired: "expired", undated: "no time" };

const HUNDREDTHS = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
const USUAL_PRICE = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 4 });
const SMALL_PRICE = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
const SIGNED = new Intl.NumberFormat("en", { ...HUNDREDTHS, signDisplay: "exceptZero" });
const WHOLE = new Intl.NumberFormat("en");

const hundredths = (value) => value.toFixed(2);
const signedHundredths = (value) => SIGNED.format(value).replace("-", "\u2212"); // a minus as wide as the plus

function priceText(price) {
  return (price >= 1 ? USUAL_PRICE : SMALL_PRICE).format(price);
}

export function duration(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 1000) return `${seconds} s`;
  if (seconds < 100 * 60) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

export class Table {
  #body;
  #rows = new Map();
  #dirty = new Set(); // rows whose shown values are not the newest
  #visible = new Set();
  #misplaced = false;
  #filter = "";
  #observer;
  #byElement = new WeakMap();

  /** `wake()` is called when there is something to draw. */
  constructor(body, scroller, wake) {
    this.#body = body;
    this.wake = wake;
    const look = (entries) => {
      for (const { target, isIntersecting } of entries) {
        const row = this.#byElement.get(target);
        if (isIntersecting) this.#visible.add(row);
        else this.#visible.delete(row);
      }
      this.wake();
    };
    this.#observer = new IntersectionObserver(look, { root: scroller, rootMargin: "200px" });
  }

  get size() {
    return this.#rows.size;
  }

  /** Rows that the filter lets through. */
  get matching() {
    let count = 0;
    for (const symbol of this.#rows.keys()) count += this.#matches(symbol);
    return count;
  }

  /** A symbol's state is new. */
  changed(symbol) {
    let row = this.#rows.get(symbol);
    if (row === undefined) {
      row = new Row(symbol);
      row.element.hidden = !this.#matches(symbol);
      this.#rows.set(symbol, row);
      this.#byElement.set(row.element, row);
      this.#misplaced = true;
    }
    this.#dirty.add(row);
    this.wake();
  }

  removed(symbol) {
    const row = this.#rows.get(symbol);
    if (row === undefined) return;
    this.#rows.delete(symbol);
    this.#dirty.delete(row);
    this.#visible.delete(row);
    this.#observer.unobserve(row.element);
    row.element.remove();
  }

  /** Time has passed: every age is another. */
  aged() {
    for (const row of this.#rows.values()) this.#dirty.add(row);
    this.wake();
  }

  filter(text) {
    this.#filter = text.trim().toUpperCase();
    for (const row of this.#rows.values()) row.element.hidden = !this.#matches(row.symbol);
  }

  /** Draw what is on screen and some of the rest; whether all is drawn. */
  draw(connection) {
    if (this.#misplaced) this.#place();
    const show = (row) => {
      this.#dirty.delete(row);
      const state = connection.states.get(row.symbol);
      row.show(state, connection.age(state), connection.freshness(state));
    };
    for (const row of this.#visible) if (this.#dirty.has(row)) show(row);
    let budget = HIDDEN_ROWS_A_FRAME;
    for (const row of this.#dirty) {
      if (budget-- === 0) return false;
      show(row);
    }
    return true;
  }

  #matches(symbol) {
    return symbol.includes(this.#filter);
  }

  /** Put new rows where they belong: sorted by symbol. */
  #place() {
    let next = this.#body.firstElementChild;
    for (const symbol of [...this.#rows.keys()].sort()) {
      const row = this.#rows.get(symbol);
      if (row.element === next) {
        next = next.nextElementSibling;
      } else {
        this.#body.insertBefore(row.element, next);
        this.#observer.observe(row.element);
      }
    }
    this.#misplaced = false;
  }
}
