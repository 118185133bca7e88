// A client of Curiosity Cottage for browsers, and for Node from version 22: one WebSocket that is opened again whenever
// it is lost, and the newest state of every symbol. One file, no dependencies; a broadcaster serves it at /cottage.js.
//
//   import { Cottage } from "http://127.0.0.1:8765/cottage.js";
//
//   const market = new Cottage("ws://127.0.0.1:8765/ws", { symbols: ["SPY", "QQQ"] });
//   market.addEventListener("state", ({ symbol, state }) => console.log(symbol, state?.price, market.freshness(state)));
//   market.addEventListener("change", () => console.log(market.phase, market.upstream?.cause));
//
// What it promises: a symbol never goes back to an older version, whatever connection or server it comes from; a
// state that went is forgotten; and what is shown as `live` is no older than the server can prove.
// docs/protocol.md describes what is said on the wire.

const SUBPROTOCOL = "cottage.v1";
const ALL = "*";
const FIRST_WAIT = 50; // ms; the ceiling of the wait doubles with every try
const LONGEST_WAIT = 1000;
const LASTING = 5000; // a connection that lived so long starts the waits anew
const OPEN_WITHIN = 5000; // a browser would wait for minutes
const ASK_AFTER = 2000; // of silence: the server only has to speak every 5 s
const LOST_AFTER = 6000;
export const SILENT_AFTER = 3000; // what comes over a hop that is silent for so long counts as stale
const STALE_AFTER = 10_000; // since the sample
const EXPIRED_AFTER = 60_000;
const CLOCK_STEP = 10_000; // more than a late message: the server's clock was set
const CLOCK_DRIFT = 1e-3; // two clocks differ in pace, by a tenth of that at most
const POLICY = 1008; // the one close code after which a client must not come back by itself
const NAMES_IN_URL = 100; // more are asked for once the connection is there: addresses have a length
const NAMES_A_REQUEST = 2000; // a request has at most 64 KiB

/** Milliseconds that only go forward, through a clock that is set back and through a computer that slept. */
class Stopwatch {
  #date = Date.now();
  #steady = performance.now();

  elapsed() {
    return Math.max(this.steady(), Date.now() - this.#date);
  }

  /** Without regard to the clock on the wall; in some browsers it stands still while the computer sleeps. */
  steady() {
    return performance.now() - this.#steady;
  }
}

/** The server's clock, as far as its messages tell: this computer's may be wrong. */
class ServerClock {
  #base = Date.now();
  #since = new Stopwatch();
  #trusted = false;

  now() {
    return this.#base + this.#since.elapsed();
  }

  /** The next time that is told is taken as it is: it may be another server's. */
  forget() {
    this.#trusted = false;
  }

  told(timestamp) {
    const time = Date.parse(timestamp);
    if (Number.isNaN(time)) return;
    // A message that was long on its way must not set the clock back, or old values would look new.
    const estimate = this.#base + this.#since.steady();
    const kept = estimate - CLOCK_DRIFT * this.#since.steady();
    const late = this.#trusted && time < kept && kept - time < CLOCK_STEP;
    this.#base = late ? kept : time;
    this.#since = new Stopwatch();
    this.#trusted = true;
  }
}

const number = (value) => (Number.isFinite(value) ? value : null);
const text = (value) => (typeof value === "string" ? value : null);

/** A PHYSICS_UPDATE, checked: numbers and texts, or null for what is absent. Null for what is no update. */
function parse(update) {
  const symbol = text(update?.symbol);
  const data = update?.data;
  if (symbol === null || typeof data !== "object" || data === null) return null;
  const time = Date.parse(update.timestamp);
  return {
    symbol,
    time: Number.isNaN(time) ? null : time, // of the sample, ms since 1970
    epoch: number(update.epoch), // epochs are milliseconds and seqs ticks: both are exact as a double
    seq: number(update.seq),
    regime: text(data.regime) ?? "",
    alpha: number(data.alpha),
    mass: number(data.mass),
    momentum: number(data.momentum),
    friction: number(data.friction),
    entropy: number(data.entropy),
    nash: number(data.nash_dist),
    price: number(data.price),
    samples: number(data.samples),
    nonzero: number(data.nonzero),
    source: text(data.source),
    skipped: number(update.skipped) ?? 0, // versions before it that were left out, since this client was slow
  };
}

/** Whether (epoch, seq) is after that of `held`. */
function isAfter(epoch, seq, held) {
  return epoch > held.epoch || (epoch === held.epoch && seq > held.seq);
}

/** Whether `state` may replace `held`: one without a version never replaces one that has it. */
function isNewer(state, held) {
  if (held === undefined || held.epoch === null) return true;
  return state.epoch !== null && isAfter(state.epoch, state.seq, held);
}

/** A symbol's state changed; `state` is undefined where it has none any more, `before` where it had none. */
class StateEvent extends Event {
  constructor(symbol, state, before) {
    super("state");
    this.symbol = symbol;
    this.state = state;
    this.before = before;
  }
}

/** An AGENT_UPDATE, as the agent published it. */
class AgentEvent extends Event {
  constructor(message) {
    super("agent");
    this.message = message;
  }
}

const LIVE = { status: "live", cause: null };

/** How far the states may be trusted, as the server said last: of all, and of those that stand apart. */
class Standing {
  #whole = LIVE;
  #apart = new Map();

  take({ status, cause, symbols }) {
    if (symbols.includes(ALL)) {
      this.#whole = { status, cause };
      this.#apart.clear();
      return;
    }
    const isWhole = status === this.#whole.status && cause === this.#whole.cause;
    for (const symbol of symbols) {
      if (isWhole) this.#apart.delete(symbol);
      else this.#apart.set(symbol, { status, cause });
    }
  }

  forget(symbol) {
    this.#apart.delete(symbol);
  }

  of(symbol) {
    return this.#apart.get(symbol) ?? this.#whole;
  }
}

/** The server refused a request: `code` and `reason` say why. */
class RefusalEvent extends Event {
  constructor({ code, message }) {
    super("refusal");
    this.code = code;
    this.reason = message;
  }
}

/**
 * Events: `state`, `agent`, `refusal` (see above), and `change` where anything else did: phase, upstream, missing.
 */
export class Cottage extends EventTarget {
  /** The newest state by symbol. It outlives a connection, so that no symbol ever goes back. */
  states = new Map();
  /** Symbols that were asked for by name and have no state. */
  missing = new Set();
  /** `connecting`, `connected` (the SNAPSHOT is here), `reconnecting`, `refused` for good, or `closed` by `close()`. */
  phase = "connecting";
  /** {status, cause, age} of what the server gets its states from; null while it has not said. */
  upstream = null;
  /** Versions that were left out because this client read too slowly. */
  skipped = 0;
  /** Times that a HEARTBEAT proved a newer version than what was held, and it was asked for again. */
  resyncs = 0;

  #url;
  #wanted; // null is all symbols
  #clock = new ServerClock();
  #standing = new Standing();
  #heard = new Stopwatch();
  #born = new Stopwatch(); // the connection or the try under way
  #upstreamTold = new Stopwatch();
  #socket = null;
  #ceiling = FIRST_WAIT;
  #timers = new Set();
  #watching;
  #named = new Set(); // symbols of the SNAPSHOT under way
  #requests = 0;
  #unanswered = new Set(); // ids of subscribes: what they add has not begun to come
  #whole = true; // false once a part of one was incomplete
  #asked = false;

  /**
   * `url`: of a broadcaster, such as "ws://127.0.0.1:8765/ws".
   * `symbols`: a list; without it all. `batch`: 100, 250, 500 or 1000 ms for which the server gathers updates.
   */
  constructor(url, { symbols = null, batch = 0 } = {}) {
    super();
    this.#url = new URL(url);
    if (batch) this.#url.searchParams.set("batch", batch);
    this.#wanted = symbols === null || symbols.includes(ALL) ? null : new Set(symbols);
    this.#watching = setInterval(() => this.#watch(), 500);
    this.#open();
  }

  /** Also these symbols; ["*"] is all. It holds for every later connection too. */
  subscribe(symbols) {
    if (symbols.includes(ALL)) {
      if (this.#wanted === null) return;
      this.#wanted = null;
      this.missing.clear();
      this.#again([ALL]); // so that the SNAPSHOT has all of them
      return;
    }
    const added = symbols.filter((symbol) => !this.#wants(symbol));
    for (const symbol of added) this.#wanted.add(symbol);
    this.#request("subscribe", added);
  }

  /** No longer these; ["*"] is all. Single symbols cannot be taken out of all of them. */
  unsubscribe(symbols) {
    const everything = symbols.includes(ALL);
    if (this.#wanted === null && !everything) throw new RangeError('subscribed to all: unsubscribe(["*"]) first');
    const gone = everything ? [...this.states.keys(), ...this.missing] : symbols;
    this.#wanted = everything ? new Set() : this.#wanted;
    for (const symbol of gone) {
      this.#wanted.delete(symbol);
      this.missing.delete(symbol);
      this.#remove(symbol);
    }
    this.#request("unsubscribe", symbols);
  }

  /** Say goodbye; nothing is received any more. */
  close() {
    this.phase = "closed";
    clearInterval(this.#watching);
    for (const timer of this.#timers) clearTimeout(timer);
    const socket = this.#socket;
    if (socket !== null) this.#forget(socket);
    this.#changed();
  }

  /** Milliseconds since the server was last heard. */
  get silence() {
    return this.#heard.elapsed();
  }

  /** Milliseconds since the writer was heard, as far as is known; null where it is not. */
  get upstreamAge() {
    const age = this.upstream?.age ?? null;
    return age === null ? null : age + this.#upstreamTold.elapsed();
  }

  /** Milliseconds since a state's sample; null where it has no time. */
  age(state) {
    return state.time === null ? null : Math.max(0, this.#clock.now() - state.time);
  }

  /** `live`, `stale`, `expired`, or `undated` for a state that does not tell its sample's time. */
  freshness(state) {
    const age = this.age(state);
    // Until the server has said, nothing is known to be live; of a lost one the silence tells.
    const hop = this.phase === "connected" ? (this.upstream?.status ?? "stale") : "live";
    const said = [this.#standing.of(state.symbol).status, hop];
    if (age >= EXPIRED_AFTER || said.includes("expired") || this.silence >= EXPIRED_AFTER) return "expired";
    if (age >= STALE_AFTER || said.includes("stale") || this.silence >= SILENT_AFTER) return "stale";
    return age === null ? "undated" : "live";
  }

  /**
   * Why a state is stale or expired: the broken hop nearest to this client (`server_down`, `bridge_down`, `redis_down`,
   * `writer_down`, `feed_down`), else `market_quiet`; null where it is neither.
   */
  cause(state) {
    if (!["stale", "expired"].includes(this.freshness(state))) return null;
    if (this.phase !== "connected" || this.silence >= SILENT_AFTER) return "server_down";
    return this.upstream?.cause ?? this.#standing.of(state.symbol).cause ?? "market_quiet";
  }

  #wants(symbol) {
    return this.#wanted === null || this.#wanted.has(symbol);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #later(task, wait) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      task();
    }, wait);
    this.#timers.add(timer);
    return timer;
  }

  #open() {
    const names = this.#wanted === null ? null : [...this.#wanted];
    const inUrl = names === null || names.length <= NAMES_IN_URL;
    const url = new URL(this.#url);
    if (names !== null) url.searchParams.set("symbols", inUrl ? names.join(",") : "");
    const socket = new WebSocket(url, SUBPROTOCOL);
    this.#born = new Stopwatch();
    this.#socket = socket;
    this.#named.clear();
    this.#unanswered.clear();
    this.#whole = true;
    this.#asked = false;
    const late = this.#later(() => this.#lost(socket), OPEN_WITHIN);
    socket.onopen = () => {
      clearTimeout(late);
      this.#clock.forget();
      this.#standing = new Standing();
      this.#catchUp(names === null ? null : new Set(inUrl ? names : []));
    };
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => {
      clearTimeout(late);
      this.#lost(socket, event.code);
    };
  }

  #forget(socket) {
    // An unreachable server would not answer the closing handshake: nothing here waits for it.
    this.#socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.upstream = null;
  }

  #lost(socket, code) {
    if (socket !== this.#socket) return;
    this.#forget(socket);
    this.phase = code === POLICY ? "refused" : this.phase === "connecting" ? "connecting" : "reconnecting";
    this.#changed();
    if (code === POLICY) return;
    if (this.#born.elapsed() >= LASTING) this.#ceiling = FIRST_WAIT;
    this.#later(() => this.#open(), Math.random() * this.#ceiling); // full jitter: a crowd does not return as one
    this.#ceiling = Math.min(LONGEST_WAIT, this.#ceiling * 2);
  }

  #watch() {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    const silence = Math.min(this.silence, this.#born.elapsed());
    if (silence >= LOST_AFTER) {
      this.#lost(socket);
    } else if (silence >= ASK_AFTER && !this.#asked) {
      this.#asked = true;
      this.#send({ action: "ping" });
    }
  }

  #send(request) {
    this.#socket.send(JSON.stringify(request));
  }

  /** Sent where there is a connection; the next one asks for all that is wanted then. */
  #request(action, symbols) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    for (let at = 0; at < symbols.length; at += NAMES_A_REQUEST) {
      const id = (this.#requests += 1);
      if (action === "subscribe") this.#unanswered.add(id);
      this.#send({ action, symbols: symbols.slice(at, at + NAMES_A_REQUEST), id });
    }
  }

  #receive(frame) {
    this.#heard = new Stopwatch();
    this.#asked = false;
    const received = JSON.parse(frame);
    for (const message of Array.isArray(received) ? received : [received]) this.#hear(message);
  }

  #hear(message) {
    switch (message.event) {
      case "PHYSICS_UPDATE":
        this.#take(message);
        break;
      case "SNAPSHOT":
        this.#clock.told(message.timestamp);
        this.#snapshot(message);
        break;
      case "REMOVED":
        this.#remove(message.symbol);
        break;
      case "FRESHNESS":
        this.#standing.take(message);
        if (message.symbols.includes(ALL)) this.#told(message); // it says what the next HEARTBEAT will
        this.#changed();
        break;
      case "HEARTBEAT":
        this.#clock.told(message.timestamp);
        this.#heartbeat(message);
        break;
      case "PONG":
        this.#clock.told(message.timestamp);
        break;
      case "AGENT_UPDATE":
        this.dispatchEvent(new AgentEvent(message));
        break;
      case "ACK":
        // What it adds comes next, and in full: what was named before it is of no use.
        if (this.#unanswered.delete(message.id)) this.#named.clear();
        break;
      case "ERROR":
        this.#unanswered.delete(message.id);
        this.dispatchEvent(new RefusalEvent(message));
        break;
      // What a later server may say besides is not for this client.
    }
  }

  #take(update) {
    const state = parse(update);
    if (state === null || !this.#wants(state.symbol)) return;
    const { symbol } = state;
    this.#named.add(symbol);
    this.missing.delete(symbol);
    this.skipped += state.skipped;
    const before = this.states.get(symbol);
    if (!isNewer(state, before)) return;
    this.states.set(symbol, state);
    const age = this.age(state);
    // What was said of an older sample; the server says so a moment later.
    if (age !== null && age < SILENT_AFTER) this.#standing.forget(symbol);
    this.dispatchEvent(new StateEvent(symbol, state, before));
  }

  #remove(symbol) {
    const before = this.states.get(symbol);
    this.#standing.forget(symbol);
    if (this.#wanted?.has(symbol)) this.missing.add(symbol);
    if (this.states.delete(symbol)) this.dispatchEvent(new StateEvent(symbol, undefined, before));
  }

  #snapshot({ updates, missing, last, complete }) {
    for (const update of updates) this.#take(update);
    this.#whole &&= complete;
    if (complete) for (const symbol of missing) if (this.#wants(symbol)) this.#remove(symbol);
    if (!last) return;
    const settled = this.#unanswered.size === 0; // else more is to come
    if (!this.#whole) {
      this.upstream = { status: "stale", cause: null, age: null };
    } else if (this.#wanted === null && settled) {
      // What went away while there was no connection.
      for (const symbol of [...this.states.keys()]) if (!this.#named.has(symbol)) this.#remove(symbol);
    }
    this.#named.clear();
    if (settled) this.phase = "connected";
    this.#changed();
  }

  #told({ status, cause, age_ms: age }) {
    this.upstream = { status, cause, age };
    this.#upstreamTold = new Stopwatch();
  }

  #heartbeat({ upstream, seqs }) {
    const { cause } = upstream;
    this.#told(upstream);
    if (!this.#whole && cause !== "redis_down" && cause !== "bridge_down") {
      // The server had not read everything when it sent the SNAPSHOT: ask for a whole one.
      this.#whole = true;
      this.#again(this.#wanted === null ? [ALL] : [...this.#wanted]);
    } else if (this.phase === "connected" && this.#unanswered.size === 0) {
      const lost = Object.entries(seqs ?? {}).filter(([symbol, [epoch, seq]]) => this.#isLost(symbol, epoch, seq));
      this.resyncs += lost.length;
      this.#again(lost.map(([symbol]) => symbol));
    }
    this.#changed();
  }

  /** The server has sent a version that has not come, or that nothing is known of any more. */
  #isLost(symbol, epoch, seq) {
    const held = this.states.get(symbol);
    return this.#wants(symbol) && (held === undefined || (held.epoch !== null && isAfter(epoch, seq, held)));
  }

  /** Ask for what changed while the connection was being made, which asked for `known` (null is all). */
  #catchUp(known) {
    const wanted = this.#wanted;
    if (known === null && wanted === null) return;
    if (wanted === null) {
      this.#again([ALL]);
    } else {
      this.#request("unsubscribe", known === null ? [ALL] : [...known].filter((name) => !wanted.has(name)));
      this.#request("subscribe", [...wanted].filter((name) => !known?.has(name)));
    }
  }

  #again(symbols) {
    this.#request("unsubscribe", symbols);
    this.#request("subscribe", symbols);
  }
}
