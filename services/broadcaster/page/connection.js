// A client of cottage.v1: one WebSocket, opened again whenever it is lost, and the newest state of every symbol.
// It knows no page. docs/protocol.md describes what is said.

const SUBPROTOCOL = "cottage.v1";
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
const POLICY = 1008; // the one close code after which a client must not come back by itself

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
    const late = this.#trusted && time < estimate && estimate - time < CLOCK_STEP;
    this.#base = late ? estimate : time;
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
  };
}

/** Whether `state` may replace `held`: (epoch, seq) decides; one without them never replaces one that has them. */
function isNewer(state, held) {
  if (held === undefined || held.epoch === null) return true;
  if (state.epoch === null) return false;
  return state.epoch > held.epoch || (state.epoch === held.epoch && state.seq > held.seq);
}

export class Connection {
  /** The newest state by symbol. It outlives a connection, so that no symbol ever goes back. */
  states = new Map();
  /** `connecting`, `connected` (the SNAPSHOT is here), `reconnecting`, or `refused` for good. */
  phase = "connecting";
  /** {status, cause, age} of what the server gets its states from; null while it has not said. */
  upstream = null;

  #url;
  #onState;
  #onChange;
  #clock = new ServerClock();
  #heard = new Stopwatch();
  #born = new Stopwatch(); // the connection or the try under way
  #upstreamTold = new Stopwatch();
  #socket = null;
  #ceiling = FIRST_WAIT;
  #named = new Set(); // symbols of the SNAPSHOT under way
  #whole = true; // false once a part of it was incomplete
  #asked = false;

  /** `onState(state, before)`: a symbol's, undefined where it has or had none. `onChange()`: anything else. */
  constructor(url, onState, onChange) {
    this.#url = url;
    this.#onState = onState;
    this.#onChange = onChange;
    this.#open();
    setInterval(() => this.#watch(), 500);
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
    const hop = this.phase === "connected" ? this.upstream?.status : undefined;
    if (age >= EXPIRED_AFTER || hop === "expired" || this.silence >= EXPIRED_AFTER) return "expired";
    if (age >= STALE_AFTER || (hop ?? "live") !== "live" || this.silence >= SILENT_AFTER) return "stale";
    return age === null ? "undated" : "live";
  }

  #open() {
    const socket = new WebSocket(this.#url, SUBPROTOCOL);
    this.#born = new Stopwatch();
    this.#socket = socket;
    this.#named.clear();
    this.#whole = true;
    this.#asked = false;
    const late = setTimeout(() => this.#lost(socket), OPEN_WITHIN);
    socket.onopen = () => {
      clearTimeout(late);
      this.#clock.forget();
    };
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => {
      clearTimeout(late);
      this.#lost(socket, event.code);
    };
  }

  #lost(socket, code) {
    if (socket !== this.#socket) return;
    // An unreachable server would not answer the closing handshake: nothing here waits for it.
    this.#socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.upstream = null;
    this.phase = code === POLICY ? "refused" : this.phase === "connecting" ? "connecting" : "reconnecting";
    this.#onChange();
    if (code === POLICY) return;
    if (this.#born.elapsed() >= LASTING) this.#ceiling = FIRST_WAIT;
    setTimeout(() => this.#open(), Math.random() * this.#ceiling); // full jitter: a crowd does not return as one
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

  #receive(frame) {
    this.#heard = new Stopwatch();
    this.#asked = false;
    const message = JSON.parse(frame);
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
      case "HEARTBEAT":
        this.#clock.told(message.timestamp);
        this.#hear(message.upstream);
        break;
      case "PONG":
        this.#clock.told(message.timestamp);
        break;
      // Others are not for this page.
    }
  }

  #take(update) {
    const state = parse(update);
    if (state === null) return;
    this.#named.add(state.symbol);
    const before = this.states.get(state.symbol);
    if (!isNewer(state, before)) return;
    this.states.set(state.symbol, state);
    this.#onState(state, before);
  }

  #remove(symbol) {
    const before = this.states.get(symbol);
    if (this.states.delete(symbol)) this.#onState(undefined, before);
  }

  #snapshot({ updates, last, complete }) {
    for (const update of updates) this.#take(update);
    this.#whole &&= complete;
    if (!last) return;
    if (this.#whole) {
      // What went away while there was no connection.
      for (const symbol of [...this.states.keys()]) if (!this.#named.has(symbol)) this.#remove(symbol);
    } else {
      this.upstream = { status: "stale", cause: null, age: null };
    }
    this.#named.clear();
    this.phase = "connected";
    this.#onChange();
  }

  #hear({ status, cause, age_ms: age }) {
    this.upstream = { status, cause, age };
    this.#upstreamTold = new Stopwatch();
    if (!this.#whole && cause !== "redis_down" && cause !== "bridge_down") {
      // The server had not read everything when it sent the SNAPSHOT: ask for a whole one.
      this.#whole = true;
      this.#send({ action: "unsubscribe", symbols: ["*"] });
      this.#send({ action: "subscribe", symbols: ["*"] });
    }
    this.#onChange();
  }
}
