// A client of Curiosity Cottage for browsers, and for Node from version 22. It keeps one WebSocket, which is opened
// again whenever it is lost, and the newest state of every symbol. One file, no dependencies; every broadcaster
// serves it at /cottage.js, and its TypeScript declarations at /cottage.d.ts.
//
//   import { Cottage } from "http://127.0.0.1:8765/cottage.js";
//
//   const market = new Cottage("ws://127.0.0.1:8765/ws", { symbols: ["SPY", "QQQ"] });
//   market.addEventListener("state", ({ symbol, state }) => console.log(symbol, state?.price, state?.regime));
//   market.addEventListener("change", () => console.log(market.phase, market.upstream?.cause));
//
// What it promises: a symbol never goes back to an older version, whatever connection or server it comes from; a
// state that was removed is forgotten; and what is shown as `live` is no older than the server can prove.
// docs/protocol.md describes the messages. Its twin in Python is cottage/client/state_client.py.

const SUBPROTOCOL = "cottage.v1";
const ALL = "*";
// Times are in milliseconds.
const MIN_BACKOFF = 50; // the backoff doubles with every try
const MAX_BACKOFF = 1000;
const BACKOFF_RESET_AFTER = 5000; // a connection that lasted so long starts the backoff anew
const OPEN_TIMEOUT = 5000; // a browser would wait for minutes
const PING_AFTER = 2000; // of silence: the server only has to speak every 5 s
const SILENCE_TIMEOUT = 6000; // after so much silence the connection is given up
/** The milliseconds of silence after which a hop is not trusted any more, and what came over it counts as stale. */
export const SILENT_AFTER = 3000;
const STALE_AFTER = 10_000; // since the sample
const EXPIRED_AFTER = 60_000;
const CLOCK_STEP = 10_000; // more than a late message: the server's clock was set
const CLOCK_DRIFT = 1e-3; // two clocks differ in pace, by a tenth of that at most
const CLOSE_POLICY = 1008; // the one close code after which a client must not come back by itself
const NAMES_IN_URL = 100; // more are asked for once the connection is there: addresses have a length
const NAMES_A_REQUEST = 2000; // a request has at most 64 KiB

/**
 * How far a state may be trusted, as the server says it.
 * @typedef {"live" | "stale" | "expired"} Status
 */

/**
 * Why a state is stale or expired, as the server says it.
 * @typedef {"bridge_down" | "redis_down" | "writer_down" | "feed_down" | "market_quiet"} Cause
 */

/**
 * What this client says of a state: `undated` is one that does not tell the time of its sample.
 * @typedef {Status | "undated"} Freshness
 */

/**
 * Whether there is a connection. `connected`: and all that was asked for is here. `refused`: the server closed it
 * for good. `closed`: by `close()`.
 * @typedef {"connecting" | "connected" | "reconnecting" | "refused" | "closed"} Phase
 */

/**
 * What the server gets its states from.
 * @typedef {object} Upstream
 * @property {Status} status
 * @property {Cause | null} cause Null while it is live.
 * @property {number | null} age Milliseconds since Feynman was heard, as the server said; null where it never was.
 */

/**
 * The (epoch, seq) of a state. Another program than Feynman may publish states without one.
 * @typedef {{ epoch: number, seq: number } | { epoch: null, seq: null }} Version
 */

/**
 * The fields of a state beside its version.
 * @typedef {object} StateFields
 * @property {string} symbol
 * @property {number | null} time Of the newest sample, in milliseconds since 1970.
 * @property {string} regime `Gaussian`, `Lévy Stable`, `Critical`, or `WAIT` while there are too few returns.
 * @property {number | null} alpha The tail index.
 * @property {number | null} mass From 0 to 1.
 * @property {number | null} momentum In standard deviations, times mass.
 * @property {number | null} friction From 0 to 1.
 * @property {number | null} entropy From 0 to 1.
 * @property {number | null} nash The Nash distance, from 0 to 1.
 * @property {number | null} price
 * @property {number | null} samples How many samples it was computed from.
 * @property {number | null} nonzero How many of its returns are not zero.
 * @property {string | null} source Of the samples, such as `live`, `replay` or `simulate`.
 * @property {number} skipped How many versions before it were left out because this client was slow.
 */

/**
 * A symbol's newest state. Null is what its publisher left out.
 * @typedef {StateFields & Version} State
 */

/**
 * A PHYSICS_UPDATE, as it was published.
 * @typedef {object} PhysicsUpdate
 * @property {"PHYSICS_UPDATE"} event
 * @property {string} symbol
 * @property {string} [timestamp]
 * @property {{ [name: string]: unknown }} data
 * @property {number} [epoch]
 * @property {number} [seq]
 * @property {number} [skipped]
 */

/**
 * A part of what was asked for; the last part has `last`.
 * @typedef {object} Snapshot
 * @property {"SNAPSHOT"} event
 * @property {string} timestamp
 * @property {PhysicsUpdate[]} updates
 * @property {boolean} last
 * @property {boolean} complete
 * @property {string[]} missing
 */

/**
 * A symbol has no state any more.
 * @typedef {object} Removed
 * @property {"REMOVED"} event
 * @property {string} symbol
 */

/**
 * How far the states of these symbols may be trusted; ["*"] is all.
 * @typedef {object} FreshnessStatement
 * @property {"FRESHNESS"} event
 * @property {Status} status
 * @property {Cause | null} cause
 * @property {number | null} age_ms
 * @property {string[]} symbols
 */

/**
 * The server speaks every 5 s. `seqs` are the versions of what it has sent.
 * @typedef {object} Heartbeat
 * @property {"HEARTBEAT"} event
 * @property {string} timestamp
 * @property {{ status: Status, cause: Cause | null, age_ms: number | null }} upstream
 * @property {{ [symbol: string]: [epoch: number, seq: number] }} [seqs]
 */

/**
 * An AGENT_UPDATE, as the agent published it.
 * @typedef {object} AgentUpdate
 * @property {"AGENT_UPDATE"} event
 * @property {string} agent_id
 * @property {string} timestamp
 * @property {{ [name: string]: unknown }} data
 */

/**
 * A request was granted.
 * @typedef {object} Ack
 * @property {"ACK"} event
 * @property {"subscribe" | "unsubscribe"} action
 * @property {string[]} symbols
 * @property {number} [id]
 */

/**
 * The answer to a ping.
 * @typedef {object} Pong
 * @property {"PONG"} event
 * @property {string} timestamp
 */

/**
 * A request was refused.
 * @typedef {object} Refusal
 * @property {"ERROR"} event
 * @property {string} code
 * @property {string} message
 * @property {number} [id]
 */

/**
 * What a server sends.
 * @typedef {PhysicsUpdate | Snapshot | Removed | FreshnessStatement | Heartbeat | AgentUpdate | Ack | Pong | Refusal
 * } ServerMessage
 */

/** Measures milliseconds that only go forward, through a clock that is set back and through a computer that slept. */
class Stopwatch {
  #date = Date.now();
  #steady = performance.now();

  elapsed() {
    return Math.max(this.steady(), Date.now() - this.#date);
  }

  /** Does not look at the clock on the wall; in some browsers it stands still while the computer sleeps. */
  steady() {
    return performance.now() - this.#steady;
  }
}

/**
 * The server's clock, as far as its messages tell: this computer's may be wrong. A message that was long on its way
 * must not set it back, or old values would look new; a larger step is believed, since that clock was set.
 */
class RemoteClock {
  #base = Date.now();
  #since = new Stopwatch();
  #trusted = false;

  now() {
    return this.#base + this.#since.elapsed();
  }

  /** Take the next time that is observed as it is: it may be another server's. */
  distrust() {
    this.#trusted = false;
  }

  /** @param {string} timestamp The server's time, in a message that has just come. */
  observe(timestamp) {
    const time = Date.parse(timestamp);
    if (Number.isNaN(time)) return;
    const estimate = this.#base + this.#since.steady();
    const earliest = estimate - CLOCK_DRIFT * this.#since.steady();
    const late = this.#trusted && time < earliest && earliest - time < CLOCK_STEP;
    this.#base = late ? earliest : time;
    this.#since = new Stopwatch();
    this.#trusted = true;
  }
}

/** How far the states may be trusted, as the server said last: of all, and of those symbols that are exceptions. */
class FreshnessBoard {
  /** @type {{ status: Status, cause: Cause | null }} */
  #overall = { status: "live", cause: null };
  /** @type {Map<string, { status: Status, cause: Cause | null }>} */
  #exceptions = new Map();

  /** @param {FreshnessStatement} statement What is said of all begins anew. */
  apply({ status, cause, symbols }) {
    if (symbols.includes(ALL)) {
      this.#overall = { status, cause };
      this.#exceptions.clear();
      return;
    }
    const isUsual = status === this.#overall.status && cause === this.#overall.cause;
    for (const symbol of symbols) {
      if (isUsual) this.#exceptions.delete(symbol);
      else this.#exceptions.set(symbol, { status, cause });
    }
  }

  /** @param {string} symbol What was said of it is void. */
  forget(symbol) {
    this.#exceptions.delete(symbol);
  }

  /** @param {string} symbol */
  of(symbol) {
    return this.#exceptions.get(symbol) ?? this.#overall;
  }
}

/** @param {unknown} value */
const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** @param {unknown} value */
const text = (value) => (typeof value === "string" ? value : null);

/**
 * The (epoch, seq) of an update: milliseconds and ticks, which are both exact as a double.
 * @param {PhysicsUpdate} update
 * @returns {Version}
 */
function versionOf(update) {
  const epoch = number(update.epoch);
  const seq = number(update.seq);
  return epoch === null || seq === null ? { epoch: null, seq: null } : { epoch, seq };
}

/**
 * The state that an update tells, with each field checked; null for what is no update.
 * @param {PhysicsUpdate} update
 * @returns {State | null}
 */
function parse(update) {
  const symbol = text(update?.symbol);
  const data = update?.data;
  if (symbol === null || typeof data !== "object" || data === null) return null;
  return {
    symbol,
    time: number(Date.parse(update.timestamp ?? "")),
    ...versionOf(update),
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
    skipped: number(update.skipped) ?? 0,
  };
}

/**
 * Whether (epoch, seq) is after that of `held`.
 * @param {number} epoch
 * @param {number} seq
 * @param {{ epoch: number, seq: number }} held
 */
function isAfter(epoch, seq, held) {
  return epoch > held.epoch || (epoch === held.epoch && seq > held.seq);
}

/**
 * Whether `state` may replace `held`. One without a version never replaces one that has it.
 * @param {State} state
 * @param {State | undefined} held
 */
function isNewer(state, held) {
  if (held === undefined || held.epoch === null) return true;
  return state.epoch !== null && isAfter(state.epoch, state.seq, held);
}

/** The state of a symbol has changed, or is gone. */
export class StateEvent extends Event {
  /**
   * @param {string} symbol
   * @param {State | undefined} state
   * @param {State | undefined} before
   */
  constructor(symbol, state, before) {
    super("state");
    this.symbol = symbol;
    /** The newest state; undefined where there is none any more. */
    this.state = state;
    /** The state before it; undefined where there was none. */
    this.before = before;
  }
}

/** An agent has published something. */
export class AgentEvent extends Event {
  /** @param {AgentUpdate} message */
  constructor(message) {
    super("agent");
    this.message = message;
  }
}

/** The server has refused a request; the connection stays. */
export class RefusalEvent extends Event {
  /** @param {Refusal} refusal */
  constructor({ code, message }) {
    super("refusal");
    /** Such as `bad_symbol`; docs/protocol.md lists them. */
    this.code = code;
    /** The same in words. */
    this.reason = message;
  }
}

/**
 * The events of a Cottage, by name.
 * @typedef {object} CottageEventMap
 * @property {StateEvent} state A symbol's state has changed, or is gone.
 * @property {AgentEvent} agent An agent has published something.
 * @property {RefusalEvent} refusal The server has refused a request.
 * @property {Event} change Anything else has changed: phase, upstream, freshness or missing.
 */

/**
 * An EventTarget that knows the type of each event in CottageEventMap.
 * @typedef {{
 *   addEventListener<Type extends keyof CottageEventMap>(type: Type,
 *     listener: (event: CottageEventMap[Type]) => void, options?: boolean | AddEventListenerOptions): void,
 *   removeEventListener<Type extends keyof CottageEventMap>(type: Type,
 *     listener: (event: CottageEventMap[Type]) => void, options?: boolean | EventListenerOptions): void,
 * } & EventTarget} CottageEventTarget
 */

const TypedEventTarget = /** @type {new () => CottageEventTarget} */ (EventTarget);

/**
 * Follows a broadcaster from its construction to `close()`, over any loss of the connection.
 * CottageEventMap lists its events.
 */
export class Cottage extends TypedEventTarget {
  /**
   * The newest state by symbol. It outlives a connection, so that no symbol ever goes back.
   * @type {Map<string, State>}
   */
  states = new Map();
  /**
   * The symbols that were asked for by name and have no state.
   * @type {Set<string>}
   */
  missing = new Set();
  /** @type {Phase} */
  phase = "connecting";
  /**
   * What the server gets its states from; null while it has not said.
   * @type {Upstream | null}
   */
  upstream = null;
  /** How many versions were left out because this client read too slowly. */
  skipped = 0;
  /** How many times a HEARTBEAT proved a newer version than what was held, so that it was asked for again. */
  resyncs = 0;

  #url;
  /** @type {Set<string> | null} The symbols that are wanted; null is all. */
  #wanted;
  #serverClock = new RemoteClock();
  #freshnessBoard = new FreshnessBoard();
  #sinceHeard = new Stopwatch();
  #sinceOpened = new Stopwatch(); // of the connection, or of the try under way
  #sinceUpstream = new Stopwatch();
  /** @type {WebSocket | null} */
  #socket = null;
  #backoff = MIN_BACKOFF;
  /** @type {Set<ReturnType<typeof setTimeout>>} */
  #timers = new Set();
  #livenessTimer;
  #pinged = false;
  #requests = 0;
  /** @type {Set<number | undefined>} The ids of subscribes whose SNAPSHOT has not begun to come. */
  #unanswered = new Set();
  /** @type {Set<string>} The symbols that the SNAPSHOT under way has named. */
  #snapshotSymbols = new Set();
  #complete = true; // false once a part of a SNAPSHOT was incomplete
  /** @type {Map<string, (message: any) => void>} What is done with a message, by its event. */
  #handlers = new Map(
    Object.entries(
      /** @satisfies {{ [Message in ServerMessage as Message["event"]]: (message: Message) => void }} */ ({
        PHYSICS_UPDATE: (update) => this.#take(update),
        SNAPSHOT: (snapshot) => this.#snapshot(snapshot),
        REMOVED: ({ symbol }) => this.#remove(symbol),
        FRESHNESS: (statement) => this.#freshness(statement),
        HEARTBEAT: (heartbeat) => this.#heartbeat(heartbeat),
        PONG: ({ timestamp }) => this.#serverClock.observe(timestamp),
        AGENT_UPDATE: (update) => this.dispatchEvent(new AgentEvent(update)),
        ACK: ({ id }) => {
          // What it adds comes next, and in full: what was named before it is of no use.
          if (this.#unanswered.delete(id)) this.#snapshotSymbols.clear();
        },
        ERROR: (refusal) => {
          this.#unanswered.delete(refusal.id);
          this.dispatchEvent(new RefusalEvent(refusal));
        },
      }),
    ),
  );

  /**
   * @param {string | URL} url Of a broadcaster, such as "ws://127.0.0.1:8765/ws".
   * @param {object} [options]
   * @param {readonly string[] | null} [options.symbols] Without it, or with "*" in it, all symbols.
   * @param {0 | 100 | 250 | 500 | 1000} [options.batch] The milliseconds for which the server gathers updates.
   */
  constructor(url, { symbols = null, batch = 0 } = {}) {
    super();
    this.#url = new URL(url);
    if (batch) this.#url.searchParams.set("batch", String(batch));
    this.#wanted = symbols === null || symbols.includes(ALL) ? null : new Set(symbols);
    this.#livenessTimer = setInterval(() => this.#checkLiveness(), 500);
    this.#open();
  }

  /**
   * Also follow these symbols; ["*"] is all. It holds for every later connection too.
   * @param {readonly string[]} symbols
   */
  subscribe(symbols) {
    if (symbols.includes(ALL)) {
      if (this.#wanted === null) return;
      this.#wanted = null;
      this.missing.clear();
      this.#resubscribe([ALL]); // so that the SNAPSHOT has all of them
      return;
    }
    const added = symbols.filter((symbol) => !this.#wants(symbol));
    for (const symbol of added) this.#wanted?.add(symbol);
    this.#request("subscribe", added);
  }

  /**
   * Follow these symbols no longer; ["*"] is all. Throws a RangeError for single symbols while all are followed.
   * @param {readonly string[]} symbols
   */
  unsubscribe(symbols) {
    const everything = symbols.includes(ALL);
    const gone = everything ? [...this.states.keys(), ...this.missing] : symbols;
    const wanted = everything ? new Set() : this.#wanted;
    if (wanted === null) throw new RangeError('subscribed to all: unsubscribe(["*"]) first');
    this.#wanted = wanted;
    for (const symbol of gone) {
      wanted.delete(symbol);
      this.missing.delete(symbol);
      this.#remove(symbol);
    }
    this.#request("unsubscribe", symbols);
  }

  /** Close the connection; nothing is received any more. */
  close() {
    this.phase = "closed";
    clearInterval(this.#livenessTimer);
    for (const timer of this.#timers) clearTimeout(timer);
    const socket = this.#socket;
    if (socket !== null) this.#discard(socket);
    this.#dispatchChange();
  }

  /** Milliseconds since the server was last heard. */
  get silence() {
    return this.#sinceHeard.elapsed();
  }

  /** Milliseconds since Feynman was heard, as far as is known; null where it is not. */
  get upstreamAge() {
    const age = this.upstream?.age ?? null;
    return age === null ? null : age + this.#sinceUpstream.elapsed();
  }

  /**
   * Milliseconds since a state's sample, by the server's clock; null where the state does not tell its time.
   * @param {State} state
   */
  age(state) {
    return state.time === null ? null : Math.max(0, this.#serverClock.now() - state.time);
  }

  /**
   * How far a state may be trusted: the worst of what the server says and of what its age tells.
   * @param {State} state
   * @returns {Freshness}
   */
  freshness(state) {
    const age = this.age(state);
    // Until the server has said, nothing is known to be live. Of a lost server the silence tells, not its last word.
    const hop = this.phase === "connected" ? (this.upstream?.status ?? "stale") : "live";
    const said = [this.#freshnessBoard.of(state.symbol).status, hop];
    const { silence } = this;
    if (said.includes("expired") || (age ?? 0) >= EXPIRED_AFTER || silence >= EXPIRED_AFTER) return "expired";
    if (said.includes("stale") || (age ?? 0) >= STALE_AFTER || silence >= SILENT_AFTER) return "stale";
    return age === null ? "undated" : "live";
  }

  /**
   * Why a state is stale or expired: the broken hop nearest to this client, else `market_quiet`; null where it is
   * neither. `server_down`: the server is not heard.
   * @param {State} state
   * @returns {Cause | "server_down" | null}
   */
  cause(state) {
    if (!["stale", "expired"].includes(this.freshness(state))) return null;
    if (this.phase !== "connected" || this.silence >= SILENT_AFTER) return "server_down";
    return this.upstream?.cause ?? this.#freshnessBoard.of(state.symbol).cause ?? "market_quiet";
  }

  /** @param {string} symbol */
  #wants(symbol) {
    return this.#wanted === null || this.#wanted.has(symbol);
  }

  #dispatchChange() {
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Run a task after some milliseconds, unless this client is closed before.
   * @param {() => void} task
   * @param {number} wait
   */
  #schedule(task, wait) {
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
    this.#sinceOpened = new Stopwatch();
    this.#socket = socket;
    this.#snapshotSymbols.clear();
    this.#unanswered.clear();
    this.#complete = true;
    this.#pinged = false;
    const timeout = this.#schedule(() => this.#reconnect(socket), OPEN_TIMEOUT);
    socket.onopen = () => {
      clearTimeout(timeout);
      this.#serverClock.distrust();
      this.#freshnessBoard = new FreshnessBoard();
      this.#catchUp(names === null ? null : new Set(inUrl ? names : []));
    };
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => {
      clearTimeout(timeout);
      this.#reconnect(socket, event.code);
    };
  }

  /**
   * Have no more to do with a connection. An unreachable server would not answer the closing handshake, so nothing
   * waits for it.
   * @param {WebSocket} socket
   */
  #discard(socket) {
    this.#socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.upstream = null;
  }

  /**
   * Open the next connection a while after this one was lost, unless it was refused for good.
   * @param {WebSocket} socket
   * @param {number} [code] Of its close, where it was closed.
   */
  #reconnect(socket, code) {
    if (socket !== this.#socket) return;
    this.#discard(socket);
    this.phase = code === CLOSE_POLICY ? "refused" : this.phase === "connecting" ? "connecting" : "reconnecting";
    this.#dispatchChange();
    if (code === CLOSE_POLICY) return;
    if (this.#sinceOpened.elapsed() >= BACKOFF_RESET_AFTER) this.#backoff = MIN_BACKOFF;
    this.#schedule(() => this.#open(), Math.random() * this.#backoff); // full jitter: a crowd does not return as one
    this.#backoff = Math.min(MAX_BACKOFF, this.#backoff * 2);
  }

  /** Ping a server that is silent, and give up the connection of one that does not answer. */
  #checkLiveness() {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    const silence = Math.min(this.silence, this.#sinceOpened.elapsed());
    if (silence >= SILENCE_TIMEOUT) {
      this.#reconnect(socket);
    } else if (silence >= PING_AFTER && !this.#pinged) {
      this.#pinged = true;
      this.#send({ action: "ping" });
    }
  }

  /** @param {{ action: "subscribe" | "unsubscribe" | "ping", symbols?: readonly string[], id?: number }} request */
  #send(request) {
    this.#socket?.send(JSON.stringify(request));
  }

  /**
   * Send a request where there is a connection; the next one asks for all that is wanted then.
   * @param {"subscribe" | "unsubscribe"} action
   * @param {readonly string[]} symbols
   */
  #request(action, symbols) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    for (let at = 0; at < symbols.length; at += NAMES_A_REQUEST) {
      const id = (this.#requests += 1);
      if (action === "subscribe") this.#unanswered.add(id);
      this.#send({ action, symbols: symbols.slice(at, at + NAMES_A_REQUEST), id });
    }
  }

  /** @param {string} frame A message, or a batch of them. */
  #receive(frame) {
    this.#sinceHeard = new Stopwatch();
    this.#pinged = false;
    /** @type {ServerMessage | ServerMessage[]} */
    const received = JSON.parse(frame);
    for (const message of Array.isArray(received) ? received : [received]) {
      this.#handlers.get(message.event)?.(message); // what a later server may say besides is not for this client
    }
  }

  /** @param {PhysicsUpdate} update */
  #take(update) {
    const state = parse(update);
    if (state === null || !this.#wants(state.symbol)) return;
    const { symbol } = state;
    this.#snapshotSymbols.add(symbol);
    this.missing.delete(symbol);
    this.skipped += state.skipped;
    const before = this.states.get(symbol);
    if (!isNewer(state, before)) return;
    this.states.set(symbol, state);
    const age = this.age(state);
    // What was said of it is about an older sample; the server says a moment later what holds now.
    if (age !== null && age < SILENT_AFTER) this.#freshnessBoard.forget(symbol);
    this.dispatchEvent(new StateEvent(symbol, state, before));
  }

  /** @param {string} symbol It has no state any more. */
  #remove(symbol) {
    const before = this.states.get(symbol);
    this.#freshnessBoard.forget(symbol);
    if (this.#wanted?.has(symbol)) this.missing.add(symbol);
    if (this.states.delete(symbol)) this.dispatchEvent(new StateEvent(symbol, undefined, before));
  }

  /** @param {Snapshot} snapshot */
  #snapshot({ timestamp, updates, missing, last, complete }) {
    this.#serverClock.observe(timestamp);
    for (const update of updates) this.#take(update);
    this.#complete &&= complete;
    if (complete) for (const symbol of missing) if (this.#wants(symbol)) this.#remove(symbol);
    if (!last) return;
    const settled = this.#unanswered.size === 0; // else more is to come
    if (!this.#complete) {
      this.upstream = { status: "stale", cause: null, age: null };
    } else if (this.#wanted === null && settled) {
      // What was removed while there was no connection.
      for (const symbol of [...this.states.keys()]) if (!this.#snapshotSymbols.has(symbol)) this.#remove(symbol);
    }
    this.#snapshotSymbols.clear();
    if (settled) this.phase = "connected";
    this.#dispatchChange();
  }

  /** @param {FreshnessStatement} statement */
  #freshness(statement) {
    this.#freshnessBoard.apply(statement);
    if (statement.symbols.includes(ALL)) this.#setUpstream(statement); // it says what the next HEARTBEAT will
    this.#dispatchChange();
  }

  /** @param {Heartbeat["upstream"]} upstream */
  #setUpstream({ status, cause, age_ms: age }) {
    this.upstream = { status, cause, age };
    this.#sinceUpstream = new Stopwatch();
  }

  /** @param {Heartbeat} heartbeat */
  #heartbeat({ timestamp, upstream, seqs }) {
    this.#serverClock.observe(timestamp);
    this.#setUpstream(upstream);
    if (!this.#complete && upstream.cause !== "redis_down" && upstream.cause !== "bridge_down") {
      // The server had not read everything when it sent the SNAPSHOT: ask for a complete one.
      this.#complete = true;
      this.#resubscribe(this.#wanted === null ? [ALL] : [...this.#wanted]);
    } else if (this.phase === "connected" && this.#unanswered.size === 0) {
      const lost = Object.entries(seqs ?? {}).filter(([symbol, [epoch, seq]]) => this.#isLost(symbol, epoch, seq));
      this.resyncs += lost.length;
      this.#resubscribe(lost.map(([symbol]) => symbol));
    }
    this.#dispatchChange();
  }

  /**
   * Whether the server has sent a version that has not come, or that nothing is known of any more.
   * @param {string} symbol
   * @param {number} epoch
   * @param {number} seq
   */
  #isLost(symbol, epoch, seq) {
    const held = this.states.get(symbol);
    return this.#wants(symbol) && (held === undefined || (held.epoch !== null && isAfter(epoch, seq, held)));
  }

  /**
   * Ask for what was subscribed or unsubscribed while the connection was made.
   * @param {Set<string> | null} known The symbols that its handshake asked for; null is all.
   */
  #catchUp(known) {
    const wanted = this.#wanted;
    if (known === null && wanted === null) return;
    if (wanted === null) {
      this.#resubscribe([ALL]);
    } else {
      this.#request("unsubscribe", known === null ? [ALL] : [...known].filter((name) => !wanted.has(name)));
      this.#request("subscribe", [...wanted].filter((name) => !known?.has(name)));
    }
  }

  /** @param {string[]} symbols They are sent anew, in a SNAPSHOT. */
  #resubscribe(symbols) {
    this.#request("unsubscribe", symbols);
    this.#request("subscribe", symbols);
  }
}
