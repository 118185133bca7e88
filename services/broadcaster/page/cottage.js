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
// state that was removed is forgotten; and what is shown as `live` is no older than the server can prove, also on a
// page that stood still: stopped, with a dialog open, or on a computer that slept.
// docs/protocol.md describes the messages. Its twin in Python is cottage/client/state_client.py.

const SUBPROTOCOL = "cottage.v1";
const ALL = "*";
// Times are in milliseconds.
const MIN_BACKOFF = 50; // the backoff doubles with every try
const MAX_BACKOFF = 1000;
const BACKOFF_RESET_AFTER = 5000; // a connection that lasted so long starts the backoff anew
const OPEN_TIMEOUT = 5000; // a browser would wait for minutes
const BEAT = 500; // between two looks at the clock
const GAP_AFTER = 1500; // nothing here ran for so long: what waits in the queue may be old
const CLOCK_JUMP = 1000; // by so much two clocks of this computer moved against each other: it slept, or one was set
const PING_AFTER = 2000; // of silence: the server only has to speak every 5 s
const PING_TIMEOUT = 4000; // of silence after a ping: the connection is given up
/** The milliseconds of silence after which a hop is not trusted any more, and what came over it counts as stale. */
export const SILENT_AFTER = 3000;
const STALE_AFTER = 10_000; // since the sample
const EXPIRED_AFTER = 60_000;
const CLOCK_DOUBT = 1000; // a message contradicts the server's clock by more: it is late, or that clock was set
const CLOCK_STEP = 250; // an answer contradicts it by more: that clock was set
const CLOCK_AHEAD = 1000; // a sample may seem to be from so far ahead, by two looks at that clock
const CLOCK_DRIFT = 1e-3; // two clocks differ in pace, by a tenth of that at most
const CLOSE_POLICY = 1008; // the one close code after which a client must not come back by itself
const TAKEN_BACK_AFTER = 6000; // of stating a lower epoch: servers compare all that they have with Redis by then
const NAMES_IN_URL = 100; // more are asked for once the connection is there: addresses have a length
const NAMES_A_REQUEST = 2000; // a request has at most 64 KiB

/**
 * How far a state may be trusted, as the server says it.
 * @typedef {"live" | "stale" | "expired"} Status
 */

/**
 * Why a state is stale or expired, as the server says it.
 * @typedef {"bridge_down" | "redis_down" | "writer_down" | "feed_down" | "feed_ended" | "feed_late" | "market_quiet"} Cause
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
 * @property {number | null} feedTime The same as its feed wrote it, where that differs from `time`.
 * @property {number} lag By how many milliseconds samples of this feed are usually late.
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
 * @property {readonly string[]} notes Words about what the numbers stand on, such as `jump` or `no_volume`.
 * @property {readonly string[]} void The pillars that are 0 but mean nothing, by their published names.
 * @property {string} native The symbol as its venue spells it, such as BTC/USD.
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
 * @property {string} [feed_time]
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
 * @property {Heartbeat["upstream"]} [upstream]
 * @property {number} [id]
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

/**
 * The steady clock of this page, which notices the gaps in its running: nothing looked at it for too long, or it and
 * the clock on the wall moved against each other. In some browsers it stands still while the computer sleeps.
 */
class LocalClock {
  #onGap;
  #lookedAt = performance.now();
  #difference = Date.now() - this.#lookedAt;

  /** @param {(missed: number) => void} onGap Called after a gap with the milliseconds that may have been missed. */
  constructor(onGap) {
    this.#onGap = onGap;
  }

  /** The steady time. Everything that is done here begins with a look at it. */
  now() {
    const now = performance.now();
    const ran = now - this.#lookedAt;
    this.#lookedAt = now;
    const moved = Date.now() - now - this.#difference;
    const jumped = Math.abs(moved) > CLOCK_JUMP;
    const steered = CLOCK_DRIFT * ran; // a clock that is not quite right is made slower or faster
    this.#difference += jumped ? moved : Math.min(steered, Math.max(-steered, moved));
    if (jumped || ran > GAP_AFTER) this.#onGap(jumped ? Math.max(0, moved) : 0);
    return now;
  }
}

/**
 * The server's clock, as far as its messages and answers tell: this computer's may be wrong. A message may have been on
 * its way for any time, so it never sets the clock back, or old values would look new. The answer to a question of our
 * own was given between question and answer. `now` is the steady time, here and below.
 */
class RemoteClock {
  // The difference to the steady clock lies between these two; of the latest only an answer tells.
  #earliest = 0;
  #latest = 0;
  #asked = false;
  #observedAt = 0;
  #known = false;

  /**
   * The latest that it may show there, so that nothing looks younger than it is; null before the first message.
   * @param {number} now
   */
  now(now) {
    return this.#known ? this.#latest + now : null;
  }

  /**
   * A message carried this time. Returns whether it contradicts what is known, so that the server should be asked.
   * @param {number} time
   * @param {number} now
   */
  heard(time, now) {
    const offset = time - now;
    if (!this.#known) {
      this.#set(offset, offset, now, false);
      return false;
    }
    const drift = CLOCK_DRIFT * (now - this.#observedAt);
    if (this.#asked && offset > this.#latest + drift + CLOCK_DOUBT) return true;
    this.#earliest = Math.max(this.#earliest - drift, offset);
    this.#latest = this.#asked ? Math.max(this.#latest, this.#earliest) : this.#earliest;
    this.#observedAt = now;
    return offset < this.#latest - CLOCK_DOUBT;
  }

  /**
   * What was asked at `sent` was answered with this time. Returns by how much the clock was set; 0 if it was not.
   * @param {number} time
   * @param {number} sent
   * @param {number} now
   */
  answered(time, sent, now) {
    let earliest = time - now;
    let latest = time - sent;
    let step = 0;
    const drift = CLOCK_DRIFT * (now - this.#observedAt);
    if (this.#known && latest < this.#earliest - drift - CLOCK_STEP) {
      step = latest - this.#earliest;
    } else if (this.#asked && earliest > this.#latest + drift + CLOCK_STEP) {
      step = earliest - this.#latest;
    } else if (this.#asked) {
      earliest = Math.max(earliest, this.#earliest - drift);
      latest = Math.min(latest, this.#latest + drift);
    }
    this.#set(earliest, Math.max(earliest, latest), now, true);
    return step;
  }

  /**
   * @param {number} earliest
   * @param {number} latest
   * @param {number} now
   * @param {boolean} asked
   */
  #set(earliest, latest, now, asked) {
    this.#earliest = earliest;
    this.#latest = latest;
    this.#observedAt = now;
    this.#asked = asked;
    this.#known = true;
  }
}

/**
 * Whether what the server says can be believed now. One that is silent is asked, with a ping, before the connection is
 * given up. Whoever stood still is in doubt: what waited in the queue says nothing of the present; only the answer to a
 * ping that was sent afterwards does.
 */
class ServerWatch {
  serverClock = new RemoteClock();
  /** Whether what comes may have waited in a queue. */
  doubted = false;
  /** The milliseconds that the steady clock may have missed since the server's was last known. */
  missed = 0;
  /** When the server last told a time that agreed with what was known of its clock. */
  agreedAt = 0;
  #heardAt; // when it last said something that is of the present
  #arrivedAt = 0; // when anything came
  /** @type {number | null} When the connection was dialled, until the server has told its time over it. */
  #dialledAt = null;
  #unsure = false; // whether a message contradicts the server's clock
  #ids = 0;
  /** @type {number | null} The id of the ping that is not answered. */
  #ping = null;
  #pingedAt = 0;

  /** @param {number} now */
  constructor(now) {
    this.#heardAt = now;
  }

  /** The id of the next request. */
  nextId() {
    return (this.#ids += 1);
  }

  /**
   * @param {number} now
   * @param {number} dialledAt
   */
  connected(now, dialledAt) {
    this.#arrivedAt = now;
    this.#dialledAt = dialledAt;
    this.#ping = null;
  }

  /** @param {number} missed The milliseconds of a gap that the steady clock may have missed. */
  doubt(missed) {
    this.doubted = true;
    this.#ping = null; // its answer may have waited too
    this.missed += missed;
  }

  /**
   * Milliseconds since the server said something that was of the present.
   * @param {number} now
   */
  silence(now) {
    return now + this.missed - this.#heardAt;
  }

  /** @param {number} now Something has come. */
  arrived(now) {
    this.#arrivedAt = now;
    if (!this.doubted) this.#heardAt = now;
  }

  /**
   * A message tells when it was sent. Returns by how much the server's clock turned out to have been set.
   * @param {number} time
   * @param {number} now
   */
  told(time, now) {
    const dialledAt = this.#dialledAt;
    this.#dialledAt = null;
    if (dialledAt !== null) {
      this.agreedAt = now;
      return this.serverClock.answered(time, dialledAt, now); // the first of a connection answers its handshake
    }
    const late = (this.serverClock.now(now) ?? time) - time;
    if (this.serverClock.heard(time, now)) {
      this.#unsure = true;
      // It was on its way for so long that it says nothing of the present; or one of the clocks was set.
      this.doubted ||= late <= 0 || late >= SILENT_AFTER;
    } else if (!this.doubted) {
      this.agreedAt = now;
    }
    return 0;
  }

  /**
   * A PONG; it counts if it answers the last ping. Returns the same as `told`.
   * @param {number | undefined} id
   * @param {number} time
   * @param {number} now
   */
  answered(id, time, now) {
    if (id === undefined || id !== this.#ping) return 0;
    const step = this.serverClock.answered(time, this.#pingedAt, now);
    this.#dialledAt = this.#ping = null;
    this.doubted = now - this.#pingedAt >= SILENT_AFTER; // then it may have waited in a queue too
    this.#unsure = false;
    this.missed = 0;
    this.#heardAt = this.#pingedAt;
    this.agreedAt = now;
    return step;
  }

  /**
   * The id of a ping that is to be sent now; null if there is no need, or one is not answered yet.
   * @param {number} now
   */
  ping(now) {
    const silent = now - this.#arrivedAt >= PING_AFTER;
    if (this.#ping !== null || !(silent || this.doubted || this.#unsure)) return null;
    this.#pingedAt = now;
    return (this.#ping = this.nextId());
  }

  /** @param {number} now Whether nothing has come for so long, and since the ping, that the connection is lost. */
  givenUp(now) {
    return this.#ping !== null && now - Math.max(this.#pingedAt, this.#arrivedAt + PING_AFTER) >= PING_TIMEOUT;
  }
}

/**
 * The symbols of which the server states a lower epoch than what is held. REMOVED takes a state back whose epoch is too
 * high; whoever had no connection then comes down once the server has stated the lower one for long enough.
 */
class LowerEpochs {
  /** @type {Map<string, number>} */
  #since = new Map();

  /** To be called on a new connection. */
  clear() {
    this.#since.clear();
  }

  /** @param {string} symbol A newer state of it was taken, or it is gone. */
  forget(symbol) {
    this.#since.delete(symbol);
  }

  /**
   * The server states a version that is not newer than the held one. Whether the held one is to be forgotten.
   * @param {State} state
   * @param {State | undefined} held
   * @param {number} now
   */
  stated({ symbol, epoch }, held, now) {
    if (epoch === null || held === undefined || held.epoch === null || epoch >= held.epoch) {
      this.#since.delete(symbol);
      return false;
    }
    if (!this.#since.has(symbol)) this.#since.set(symbol, now);
    return now - (this.#since.get(symbol) ?? now) >= TAKEN_BACK_AFTER;
  }

  /**
   * The symbols of which no update has come since: their states are to be asked for again, once.
   * @param {number} now
   */
  due(now) {
    const names = [...this.#since].filter(([, since]) => now - since >= TAKEN_BACK_AFTER && since !== -Infinity);
    for (const [symbol] of names) this.#since.set(symbol, -Infinity);
    return names.map(([symbol]) => symbol);
  }
}

/**
 * How old the newest sample of each symbol is. Its age is fixed when it is first heard of and then carried on by the
 * steady clock, so a step of the server's clock makes no sample younger. A state that is issued again after one is of
 * the same sample, which its source and the time that its feed gave it name.
 */
class SampleAges {
  #clock;
  /** @type {Map<string, { source: string | null, marketTime: number, time: number, heardAt: number, floor: number }>} */
  #known = new Map();

  /** @param {RemoteClock} clock Of the server. */
  constructor(clock) {
    this.#clock = clock;
  }

  /**
   * @param {State} state A symbol's newest.
   * @param {number} now
   */
  learn({ symbol, source, time, feedTime }, now) {
    const serverNow = this.#clock.now(now);
    if (time === null || serverNow === null) {
      this.#known.delete(symbol);
      return;
    }
    const marketTime = feedTime ?? time;
    const held = this.#known.get(symbol);
    if (held?.marketTime === marketTime && held.source === source) held.time = time;
    else this.#known.set(symbol, { source, marketTime, time, heardAt: now, floor: floorOf(time, serverNow) });
  }

  /** @param {string} symbol */
  forget(symbol) {
    this.#known.delete(symbol);
  }

  /**
   * The server's clock was set: what was heard of since it last agreed is fixed again.
   * @param {number} since
   */
  confirm(since) {
    for (const known of this.#known.values()) {
      if (known.heardAt <= since) continue;
      const floor = floorOf(known.time, this.#clock.now(known.heardAt) ?? known.time);
      if (floor !== Infinity) known.floor = floor; // else it was heard of before the clock went back
    }
  }

  /**
   * The age; null if the time of the sample lay ahead, so that nobody can say how old it is, or is not known.
   * @param {string} symbol
   * @param {number} now
   */
  of(symbol, now) {
    const known = this.#known.get(symbol);
    if (known === undefined || known.floor === Infinity) return null;
    return Math.max(known.floor + now - known.heardAt, (this.#clock.now(now) ?? known.time) - known.time);
  }
}

/**
 * How old a sample of this time is at least; infinite where its time lies ahead of the server's clock.
 * @param {number} time
 * @param {number} serverNow
 */
function floorOf(time, serverNow) {
  const age = serverNow - time;
  return age < -CLOCK_AHEAD ? Infinity : Math.max(0, age);
}

/**
 * @param {number} elapsed
 * @param {number} stale From when on it is stale.
 * @param {number} expired
 * @returns {Status}
 */
function statusAfter(elapsed, stale, expired) {
  return elapsed >= expired ? "expired" : elapsed >= stale ? "stale" : "live";
}

/**
 * Whether a sample is too old to be live, but no older than is usual of its feed.
 * @param {number} age
 * @param {number} lag
 */
function isLate(age, lag) {
  return age >= STALE_AFTER && age < STALE_AFTER + lag;
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
const words = (value) => (Array.isArray(value) ? value.filter((word) => typeof word === "string") : []);

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
    feedTime: number(Date.parse(update.feed_time ?? "")),
    lag: number(data.lag_ms) ?? 0,
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
    notes: words(data.notes),
    void: words(data.void),
    native: text(data.native) ?? symbol,
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
  #localClock = new LocalClock((missed) => this.#watch.doubt(missed));
  #watch = new ServerWatch(this.#localClock.now());
  #sampleAges = new SampleAges(this.#watch.serverClock);
  #lowerEpochs = new LowerEpochs();
  #freshnessBoard = new FreshnessBoard();
  #dialledAt = 0; // the connection, or the try under way
  #upstreamAt = 0;
  /** @type {WebSocket | null} */
  #socket = null;
  #backoff = MIN_BACKOFF;
  /** @type {Set<ReturnType<typeof setTimeout>>} */
  #timers = new Set();
  #lookTimer;
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
        PONG: (pong) => this.#pong(pong),
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
    this.#lookTimer = setInterval(() => this.#look(), BEAT);
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
    clearInterval(this.#lookTimer);
    for (const timer of this.#timers) clearTimeout(timer);
    const socket = this.#socket;
    if (socket !== null) this.#discard(socket);
    this.#dispatchChange();
  }

  /** Milliseconds since the server was last heard. */
  get silence() {
    return this.#watch.silence(this.#localClock.now());
  }

  /** Milliseconds since Feynman was heard, as far as is known; null where it is not. */
  get upstreamAge() {
    const age = this.upstream?.age ?? null;
    return age === null ? null : age + this.#localClock.now() + this.#watch.missed - this.#upstreamAt;
  }

  /**
   * Milliseconds since the sample of a symbol's newest state, by the server's clock; null where that is not known.
   * @param {State} state
   */
  age(state) {
    return state.time === null ? null : this.#sampleAges.of(state.symbol, this.#localClock.now() + this.#watch.missed);
  }

  /**
   * How far a symbol's newest state may be trusted: the worst of what the server says and of what its age tells.
   * @param {State} state
   * @returns {Freshness}
   */
  freshness(state) {
    // Until the server has said, nothing is known to be live. Of a lost server the silence tells, not its last word.
    const hop = this.phase === "connected" ? (this.upstream?.status ?? "stale") : "live";
    const said = [this.#freshnessBoard.of(state.symbol).status, hop, this.#serverStatus(), this.#sampleStatus(state)];
    for (const status of /** @type {const} */ (["expired", "stale"])) if (said.includes(status)) return status;
    return state.time === null ? "undated" : "live";
  }

  /**
   * Why a state is stale or expired: the broken hop nearest to this client; if there is none, `feed_late` for a feed
   * that is late by nature, else `market_quiet`. Null where it is neither. `server_down`: the server is not heard.
   * @param {State} state
   * @returns {Cause | "server_down" | null}
   */
  cause(state) {
    if (!["stale", "expired"].includes(this.freshness(state))) return null;
    if (this.phase !== "connected" || this.#serverStatus() !== "live") return "server_down";
    const hop = this.upstream?.cause ?? this.#freshnessBoard.of(state.symbol).cause;
    if (hop !== null && hop !== "feed_late" && hop !== "market_quiet") return hop;
    // These two are no broken hops: which of them holds depends on the age, which goes on while nothing is said.
    const age = this.age(state);
    return age !== null && isLate(age, state.lag) ? "feed_late" : "market_quiet";
  }

  /**
   * By the age of its sample; one whose time lay ahead is as old as anything.
   * @param {State} state
   * @returns {Status}
   */
  #sampleStatus(state) {
    if (state.time === null) return "live";
    const age = this.age(state);
    if (age === null) return "expired";
    return isLate(age, state.lag) ? "stale" : statusAfter(age, STALE_AFTER, EXPIRED_AFTER);
  }

  /**
   * Of everything that comes from the server, by when it was heard.
   * @returns {Status}
   */
  #serverStatus() {
    const silence = statusAfter(this.silence, SILENT_AFTER, EXPIRED_AFTER);
    return this.#watch.doubted && silence === "live" ? "stale" : silence;
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
    this.#dialledAt = this.#localClock.now();
    this.#socket = socket;
    this.#snapshotSymbols.clear();
    this.#unanswered.clear();
    this.#complete = true;
    const timeout = this.#schedule(() => this.#reconnect(socket), OPEN_TIMEOUT);
    socket.onopen = () => {
      clearTimeout(timeout);
      this.#watch.connected(this.#localClock.now(), this.#dialledAt);
      this.#freshnessBoard = new FreshnessBoard();
      this.#lowerEpochs.clear();
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
    if (this.#localClock.now() - this.#dialledAt >= BACKOFF_RESET_AFTER) this.#backoff = MIN_BACKOFF;
    this.#schedule(() => this.#open(), Math.random() * this.#backoff); // full jitter: a crowd does not return as one
    this.#backoff = Math.min(MAX_BACKOFF, this.#backoff * 2);
  }

  /** Look at the clock; ping a server that is silent or in doubt, and give up the connection of one that is lost. */
  #look() {
    const now = this.#localClock.now();
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (this.#watch.givenUp(now)) {
      this.#reconnect(socket);
      return;
    }
    const id = this.#watch.ping(now);
    if (id !== null) this.#send({ action: "ping", id });
    const ready = this.phase === "connected" && !this.#watch.doubted && this.#unanswered.size === 0;
    if (ready) this.#resubscribe(this.#lowerEpochs.due(now));
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
      const id = this.#watch.nextId();
      if (action === "subscribe") this.#unanswered.add(id);
      this.#send({ action, symbols: symbols.slice(at, at + NAMES_A_REQUEST), id });
    }
  }

  /** @param {string} frame A message, or a batch of them. */
  #receive(frame) {
    this.#watch.arrived(this.#localClock.now());
    /** @type {ServerMessage | ServerMessage[]} */
    const received = JSON.parse(frame);
    for (const message of Array.isArray(received) ? received : [received]) {
      this.#handlers.get(message.event)?.(message); // what a later server may say besides is not for this client
    }
    this.#look();
  }

  /** @param {PhysicsUpdate} update */
  #take(update) {
    const state = parse(update);
    if (state === null || !this.#wants(state.symbol)) return;
    const { symbol } = state;
    this.#snapshotSymbols.add(symbol);
    this.missing.delete(symbol);
    this.skipped += state.skipped;
    const now = this.#localClock.now();
    const held = this.states.get(symbol);
    if (!isNewer(state, held)) {
      if (this.#watch.doubted || !this.#lowerEpochs.stated(state, held, now)) return;
      this.#remove(symbol); // as after a REMOVED
      this.missing.delete(symbol);
    }
    this.#lowerEpochs.forget(symbol);
    const before = this.states.get(symbol);
    this.states.set(symbol, state);
    this.#sampleAges.learn(state, now);
    const age = this.age(state);
    // What was said of it is about an older sample; the server says a moment later what holds now.
    if (age !== null && age < SILENT_AFTER) this.#freshnessBoard.forget(symbol);
    this.dispatchEvent(new StateEvent(symbol, state, before));
  }

  /** @param {string} symbol It has no state any more. */
  #remove(symbol) {
    const before = this.states.get(symbol);
    this.#freshnessBoard.forget(symbol);
    this.#sampleAges.forget(symbol);
    this.#lowerEpochs.forget(symbol);
    if (this.#wanted?.has(symbol)) this.missing.add(symbol);
    if (this.states.delete(symbol)) this.dispatchEvent(new StateEvent(symbol, undefined, before));
  }

  /** @param {Snapshot} snapshot */
  #snapshot({ timestamp, updates, missing, last, complete }) {
    this.#observeTime(timestamp);
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
    this.#upstreamAt = this.#localClock.now();
  }

  /**
   * @param {string} timestamp The server's time, in a message that has just come.
   * @param {number} [pong] The id of the ping that the message answers.
   */
  #observeTime(timestamp, pong) {
    const time = Date.parse(timestamp);
    if (Number.isNaN(time)) return;
    const watch = this.#watch;
    const since = watch.agreedAt;
    const now = this.#localClock.now();
    const step = pong === undefined ? watch.told(time, now) : watch.answered(pong, time, now);
    if (step !== 0) this.#sampleAges.confirm(since);
  }

  /** @param {Pong} pong */
  #pong({ timestamp, upstream, id }) {
    this.#observeTime(timestamp, id ?? 0); // 0 is no ping's
    if (upstream !== undefined && this.#complete) this.#setUpstream(upstream);
    this.#dispatchChange();
  }

  /** @param {Heartbeat} heartbeat */
  #heartbeat({ timestamp, upstream, seqs }) {
    this.#observeTime(timestamp);
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
