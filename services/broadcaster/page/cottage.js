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
const TOKEN_SUBPROTOCOL = "bearer."; // a page can set no headers, so its token stands behind this
const ALL = "*";
// Times are in milliseconds.
const MIN_BACKOFF = 50; // the backoff doubles with every try
const MAX_BACKOFF = 1000;
const LONG_OUTAGE = 60_000; // from then on waits may be longer
const LONG_OUTAGE_MAX_BACKOFF = 15_000;
const BACKOFF_RESET_AFTER = 5000; // a connection that delivered for so long starts the backoff anew
const OPEN_TIMEOUT = 5000; // a browser would wait for minutes
const TELLING_FAILURES = 3; // after so many handshakes in vain the server is asked over HTTP why
const ASK_WHY_EVERY = 15_000;
const MAX_RETRY_AFTER = 60_000; // whatever the server says
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
const CLOSE_TRY_AGAIN_LATER = 1013;
const CLOSE_UNAUTHORIZED = 4401;
const TOKEN_LEAD_SHARE = 1 / 5; // a new token is asked for when this share of the old one's time is left, …
const MOST_TOKEN_LEAD = 60_000; // … or so much, and up to twice as long before
const LEAST_TOKEN_WAIT = 1000; // between two questions while the old token is all there is
const MOST_TOKEN_WAIT = 30_000;
const TOKEN = /^[A-Za-z0-9._~+-]{1,4096}$/;
const REASON = /^[a-z_]{1,32}$/;
const TAKEN_BACK_AFTER = 6000; // of stating a lower epoch: servers compare all that they have with Redis by then
const NAMES_IN_URL = 100; // more are asked for once the connection is there: addresses have a length
const NAMES_A_REQUEST = 1800; // a request has at most 64 KiB
const MAX_NAMED_SYMBOLS = 4096;
const SYMBOL = /^[A-Z0-9][A-Z0-9._-]{0,31}$/;
const SYMBOL_RULE = "1 to 32 of A-Z 0-9 . _ - and first a letter or digit";
const BATCHES = [0, 100, 250, 500, 1000];
// A server allows ten requests and 32 KiB a second, and ten times as much at once. A client stays below: each request
// costs so many milliseconds, and so many may be overdrawn.
const REQUEST_COST = 125;
const BYTE_COST = 1000 / (32 * 1024);
const BURST = 5000;

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
 * for good. `unauthorized`: it accepts no token that this client has. `closed`: by `close()`.
 * @typedef {"connecting" | "connected" | "reconnecting" | "refused" | "unauthorized" | "closed"} Phase
 */

/**
 * A token, or a function that is asked for one: at each connection, and for a new one before its end. It is told the
 * server's word for why it refused the last one, such as `missing` or `expired`; null where it refused none. "" and
 * null are no token.
 * @typedef {string | ((refusal: string | null) => string | null | Promise<string | null>)} TokenSource
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
 * A sample that came before a state's own, since its feed may be faster than feynman. Null is what is not known.
 * @typedef {object} TakenSample
 * @property {number | null} price
 * @property {number | null} time As its feed wrote it, in milliseconds since 1970.
 * @property {number | null} eventTime
 * @property {number | null} received
 * @property {number | null} volume
 * @property {number | null} trades
 * @property {number | null} bid
 * @property {number | null} ask
 * @property {string | null} session
 * @property {readonly string[]} notes The words that the feed said of it.
 * @property {boolean} lost Whether the one before it is lost.
 */

/**
 * The fields of a state beside its version.
 * @typedef {object} StateFields
 * @property {string} symbol
 * @property {number | null} time Of the newest sample, in milliseconds since 1970.
 * @property {number | null} feedTime The same as its feed wrote it, where that differs from `time`.
 * @property {number | null} eventTime The market's own time of it, where its feed states that.
 * @property {number} lag By how many milliseconds samples of this feed are usually late.
 * @property {string} regime `Gaussian`, `Lévy Stable`, `Critical`, or `WAIT` while there is too little to tell.
 * @property {number | null} regimeSince Since when it holds, by the market's own time, in milliseconds since 1970. By the
 *   same clock the newest sample is of `eventTime ?? feedTime ?? time`.
 * @property {number | null} alpha The tail index.
 * @property {number | null} alphaLow The lower end of its 90 % interval, never above `alpha`.
 * @property {number | null} alphaHigh The upper end, never below `alpha`. 10, the bound of `alpha`, means that there is none.
 * @property {number | null} mass From 0 to 1.
 * @property {number | null} momentum In standard deviations, times mass.
 * @property {number | null} friction From 0 to 1.
 * @property {number | null} entropy From 0 to 1.
 * @property {number | null} nash The Nash distance, from 0 to 1.
 * @property {number | null} price
 * @property {number | null} volume The counter of what was traded, as its feed states it; `trades` that of trades.
 * @property {number | null} trades
 * @property {number | null} bid The quote beside the price; `ask` too.
 * @property {number | null} ask
 * @property {number | null} received When the feed's program received the sample, in milliseconds since 1970.
 * @property {number | null} tick The grid of prices that the feed states.
 * @property {number | null} interval How many seconds a bar of the feed lasts.
 * @property {string | null} session The mark of the market's session.
 * @property {number | null} samples How many samples it was computed from.
 * @property {number | null} nonzero How many of its returns are not zero.
 * @property {number | null} step The unit in seconds in which samples lie apart.
 * @property {number | null} holes How many of its samples have no return.
 * @property {number} snapped How many of its prices do not lie on the grid of the others.
 * @property {number | null} grid The tick on which the tail index is computed.
 * @property {number} votes How many samples in a row have voted for another one.
 * @property {string | null} feed The id of the feed.
 * @property {string | null} source Of the samples, such as `live`, `replay` or `simulate`.
 * @property {readonly string[]} notes Words about what the numbers stand on, such as `jump` or `no_volume`.
 * @property {readonly string[]} void The pillars that are 0 but mean nothing, by their published names.
 * @property {readonly string[]} said The words that the feed said of the newest sample.
 * @property {boolean} lost Whether the sample before the newest one was handed over, and is lost.
 * @property {readonly TakenSample[]} taken The samples since the version before that came before the newest one.
 * @property {{ epoch: number, seq: number } | null} prev The version that this one replaced in Redis; null where there
 *   was none, or without `written`.
 * @property {number | null} written When Redis wrote this version, in milliseconds since 1970, with a fraction.
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
 * @property {unknown} [prev]
 * @property {number} [written]
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
 * The client may no longer know of these symbols.
 * @typedef {object} Revoked
 * @property {"REVOKED"} event
 * @property {string[]} symbols
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
 * What Feynman refuses now: snapshots, and keys whose names are no symbols. `first` has some, with what is wrong.
 * @typedef {object} FeedRefusals
 * @property {"FEED_REFUSALS"} event
 * @property {string} timestamp
 * @property {string} shard Of the Feynman that says so, such as 0/1.
 * @property {{
 *   symbols: number,
 *   fields: { [field: string]: number },
 *   first: { [symbol: string]: string },
 *   bad_names: { names: number, first: { [name: string]: string } },
 * }} data
 */

/**
 * A request was granted. That of an `auth` says what the client may be sent, and until when.
 * @typedef {object} Ack
 * @property {"ACK"} event
 * @property {"subscribe" | "unsubscribe" | "auth"} action
 * @property {string[]} symbols
 * @property {string[]} [events]
 * @property {string | null} [expires]
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
 * A request was refused; with `symbols` only these of it.
 * @typedef {object} Refusal
 * @property {"ERROR"} event
 * @property {string} code
 * @property {string} message
 * @property {string[]} [symbols]
 * @property {number} [id]
 */

/**
 * What a server sends.
 * @typedef {PhysicsUpdate | Snapshot | Removed | Revoked | FreshnessStatement | Heartbeat | AgentUpdate | FeedRefusals | Ack
 *   | Pong | Refusal} ServerMessage
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
 * How long to wait before the next try: exponential backoff with full jitter, so that many clients of one server do not
 * all return at once. The rule of cottage/backoff.py.
 */
class Backoff {
  #ceiling = MIN_BACKOFF;
  #outage = 0; // what was waited in this outage, or spent on tries in vain

  /**
   * The milliseconds to wait after a try.
   * @param {number} began
   * @param {number | null} deliveringSince When its connection delivered the first thing; null if it never did.
   * @param {number} now
   */
  afterTry(began, deliveringSince, now) {
    const vain = deliveringSince === null ? now - began : 0;
    if (deliveringSince !== null && now - deliveringSince >= BACKOFF_RESET_AFTER) this.reset();
    // A try in vain counts like a wait: all who gave up a server that hangs at the same moment would else try it again
    // together.
    this.#ceiling = Math.max(this.#ceiling, Math.min(vain, MAX_BACKOFF));
    const wait = Math.random() * this.#ceiling;
    this.#outage += vain + wait;
    const longest = this.#outage < LONG_OUTAGE ? MAX_BACKOFF : LONG_OUTAGE_MAX_BACKOFF;
    this.#ceiling = Math.min(longest, this.#ceiling * 2);
    return wait;
  }

  reset() {
    this.#ceiling = MIN_BACKOFF;
    this.#outage = 0;
  }
}

/**
 * What is wanted of the server and what it was asked for: the requests that make the one the other. Calls only say what
 * is wanted; requests are made when they are sent, so the calls of one turn are one request. They are never more than a
 * server allows, and what is refused is not wanted any more.
 */
class Subscriptions {
  /** @type {Set<string> | null} The symbols that are wanted; null is all. */
  wanted;
  /** @type {Set<string> | null} What was asked for over the present connection; all of it is wanted. */
  #asked;
  /** @type {Set<string>} What the server is still to be told to leave out. */
  #gone = new Set();
  /** @type {Map<number, string[]>} What subscribes ask for whose answer has not come, by their ids. */
  #unanswered = new Map();
  #accepted = true; // whether the last handshake was: one that named symbols may have been refused for them
  #paidUntil = 0; // requests are paid for up to this time
  #nextId;

  /**
   * @param {Set<string> | null} wanted
   * @param {() => number} nextId
   */
  constructor(wanted, nextId) {
    checkNumber(wanted?.size ?? 0);
    this.wanted = wanted;
    this.#asked = null;
    this.#nextId = nextId;
  }

  /** A new connection is dialled. Returns the symbols that its handshake is to name; null is all. */
  dialled() {
    this.#unanswered.clear();
    this.#gone.clear();
    this.#paidUntil = 0;
    const { wanted } = this;
    const inUrl = this.#accepted && wanted !== null && wanted.size <= NAMES_IN_URL;
    this.#asked = wanted === null ? null : new Set(inUrl ? wanted : []);
    this.#accepted = false;
    return this.#asked;
  }

  /** The handshake was accepted. */
  accepted() {
    this.#accepted = true;
  }

  /** @param {string} symbol */
  wants(symbol) {
    return this.wanted === null || this.wanted.has(symbol);
  }

  /** @param {Set<string>} names Want these too. Throws a RangeError if they would be more than a server allows. */
  add(names) {
    if (names.has(ALL)) {
      if (this.wanted === null) return;
      this.wanted = null;
      this.again([ALL]); // so that the SNAPSHOT has all of them
    } else if (this.wanted !== null) {
      const added = [...names].filter((name) => !this.wants(name));
      checkNumber(this.wanted.size + added.length);
      for (const name of added) this.wanted.add(name);
    }
  }

  /** @param {Set<string>} names Want these no longer. Throws a RangeError for single symbols while all are wanted. */
  drop(names) {
    if (names.has(ALL)) {
      this.wanted = new Set();
      this.again([ALL]);
    } else if (this.wanted === null) {
      throw new RangeError('subscribed to all: unsubscribe(["*"]) first');
    } else {
      this.again([...names].filter((name) => this.wants(name)));
      for (const name of names) this.wanted.delete(name);
    }
  }

  /** @param {string[]} names The server is to leave these out, and is asked for them anew where they are wanted. */
  again(names) {
    const known = this.#asked;
    if (names.includes(ALL) || (known === null && names.length > 0)) {
      this.#gone = new Set([ALL]); // single symbols cannot be taken out of all
      this.#asked = new Set();
    } else {
      for (const name of names) if (known?.delete(name)) this.#gone.add(name);
    }
  }

  /**
   * The requests that are to be sent now; what is too much at once comes later.
   * @param {number} now
   */
  *due(now) {
    while (this.#gone.size > 0) {
      const names = [...this.#gone].sort().slice(0, NAMES_A_REQUEST);
      if (!this.#pay(names, now)) return;
      for (const name of names) this.#gone.delete(name);
      yield { action: /** @type {const} */ ("unsubscribe"), symbols: names, id: this.#nextId() };
    }
    for (;;) {
      const names = this.#new().sort().slice(0, NAMES_A_REQUEST);
      if (names.length === 0 || !this.#pay(names, now)) return;
      const id = this.#nextId();
      this.#unanswered.set(id, names);
      if (names.includes(ALL)) this.#asked = null;
      else for (const name of names) this.#asked?.add(name);
      yield { action: /** @type {const} */ ("subscribe"), symbols: names, id };
    }
  }

  /** What is wanted and was not asked for. */
  #new() {
    const asked = this.#asked;
    if (asked === null || asked.size === this.wanted?.size) return []; // what was asked for is wanted
    return this.wanted === null ? [ALL] : [...this.wanted].filter((name) => !asked.has(name));
  }

  /**
   * Whether the server allows a request for these names now.
   * @param {string[]} names
   * @param {number} now
   */
  #pay(names, now) {
    const cost = REQUEST_COST + BYTE_COST * names.reduce((sum, name) => sum + name.length + 3, 0);
    const paidUntil = Math.max(now, this.#paidUntil) + cost;
    if (paidUntil - now > BURST) return false;
    this.#paidUntil = paidUntil;
    return true;
  }

  /** Whether everything that is wanted was asked for and answered. */
  get settled() {
    return this.#unanswered.size === 0 && this.#gone.size === 0 && this.#new().length === 0;
  }

  /** @param {number} id Of an ACK that has come. Returns whether it is a subscribe's, so that a SNAPSHOT follows. */
  granted(id) {
    return this.#unanswered.delete(id);
  }

  /** @param {number} id Of an ERROR that has come. Returns what is not wanted any more: it would be refused again. */
  refused(id) {
    const names = this.#unanswered.get(id) ?? [];
    this.#unanswered.delete(id);
    if (names.includes(ALL)) [this.wanted, this.#asked] = [new Set(), new Set()];
    for (const name of names) {
      this.wanted?.delete(name);
      this.#asked?.delete(name);
    }
    return names;
  }
}

/** Whoever was asked for a token gave none that could be one. Its text shows nothing of it. */
class NoToken extends Error {}

/**
 * The token that was given; throws a NoToken for what can be none.
 * @param {unknown} token
 */
function checkedToken(token) {
  if (token === null || token === undefined || token === "") return "";
  if (typeof token !== "string") throw new NoToken(`a token is a text, not ${typeof token}`);
  if (TOKEN.test(token)) return token;
  throw new NoToken("a token has at most 4096 characters, which are A-Z a-z 0-9 . _ ~ + and -");
}

/**
 * When a token says that it ends, in milliseconds since 1970; null if it does not say so. The server decides.
 * @param {string} token
 */
function endOf(token) {
  try {
    const claims = token.split(".")[1]?.replaceAll("-", "+").replaceAll("_", "/");
    const end = number(JSON.parse(atob(claims ?? "")).exp);
    return end === null ? null : 1000 * end;
  } catch {
    return null;
  }
}

/**
 * The token of the present connection, and what becomes of it. How long it still holds is worked out once, by the
 * server's clock, and then kept by the steady one. The rules of cottage/client/tokens.py.
 */
class Tokens {
  #source;
  #shown = "";
  /** @type {number | null} When what is shown ends by the server's clock; null if not known, or worked out already. */
  #end = null;
  /** @type {number | null} The same by the steady clock. */
  #endsAt = null;
  /** @type {number | null} */
  #askAt = null;
  /** @type {{ id: number, token: string } | null} An `auth` that is not answered. */
  #offered = null;
  /** @type {string | null} The token that was refused last, if no connection has lasted since. */
  #refused = null;
  /** @type {string | null} The server's word for why; null once a connection was accepted. */
  #refusal = null;

  /** @param {TokenSource | null | undefined} source Throws a TypeError for a text that can be no token. */
  constructor(source) {
    if (typeof source === "function") {
      this.#source = source;
      return;
    }
    try {
      this.#source = checkedToken(source);
    } catch (error) {
      throw new TypeError(/** @type {Error} */ (error).message);
    }
  }

  /**
   * The token to show now, or the promise of one; "" is none. Throws a NoToken.
   * @returns {string | Promise<string>}
   */
  ask() {
    if (typeof this.#source === "string") return this.#source;
    const fail = (/** @type {unknown} */ error) => {
      if (error instanceof NoToken) throw error; // of any other the text may have the token in it
      throw new NoToken(`the callback for the token threw ${error instanceof Error ? error.name : typeof error}`);
    };
    try {
      const given = this.#source(this.#refusal);
      return given instanceof Promise ? given.then(checkedToken).catch(fail) : checkedToken(given);
    } catch (error) {
      return fail(error);
    }
  }

  /** @param {string} token That a handshake shows. */
  dialled(token) {
    this.#shown = token;
    this.#end = endOf(token);
    this.#endsAt = this.#askAt = this.#offered = null;
  }

  /** Whether it is to be told of the server's messages. */
  get waits() {
    return this.#end !== null || this.#offered !== null || this.#refusal !== null;
  }

  /**
   * A message of the server. The first one says that the handshake was accepted.
   * @param {ServerMessage} message
   * @param {number} serverNow The time there.
   * @param {number} now
   */
  heard(message, serverNow, now) {
    this.#refusal = null;
    if (this.#end !== null) this.#holdsFor(this.#end - serverNow, now);
    this.#end = null;
    if (this.#offered === null || !("id" in message) || message.id !== this.#offered.id) return;
    const { token } = this.#offered;
    this.#offered = null;
    if (message.event !== "ACK") return; // the old one stands until its end
    this.#shown = token;
    this.#endsAt = this.#askAt = null;
    const end = moment(message.expires);
    if (end !== null) this.#holdsFor(end - serverNow, now);
  }

  /**
   * @param {number} wait
   * @param {number} now
   */
  #holdsFor(wait, now) {
    const lead = Math.min(MOST_TOKEN_LEAD, TOKEN_LEAD_SHARE * Math.max(0, wait));
    this.#endsAt = now + wait;
    // With jitter, so that not all clients of a server ask at once.
    this.#askAt = this.#canAsk ? this.#endsAt - lead * (1 + Math.random()) : null;
  }

  get #canAsk() {
    return typeof this.#source === "function";
  }

  /** @param {number} now The milliseconds that the token still holds; null if that is not known, or it has no end. */
  left(now) {
    return this.#endsAt === null ? null : Math.max(0, this.#endsAt - now);
  }

  /** @param {number} now Whether a new token is to be asked for now. */
  due(now) {
    return this.#askAt !== null && now >= this.#askAt;
  }

  /** @param {number} now Ask for a new one now. */
  renew(now) {
    this.#askAt = this.#canAsk ? now : null;
  }

  /** @param {number} now A new one was asked for; unless it is accepted, the next question comes after a while. */
  asked(now) {
    this.#askAt = now + Math.min(MOST_TOKEN_WAIT, Math.max(LEAST_TOKEN_WAIT, (this.left(now) ?? 0) / 2));
  }

  /** @param {string} token */
  isNew(token) {
    return token !== "" && token !== this.#shown;
  }

  /**
   * The request that shows a new token over the present connection.
   * @param {string} token
   * @param {number} id
   */
  offer(token, id) {
    this.#offered = { id, token };
    return { action: /** @type {const} */ ("auth"), token, id };
  }

  /** @param {number} time For so long a connection delivered that has ended. */
  lasted(time) {
    if (time >= BACKOFF_RESET_AFTER) this.#refused = null;
  }

  /**
   * The server has refused what was shown. Returns whether to give up: nobody can be asked for another token, or this
   * one was refused before.
   * @param {string} reason
   */
  refuse(reason) {
    const again = this.#refused === this.#shown;
    this.#refused = this.#shown;
    this.#refusal = reason;
    return again || !this.#canAsk;
  }
}

/** @param {number} symbols That are wanted by name. */
function checkNumber(symbols) {
  if (symbols <= MAX_NAMED_SYMBOLS) return;
  const most = `at most ${MAX_NAMED_SYMBOLS} by name; ["*"] is all of them`;
  throw new RangeError(`${symbols} symbols are too many: ${most}`);
}

/** @param {unknown} state That a call was given: a name would be as old as anything. Throws a TypeError. */
function checkState(state) {
  if (typeof state === "object" && state !== null && "symbol" in state) return;
  throw new TypeError(`a state is asked for, such as states.get("SPY"), not ${state === null ? null : typeof state}`);
}

/**
 * The names that a call was given. Throws a TypeError for what is no list of texts, a RangeError for what is no symbol.
 * @param {Iterable<unknown>} symbols
 */
function symbolNames(symbols) {
  if (typeof symbols === "string" || typeof symbols?.[Symbol.iterator] !== "function") {
    throw new TypeError('symbols must be a list such as ["SPY"] or ["*"]');
  }
  /** @type {Set<string>} */
  const names = new Set();
  for (const name of symbols) {
    if (typeof name !== "string") throw new TypeError(`a symbol is a text, not ${name === null ? null : typeof name}`);
    if (name !== ALL && !SYMBOL.test(name)) {
      throw new RangeError(`bad symbol ${JSON.stringify(name.slice(0, 40))}: ${SYMBOL_RULE}`);
    }
    names.add(name);
  }
  return names;
}

/** @param {unknown} error Of a message that no server sends; it costs no other. */
const drop = (error) => console.warn("cottage.js: a message was dropped:", error);

/**
 * The messages of a frame: one, or a batch; none if it is no JSON.
 * @param {string} frame
 * @returns {ServerMessage[]}
 */
function messagesOf(frame) {
  try {
    const received = JSON.parse(frame);
    return Array.isArray(received) ? received : [received];
  } catch (error) {
    drop(error);
    return [];
  }
}

/**
 * The address of a WebSocket; that of a page means the WebSocket there. Throws a TypeError for what is none.
 * @param {string | URL} url
 */
function addressOf(url) {
  const address = new URL(typeof url === "string" || url instanceof URL ? url : "");
  if (["http:", "https:"].includes(address.protocol)) address.protocol = address.protocol.replace("http", "ws");
  if (!["ws:", "wss:"].includes(address.protocol)) throw new TypeError(`${url} must look like ws://host:port/ws`);
  for (const name of ["token", "access_token"]) {
    if (address.searchParams.has(name)) throw new TypeError("a URL has no token in it: it is given as `token`");
  }
  address.hash = "";
  return address;
}

/**
 * The milliseconds that a Retry-After header says, which may be a date; 0 if there is none.
 * @param {Response} answer
 */
function retryAfter(answer) {
  const text = answer.headers.get("Retry-After") ?? "";
  const wait = /^\d+$/.test(text) ? 1000 * Number(text) : Date.parse(text) - Date.now();
  return Math.min(MAX_RETRY_AFTER, Math.max(0, wait || 0));
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

/** @param {unknown} value */
const moment = (value) => number(Date.parse(text(value) ?? ""));

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
 * The version that an update replaced, and when it was written.
 * @param {PhysicsUpdate} update
 */
function stampOf(update) {
  const [epoch, seq] = Array.isArray(update.prev) ? update.prev.map(number) : [];
  const written = number(update.written);
  const isVersion = typeof epoch === "number" && typeof seq === "number";
  return { prev: isVersion ? { epoch, seq } : null, written: written === null ? null : written / 1000 };
}

/**
 * What a state and a sample that came before it have in common.
 * @param {{ [name: string]: unknown }} data
 */
function measured(data) {
  return {
    price: number(data.price),
    eventTime: moment(data.event_time),
    received: moment(data.received),
    volume: number(data.volume),
    trades: number(data.trades),
    bid: number(data.bid),
    ask: number(data.ask),
    session: text(data.session),
  };
}

/**
 * @param {unknown} value
 * @returns {TakenSample[]}
 */
function taken(value) {
  const samples = Array.isArray(value) ? value.filter((each) => typeof each === "object" && each !== null) : [];
  return samples.map((sample) => ({
    ...measured(sample),
    time: moment(sample.timestamp),
    notes: words(sample.notes),
    lost: sample.lost === true,
  }));
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
    ...measured(data),
    lag: number(data.lag_ms) ?? 0,
    ...versionOf(update),
    regime: text(data.regime) ?? "",
    regimeSince: moment(data.regime_since),
    alpha: number(data.alpha),
    alphaLow: number(data.alpha_low),
    alphaHigh: number(data.alpha_high),
    mass: number(data.mass),
    momentum: number(data.momentum),
    friction: number(data.friction),
    entropy: number(data.entropy),
    nash: number(data.nash_dist),
    tick: number(data.tick),
    interval: number(data.interval),
    samples: number(data.samples),
    nonzero: number(data.nonzero),
    step: number(data.step),
    holes: number(data.holes),
    snapped: number(data.snapped) ?? 0,
    grid: number(data.grid),
    votes: number(data.votes) ?? 0,
    feed: text(data.feed),
    source: text(data.source),
    notes: words(data.notes),
    said: words(data.said),
    lost: data.lost === true,
    taken: taken(data.taken),
    ...stampOf(update),
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

/** Feynman has said what it refuses; it does so every few seconds while there is anything, and then once more. */
export class FeedRefusalsEvent extends Event {
  /** @param {FeedRefusals} message */
  constructor(message) {
    super("feedrefusals");
    this.message = message;
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

/** The client may no longer know of some symbols: what it held of them is forgotten. Redis may still have them. */
export class RevokedEvent extends Event {
  /** @param {string[]} symbols */
  constructor(symbols) {
    super("revoked");
    this.symbols = symbols;
  }
}

/** The server has refused a request; the connection stays. */
export class RefusalEvent extends Event {
  /**
   * @param {Refusal} refusal
   * @param {string[]} symbols
   */
  constructor({ code, message }, symbols) {
    super("refusal");
    /** What is not followed because of it. */
    this.symbols = symbols;
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
 * @property {FeedRefusalsEvent} feedrefusals Feynman has said what it refuses.
 * @property {RefusalEvent} refusal The server has refused a request.
 * @property {RevokedEvent} revoked The client may no longer know of some symbols.
 * @property {Event} change Anything else has changed: phase, problem, upstream, freshness or missing.
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
  /**
   * Why there is no connection, in words; null while there is one, or while that is not known.
   * @type {string | null}
   */
  problem = null;
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
  #tokens;
  #asking = 0; // the last question for the token of a connection, by its number
  /** @type {Phase} */
  #phase = "connecting";
  #subscriptions;
  #lookDue = false; // at the end of this turn, since something was subscribed or unsubscribed in it
  #localClock = new LocalClock((missed) => this.#watch.doubt(missed));
  #watch = new ServerWatch(this.#localClock.now());
  #sampleAges = new SampleAges(this.#watch.serverClock);
  #lowerEpochs = new LowerEpochs();
  #freshnessBoard = new FreshnessBoard();
  #dialledAt = 0; // the connection, or the try under way
  /** @type {number | null} When the present connection brought its first message. */
  #deliveringSince = null;
  #failures = 0; // handshakes in vain since the last connection
  #askedWhyAt = -Infinity;
  /** @type {string | null} Why they are in vain, as the server says over HTTP. */
  #answer = null;
  #hidden = false; // the page is in the browser's cache
  #upstreamAt = 0;
  /** @type {WebSocket | null} */
  #socket = null;
  #backoff = new Backoff();
  /** @type {Set<ReturnType<typeof setTimeout>>} */
  #timers = new Set();
  #lookTimer;
  #onPageHide = () => this.#hide();
  #onPageShow = () => this.#show();
  #snapshotDue = true; // one of all that is asked for; after an `auth` one may come of what is new
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
        REVOKED: ({ symbols }) => this.#revoked(symbols),
        FRESHNESS: (statement) => this.#freshness(statement),
        HEARTBEAT: (heartbeat) => this.#heartbeat(heartbeat),
        PONG: (pong) => this.#pong(pong),
        AGENT_UPDATE: (update) => this.#tell(new AgentEvent(update)),
        FEED_REFUSALS: (message) => this.#tell(new FeedRefusalsEvent(message)),
        ACK: ({ id }) => {
          if (!this.#subscriptions.granted(id ?? 0)) return;
          this.#snapshotDue = true; // of what it adds, and in full: what was named before it is of no use
          this.#snapshotSymbols.clear();
        },
        ERROR: (refusal) => this.#refused(refusal),
      }),
    ),
  );

  /**
   * Throws a TypeError or a RangeError for what no server grants.
   * @param {string | URL} url Of a broadcaster, such as "ws://127.0.0.1:8765/ws".
   * @param {object} [options]
   * @param {readonly string[] | ReadonlySet<string> | null} [options.symbols] At most 4,096 names. Without it, or with
   *   "*" in it, all symbols.
   * @param {0 | 100 | 250 | 500 | 1000} [options.batch] The milliseconds for which the server gathers updates.
   * @param {TokenSource | null} [options.token] For a server that asks for one. With a function the connection goes on
   *   where a token ends.
   */
  constructor(url, { symbols, batch, token, ...unknown } = {}) {
    super();
    for (const name of Object.keys(unknown)) {
      throw new TypeError(`no option "${name}": there are symbols, batch and token`);
    }
    this.#tokens = new Tokens(token);
    this.#url = addressOf(url);
    const query = this.#url.searchParams;
    const window = String(batch ?? query.get("batch") ?? 0);
    if (!BATCHES.map(String).includes(window)) throw new RangeError(`batch must be one of ${BATCHES.join(", ")} (ms)`);
    const names = symbolNames(symbols ?? query.get("symbols")?.split(",").filter(Boolean) ?? [ALL]);
    query.delete("symbols");
    if (window === "0") query.delete("batch");
    else query.set("batch", window);
    this.#subscriptions = new Subscriptions(names.has(ALL) ? null : names, () => this.#watch.nextId());
    this.#open();
    this.#lookTimer = setInterval(() => this.#look(), BEAT);
    globalThis.addEventListener?.("pagehide", this.#onPageHide);
    globalThis.addEventListener?.("pageshow", this.#onPageShow);
  }

  /**
   * Also follow these symbols; ["*"] is all. It holds for every later connection too, and all calls of one turn are one
   * request. Throws a TypeError or a RangeError for what no server grants, and then follows nothing of it; what only
   * the server can refuse is told by a `refusal`.
   * @param {readonly string[] | ReadonlySet<string>} symbols
   */
  subscribe(symbols) {
    const { wanted } = this.#subscriptions;
    this.#subscriptions.add(symbolNames(symbols));
    if (this.#subscriptions.wanted === null && wanted !== null) this.missing.clear();
    this.#lookSoon();
  }

  /**
   * Follow these symbols no longer; ["*"] is all. Throws a RangeError for single symbols while all are followed, and
   * what `subscribe` throws.
   * @param {readonly string[] | ReadonlySet<string>} symbols
   */
  unsubscribe(symbols) {
    const names = symbolNames(symbols);
    this.#subscriptions.drop(names);
    this.#forget(names);
    this.#lookSoon();
  }

  /** Ask the function that was given for a token now, and show it over this connection if it is a new one. */
  renew() {
    this.#tokens.renew(this.#localClock.now());
    this.#lookSoon();
  }

  /** Close the connection; nothing is received any more, and nobody is told anything after this call. */
  close() {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    clearInterval(this.#lookTimer);
    globalThis.removeEventListener?.("pagehide", this.#onPageHide);
    globalThis.removeEventListener?.("pageshow", this.#onPageShow);
    this.#discard();
    this.dispatchEvent(new Event("change"));
  }

  /** Where this client is in the life of its connections. */
  get phase() {
    return this.#phase;
  }

  /** The milliseconds that the present token still holds; null where that is not known, or it has no end. */
  get tokenLeft() {
    return this.#tokens.left(this.#localClock.now() + this.#watch.missed);
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
    checkState(state);
    return state.time === null ? null : this.#sampleAges.of(state.symbol, this.#localClock.now() + this.#watch.missed);
  }

  /**
   * How far a symbol's newest state may be trusted: the worst of what the server says and of what its age tells.
   * @param {State} state
   * @returns {Freshness}
   */
  freshness(state) {
    checkState(state);
    // Until the server has said, nothing is known to be live. Of a lost server the silence tells, not its last word.
    const hop = this.#phase === "connected" ? (this.upstream?.status ?? "stale") : "live";
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
    if (this.#phase !== "connected" || this.#serverStatus() !== "live") return "server_down";
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

  /** Whether it does not connect again by itself. */
  get #isFinal() {
    return this.#phase === "refused" || this.#phase === "unauthorized";
  }

  get #closed() {
    return this.#phase === "closed";
  }

  /** @param {string} symbol */
  #wants(symbol) {
    return !this.#closed && this.#subscriptions.wants(symbol);
  }

  /** @param {Event} event For the listeners; after `close()` they are told nothing. */
  #tell(event) {
    if (!this.#closed) this.dispatchEvent(event);
  }

  #tellChange() {
    this.#tell(new Event("change"));
  }

  /** @param {Phase} phase */
  #enter(phase) {
    if (!this.#closed) this.#phase = phase;
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

  /** Ask for the token, where there is somebody to ask, and dial. */
  #open() {
    const question = (this.#asking += 1);
    const current = () => question === this.#asking && !this.#closed && !this.#hidden;
    const fail = (/** @type {unknown} */ error) => {
      if (!current()) return;
      if (!(error instanceof NoToken)) throw error;
      this.problem = error.message;
      const now = this.#localClock.now();
      this.#schedule(() => this.#open(), this.#backoff.afterTry(now, null, now));
      this.#tellChange();
    };
    try {
      const token = this.#tokens.ask();
      if (typeof token === "string") this.#dial(token);
      else token.then((given) => current() && this.#dial(given)).catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  /** @param {string} token That is shown; "" is none. */
  #dial(token) {
    this.#tokens.dialled(token);
    const names = this.#subscriptions.dialled();
    const address = new URL(this.#url);
    if (names !== null) address.searchParams.set("symbols", [...names].join(","));
    const shown = token === "" ? [] : [TOKEN_SUBPROTOCOL + token];
    const socket = new WebSocket(address, [SUBPROTOCOL, ...shown]);
    this.#socket = socket;
    this.#dialledAt = this.#localClock.now();
    this.#deliveringSince = null;
    this.#snapshotSymbols.clear();
    this.#snapshotDue = true;
    this.#complete = true;
    const timeout = this.#schedule(() => this.#failed(socket, address, "no answer in time"), OPEN_TIMEOUT);
    socket.onopen = () => {
      clearTimeout(timeout);
      this.#failures = 0;
      this.problem = this.#answer = null;
      this.#watch.connected(this.#localClock.now(), this.#dialledAt);
      this.#subscriptions.accepted();
      this.#freshnessBoard = new FreshnessBoard();
      this.#lowerEpochs.clear();
      socket.onerror = () => this.#lost(socket, "the connection failed");
      socket.onclose = ({ code, reason }) => this.#lost(socket, `the connection was closed (${code})`, code, reason);
      this.#look();
    };
    socket.onmessage = (event) => this.#receive(event.data);
    // Node 22 tells of a handshake in vain by `error` alone.
    socket.onerror = socket.onclose = () => this.#failed(socket, address, "the server cannot be reached");
  }

  /**
   * A handshake was in vain. Browsers do not tell why.
   * @param {WebSocket} socket
   * @param {URL} address
   * @param {string} problem
   */
  #failed(socket, address, problem) {
    if (socket !== this.#socket) return;
    this.#failures += 1;
    const now = this.#localClock.now();
    if (this.#failures >= TELLING_FAILURES && now - this.#askedWhyAt >= ASK_WHY_EVERY) {
      this.#askedWhyAt = now;
      this.#askWhy(address);
    }
    this.#lost(socket, this.#answer ?? problem);
  }

  /**
   * Ask over HTTP why no WebSocket is opened: the server answers a plain request by the same rules.
   * @param {URL} address
   */
  async #askWhy(address) {
    const plain = new URL(address);
    plain.protocol = address.protocol.replace("ws", "http");
    /** @type {Response} */
    let answer;
    let reason;
    try {
      answer = await fetch(plain, { cache: "no-store", signal: AbortSignal.timeout(OPEN_TIMEOUT) });
      reason = (await answer.text()).split("\n")[0].slice(0, 200);
    } catch {
      this.#answer = null; // it does not answer, or not to pages of this origin
      return;
    }
    if (this.#failures === 0 || this.#closed || this.#hidden) return;
    this.problem = this.#answer =
      answer.status === 426 || answer.status === 401 // it takes only WebSockets here, or asks a plain request for a token
        ? "the server answers, but no WebSocket gets through: does what is in front of it hand on `Upgrade`?"
        : `server rejected WebSocket connection: HTTP ${answer.status}: ${reason || answer.statusText}`;
    const wait = retryAfter(answer);
    if (wait > 0) {
      this.#askedWhyAt = -Infinity; // after that wait it is asked again
      this.#discard();
      this.#schedule(() => this.#open(), wait + Math.random() * MAX_BACKOFF);
    }
    this.#tellChange();
  }

  /**
   * Have no more to do with the connection, and with what waits for its time. An unreachable server would not answer
   * the closing handshake, so nothing waits for it.
   */
  #discard() {
    this.#asking += 1; // a token that is still to come is not for this connection any more
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    const socket = this.#socket;
    this.#socket = this.upstream = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    socket.close();
  }

  /**
   * Open the next connection a while after this one was lost, unless it was refused for good.
   * @param {WebSocket} socket
   * @param {string} problem
   * @param {number} [code] Of its close, where it was closed.
   * @param {string} [reason]
   */
  #lost(socket, problem, code, reason) {
    if (socket !== this.#socket) return;
    this.#discard();
    this.problem = problem;
    const now = this.#localClock.now();
    if (this.#deliveringSince !== null) this.#tokens.lasted(now - this.#deliveringSince);
    this.#enter(code === CLOSE_POLICY ? "refused" : this.#phase === "connecting" ? "connecting" : "reconnecting");
    if (code === CLOSE_UNAUTHORIZED) {
      const word = REASON.test(reason ?? "") ? (reason ?? "") : "bad";
      this.problem = `the server wants another token: ${word}`;
      if (this.#tokens.refuse(word)) this.#enter("unauthorized");
    }
    if (!this.#isFinal) {
      // That one served us until now who says "later" does not count.
      const since = code === CLOSE_TRY_AGAIN_LATER && this.#deliveringSince !== null ? now : this.#deliveringSince;
      this.#schedule(() => this.#open(), this.#backoff.afterTry(this.#dialledAt, since, now));
    }
    this.#tellChange();
  }

  /** The page goes into the browser's cache, or for good: it is no client meanwhile. */
  #hide() {
    this.#hidden = true;
    this.#discard();
    if (this.#phase === "connected") this.#enter("reconnecting");
    this.#tellChange();
  }

  /** The page is shown again. */
  #show() {
    if (!this.#hidden) return;
    this.#hidden = false;
    if (this.#isFinal) return;
    this.#backoff.reset();
    this.#open();
  }

  /** What was subscribed or unsubscribed is asked for at the end of this turn. */
  #lookSoon() {
    if (this.#lookDue) return;
    this.#lookDue = true;
    queueMicrotask(() => {
      this.#lookDue = false;
      this.#look();
    });
  }

  /** Look at the clock; send the server what it is to be asked, or give it up. */
  #look() {
    const now = this.#localClock.now();
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (this.#watch.givenUp(now)) {
      this.#lost(socket, "no answer in time");
      return;
    }
    const id = this.#watch.ping(now);
    if (id !== null) this.#send({ action: "ping", id });
    if (this.#phase === "connected" && !this.#watch.doubted && this.#subscriptions.settled) {
      this.#subscriptions.again(this.#lowerEpochs.due(now));
    }
    for (const request of this.#subscriptions.due(now)) this.#send(request);
    if (this.#tokens.due(now + this.#watch.missed)) {
      this.#tokens.asked(now);
      this.#renewOver(socket);
    }
  }

  /** @param {WebSocket} socket Over which a new token is shown, if there is one. */
  async #renewOver(socket) {
    try {
      const token = await this.#tokens.ask();
      if (socket !== this.#socket || !this.#tokens.isNew(token)) return;
      this.#send(this.#tokens.offer(token, this.#watch.nextId()));
    } catch (error) {
      if (!(error instanceof NoToken)) throw error;
      console.warn(`cottage.js: the token is not renewed: ${error.message}`);
    }
  }

  /**
   * @param {{ action: "subscribe" | "unsubscribe" | "ping" | "auth", symbols?: readonly string[], token?: string,
   *   id: number }} request
   */
  #send(request) {
    this.#socket?.send(JSON.stringify(request));
  }

  /** @param {string} frame A message, or a batch of them. */
  #receive(frame) {
    const now = this.#localClock.now();
    this.#watch.arrived(now);
    this.#deliveringSince ??= now;
    for (const message of messagesOf(frame)) {
      try {
        this.#handlers.get(message.event)?.(message); // what a later server may say besides is not for this client
        if (this.#tokens.waits) this.#tokens.heard(message, this.#serverNow(now), now);
      } catch (error) {
        drop(error);
      }
    }
    this.#look();
  }

  /** @param {number} now The time by the server's clock; by this computer's until the server has told it. */
  #serverNow(now) {
    return this.#watch.serverClock.now(now + this.#watch.missed) ?? Date.now();
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
      if (!this.#wants(symbol)) return; // by who was told
      this.missing.delete(symbol);
    }
    this.#lowerEpochs.forget(symbol);
    const before = this.states.get(symbol);
    this.states.set(symbol, state);
    this.#sampleAges.learn(state, now);
    const age = this.age(state);
    // What was said of it is about an older sample; the server says a moment later what holds now.
    if (age !== null && age < SILENT_AFTER) this.#freshnessBoard.forget(symbol);
    this.#tell(new StateEvent(symbol, state, before));
  }

  /** @param {string} symbol It has no state any more. */
  #remove(symbol) {
    const before = this.states.get(symbol);
    this.#freshnessBoard.forget(symbol);
    this.#sampleAges.forget(symbol);
    this.#lowerEpochs.forget(symbol);
    if (this.#subscriptions.wanted?.has(symbol)) this.missing.add(symbol);
    if (this.states.delete(symbol)) this.#tell(new StateEvent(symbol, undefined, before));
  }

  /** @param {string[]} symbols Of which the client may not know. What Redis has of them is not said by that. */
  #withdraw(symbols) {
    for (const symbol of symbols) {
      this.#remove(symbol);
      this.missing.delete(symbol);
    }
  }

  /** @param {string[]} symbols Of which the client may no longer know. */
  #revoked(symbols) {
    this.#withdraw(symbols);
    this.#tell(new RevokedEvent(symbols));
    this.#tellChange();
  }

  /** @param {Snapshot} snapshot */
  #snapshot({ timestamp, updates, missing, last, complete }) {
    this.#observeTime(timestamp);
    for (const update of updates) this.#take(update);
    this.#complete &&= complete;
    if (complete) for (const symbol of missing) if (this.#wants(symbol)) this.#remove(symbol);
    if (!last) return;
    if (!this.#complete) {
      this.upstream = { status: "stale", cause: null, age: null };
    } else if (this.#snapshotDue && this.#subscriptions.wanted === null && this.#subscriptions.settled) {
      // What was removed while there was no connection.
      for (const symbol of [...this.states.keys()]) {
        if (this.#wants(symbol) && !this.#snapshotSymbols.has(symbol)) this.#remove(symbol);
      }
    }
    this.#snapshotSymbols.clear();
    this.#snapshotDue = false;
    this.#settle();
    this.#tellChange();
  }

  /** Be connected once all that is wanted was asked for and has come, or was refused. */
  #settle() {
    if (this.#subscriptions.settled && !this.#snapshotDue) this.#enter("connected");
  }

  /** @param {Refusal} refusal What it asked for is not wanted any more. */
  #refused(refusal) {
    let symbols;
    if (refusal.code === "not_allowed" && refusal.symbols !== undefined) {
      // The others of that request are granted. The server keeps these in mind, for a token that allows them.
      symbols = refusal.symbols;
      this.#subscriptions.granted(refusal.id ?? 0);
      this.#withdraw(symbols);
    } else {
      symbols = this.#subscriptions.refused(refusal.id ?? 0);
      this.#forget(new Set(symbols));
    }
    this.#settle();
    console.warn(`cottage.js: ${refusal.code}: ${refusal.message}`);
    this.#tell(new RefusalEvent(refusal, symbols));
    this.#tellChange();
  }

  /** @param {Set<string>} names That are not wanted any more; "*" is all. */
  #forget(names) {
    for (const symbol of names.has(ALL) ? [...this.states.keys(), ...this.missing] : names) {
      this.missing.delete(symbol);
      this.#remove(symbol);
    }
  }

  /** @param {FreshnessStatement} statement */
  #freshness(statement) {
    this.#freshnessBoard.apply(statement);
    if (statement.symbols.includes(ALL)) this.#setUpstream(statement); // it says what the next HEARTBEAT will
    this.#tellChange();
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
    this.#tellChange();
  }

  /** @param {Heartbeat} heartbeat */
  #heartbeat({ timestamp, upstream, seqs }) {
    this.#observeTime(timestamp);
    this.#setUpstream(upstream);
    if (!this.#complete && upstream.cause !== "redis_down" && upstream.cause !== "bridge_down") {
      // The server had not read everything when it sent the SNAPSHOT: ask for a complete one.
      this.#complete = true;
      this.#subscriptions.again([...(this.#subscriptions.wanted ?? [ALL])]);
    } else if (this.#phase === "connected" && this.#subscriptions.settled) {
      const lost = Object.entries(seqs ?? {}).filter(([symbol, [epoch, seq]]) => this.#isLost(symbol, epoch, seq));
      this.resyncs += lost.length;
      this.#subscriptions.again(lost.map(([symbol]) => symbol));
    }
    this.#tellChange();
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
}
