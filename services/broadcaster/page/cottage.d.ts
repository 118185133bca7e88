/** The milliseconds of silence after which a hop is not trusted any more, and what came over it counts as stale. */
export const SILENT_AFTER: 3000;
/** The state of a symbol has changed, or is gone. */
export class StateEvent extends Event {
    /**
     * @param {string} symbol
     * @param {State | undefined} state
     * @param {State | undefined} before
     */
    constructor(symbol: string, state: State | undefined, before: State | undefined);
    symbol: string;
    /** The newest state; undefined where there is none any more. */
    state: State | undefined;
    /** The state before it; undefined where there was none. */
    before: State | undefined;
}
/** Feynman has said what it refuses; it does so every few seconds while there is anything, and then once more. */
export class FeedRefusalsEvent extends Event {
    /** @param {FeedRefusals} message */
    constructor(message: FeedRefusals);
    message: FeedRefusals;
}
/** An agent has published something. */
export class AgentEvent extends Event {
    /** @param {AgentUpdate} message */
    constructor(message: AgentUpdate);
    message: AgentUpdate;
}
/** The client may no longer know of some symbols: what it held of them is forgotten. Redis may still have them. */
export class RevokedEvent extends Event {
    /** @param {string[]} symbols */
    constructor(symbols: string[]);
    symbols: string[];
}
/** The server has refused a request; the connection stays. */
export class RefusalEvent extends Event {
    /**
     * @param {Refusal} refusal
     * @param {string[]} symbols
     */
    constructor({ code, message }: Refusal, symbols: string[]);
    /** What is not followed because of it. */
    symbols: string[];
    /** Such as `bad_symbol`; docs/protocol.md lists them. */
    code: string;
    /** The same in words. */
    reason: string;
}
declare const Cottage_base: new () => CottageEventTarget;
/**
 * Follows a broadcaster from its construction to `close()`, over any loss of the connection.
 * CottageEventMap lists its events.
 */
export class Cottage extends Cottage_base {
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
    constructor(url: string | URL, { symbols, batch, token, ...unknown }?: {
        symbols?: readonly string[] | ReadonlySet<string> | null | undefined;
        batch?: 0 | 100 | 250 | 500 | 1000 | undefined;
        token?: TokenSource | null | undefined;
    });
    /**
     * The newest state by symbol. It outlives a connection, so that no symbol ever goes back.
     * @type {Map<string, State>}
     */
    states: Map<string, State>;
    /**
     * The symbols that were asked for by name and have no state.
     * @type {Set<string>}
     */
    missing: Set<string>;
    /**
     * Why there is no connection, in words; null while there is one, or while that is not known.
     * @type {string | null}
     */
    problem: string | null;
    /**
     * What the server gets its states from; null while it has not said.
     * @type {Upstream | null}
     */
    upstream: Upstream | null;
    /** How many versions were left out because this client read too slowly. */
    skipped: number;
    /** How many times a HEARTBEAT proved a newer version than what was held, so that it was asked for again. */
    resyncs: number;
    /**
     * Also follow these symbols; ["*"] is all. It holds for every later connection too, and all calls of one turn are one
     * request. Throws a TypeError or a RangeError for what no server grants, and then follows nothing of it; what only
     * the server can refuse is told by a `refusal`.
     * @param {readonly string[] | ReadonlySet<string>} symbols
     */
    subscribe(symbols: readonly string[] | ReadonlySet<string>): void;
    /**
     * Follow these symbols no longer; ["*"] is all. Throws a RangeError for single symbols while all are followed, and
     * what `subscribe` throws.
     * @param {readonly string[] | ReadonlySet<string>} symbols
     */
    unsubscribe(symbols: readonly string[] | ReadonlySet<string>): void;
    /** Ask the function that was given for a token now, and show it over this connection if it is a new one. */
    renew(): void;
    /** Close the connection; nothing is received any more, and nobody is told anything after this call. */
    close(): void;
    /** Where this client is in the life of its connections. */
    get phase(): Phase;
    /** The milliseconds that the present token still holds; null where that is not known, or it has no end. */
    get tokenLeft(): number | null;
    /** Milliseconds since the server was last heard. */
    get silence(): number;
    /** Milliseconds since Feynman was heard, as far as is known; null where it is not. */
    get upstreamAge(): number | null;
    /**
     * Milliseconds since the sample of a symbol's newest state, by the server's clock; null where that is not known.
     * @param {State} state
     */
    age(state: State): number | null;
    /**
     * How far a symbol's newest state may be trusted: the worst of what the server says and of what its age tells.
     * @param {State} state
     * @returns {Freshness}
     */
    freshness(state: State): Freshness;
    /**
     * Why a state is stale or expired: the broken hop nearest to this client; if there is none, `feed_late` for a feed
     * that is late by nature, else `market_quiet`. Null where it is neither. `server_down`: the server is not heard.
     * @param {State} state
     * @returns {Cause | "server_down" | null}
     */
    cause(state: State): Cause | "server_down" | null;
    #private;
}
/**
 * How far a state may be trusted, as the server says it.
 */
export type Status = "live" | "stale" | "expired";
/**
 * Why a state is stale or expired, as the server says it.
 */
export type Cause = "bridge_down" | "redis_down" | "writer_down" | "feed_down" | "feed_ended" | "feed_late" | "market_quiet";
/**
 * What this client says of a state: `undated` is one that does not tell the time of its sample.
 */
export type Freshness = Status | "undated";
/**
 * Whether there is a connection. `connected`: and all that was asked for is here. `refused`: the server closed it
 * for good. `unauthorized`: it accepts no token that this client has. `closed`: by `close()`.
 */
export type Phase = "connecting" | "connected" | "reconnecting" | "refused" | "unauthorized" | "closed";
/**
 * A token, or a function that is asked for one: at each connection, and for a new one before its end. It is told the
 * server's word for why it refused the last one, such as `missing` or `expired`; null where it refused none. "" and
 * null are no token.
 */
export type TokenSource = string | ((refusal: string | null) => string | null | Promise<string | null>);
/**
 * What the server gets its states from.
 */
export type Upstream = {
    status: Status;
    /**
     * Null while it is live.
     */
    cause: Cause | null;
    /**
     * Milliseconds since Feynman was heard, as the server said; null where it never was.
     */
    age: number | null;
};
/**
 * The (epoch, seq) of a state. Another program than Feynman may publish states without one.
 */
export type Version = {
    epoch: number;
    seq: number;
} | {
    epoch: null;
    seq: null;
};
/**
 * A sample that came before a state's own, since its feed may be faster than feynman. Null is what is not known.
 */
export type TakenSample = {
    price: number | null;
    /**
     * As its feed wrote it, in milliseconds since 1970.
     */
    time: number | null;
    eventTime: number | null;
    received: number | null;
    volume: number | null;
    trades: number | null;
    bid: number | null;
    ask: number | null;
    session: string | null;
    /**
     * The words that the feed said of it.
     */
    notes: readonly string[];
    /**
     * Whether the one before it is lost.
     */
    lost: boolean;
};
/**
 * The fields of a state beside its version.
 */
export type StateFields = {
    symbol: string;
    /**
     * Of the newest sample, in milliseconds since 1970.
     */
    time: number | null;
    /**
     * The same as its feed wrote it, where that differs from `time`.
     */
    feedTime: number | null;
    /**
     * The market's own time of it, where its feed states that.
     */
    eventTime: number | null;
    /**
     * By how many milliseconds samples of this feed are usually late.
     */
    lag: number;
    /**
     * `Gaussian`, `Lévy Stable`, `Critical`, or `WAIT` while there is too little to tell.
     */
    regime: string;
    /**
     * Since when it holds, by the market's own time, in milliseconds since 1970. By the
     * same clock the newest sample is of `eventTime ?? feedTime ?? time`.
     */
    regimeSince: number | null;
    /**
     * The tail index.
     */
    alpha: number | null;
    /**
     * The lower end of its 90 % interval, never above `alpha`.
     */
    alphaLow: number | null;
    /**
     * The upper end, never below `alpha`. 10, the bound of `alpha`, means that there is none.
     */
    alphaHigh: number | null;
    /**
     * From 0 to 1.
     */
    mass: number | null;
    /**
     * In standard deviations, times mass.
     */
    momentum: number | null;
    /**
     * From 0 to 1.
     */
    friction: number | null;
    /**
     * From 0 to 1.
     */
    entropy: number | null;
    /**
     * The Nash distance, from 0 to 1.
     */
    nash: number | null;
    price: number | null;
    /**
     * The counter of what was traded, as its feed states it; `trades` that of trades.
     */
    volume: number | null;
    trades: number | null;
    /**
     * The quote beside the price; `ask` too.
     */
    bid: number | null;
    ask: number | null;
    /**
     * When the feed's program received the sample, in milliseconds since 1970.
     */
    received: number | null;
    /**
     * The grid of prices that the feed states.
     */
    tick: number | null;
    /**
     * How many seconds a bar of the feed lasts.
     */
    interval: number | null;
    /**
     * The mark of the market's session.
     */
    session: string | null;
    /**
     * How many samples it was computed from.
     */
    samples: number | null;
    /**
     * How many of its returns are not zero.
     */
    nonzero: number | null;
    /**
     * The unit in seconds in which samples lie apart.
     */
    step: number | null;
    /**
     * How many of its samples have no return.
     */
    holes: number | null;
    /**
     * How many of its prices do not lie on the grid of the others.
     */
    snapped: number;
    /**
     * The tick on which the tail index is computed.
     */
    grid: number | null;
    /**
     * How many samples in a row have voted for another one.
     */
    votes: number;
    /**
     * The id of the feed.
     */
    feed: string | null;
    /**
     * Of the samples, such as `live`, `replay` or `simulate`.
     */
    source: string | null;
    /**
     * Words about what the numbers stand on, such as `jump` or `no_volume`.
     */
    notes: readonly string[];
    /**
     * The pillars that are 0 but mean nothing, by their published names.
     */
    void: readonly string[];
    /**
     * The words that the feed said of the newest sample.
     */
    said: readonly string[];
    /**
     * Whether the sample before the newest one was handed over, and is lost.
     */
    lost: boolean;
    /**
     * The samples since the version before that came before the newest one.
     */
    taken: readonly TakenSample[];
    /**
     * The version that this one replaced in Redis; null where there
     * was none, or without `written`.
     */
    prev: {
        epoch: number;
        seq: number;
    } | null;
    /**
     * When Redis wrote this version, in milliseconds since 1970, with a fraction.
     */
    written: number | null;
    /**
     * The symbol as its venue spells it, such as BTC/USD.
     */
    native: string;
    /**
     * How many versions before it were left out because this client was slow.
     */
    skipped: number;
};
/**
 * A symbol's newest state. Null is what its publisher left out.
 */
export type State = StateFields & Version;
/**
 * A PHYSICS_UPDATE, as it was published.
 */
export type PhysicsUpdate = {
    event: "PHYSICS_UPDATE";
    symbol: string;
    timestamp?: string | undefined;
    feed_time?: string | undefined;
    data: {
        [name: string]: unknown;
    };
    epoch?: number | undefined;
    seq?: number | undefined;
    prev?: unknown;
    written?: number | undefined;
    skipped?: number | undefined;
};
/**
 * A part of what was asked for; the last part has `last`.
 */
export type Snapshot = {
    event: "SNAPSHOT";
    timestamp: string;
    updates: PhysicsUpdate[];
    last: boolean;
    complete: boolean;
    missing: string[];
};
/**
 * A symbol has no state any more.
 */
export type Removed = {
    event: "REMOVED";
    symbol: string;
};
/**
 * The client may no longer know of these symbols.
 */
export type Revoked = {
    event: "REVOKED";
    symbols: string[];
};
/**
 * How far the states of these symbols may be trusted; ["*"] is all.
 */
export type FreshnessStatement = {
    event: "FRESHNESS";
    status: Status;
    cause: Cause | null;
    age_ms: number | null;
    symbols: string[];
};
/**
 * The server speaks every 5 s. `seqs` are the versions of what it has sent.
 */
export type Heartbeat = {
    event: "HEARTBEAT";
    timestamp: string;
    upstream: {
        status: Status;
        cause: Cause | null;
        age_ms: number | null;
    };
    seqs?: {
        [symbol: string]: [epoch: number, seq: number];
    } | undefined;
};
/**
 * An AGENT_UPDATE, as the agent published it.
 */
export type AgentUpdate = {
    event: "AGENT_UPDATE";
    agent_id: string;
    timestamp: string;
    data: {
        [name: string]: unknown;
    };
};
/**
 * What Feynman refuses now: snapshots, and keys whose names are no symbols. `first` has some, with what is wrong.
 */
export type FeedRefusals = {
    event: "FEED_REFUSALS";
    timestamp: string;
    /**
     * Of the Feynman that says so, such as 0/1.
     */
    shard: string;
    data: {
        symbols: number;
        fields: {
            [field: string]: number;
        };
        first: {
            [symbol: string]: string;
        };
        bad_names: {
            names: number;
            first: {
                [name: string]: string;
            };
        };
    };
};
/**
 * A request was granted. That of an `auth` says what the client may be sent, and until when.
 */
export type Ack = {
    event: "ACK";
    action: "subscribe" | "unsubscribe" | "auth";
    symbols: string[];
    events?: string[] | undefined;
    expires?: string | null | undefined;
    id?: number | undefined;
};
/**
 * The answer to a ping.
 */
export type Pong = {
    event: "PONG";
    timestamp: string;
    upstream?: {
        status: Status;
        cause: Cause | null;
        age_ms: number | null;
    } | undefined;
    id?: number | undefined;
};
/**
 * A request was refused; with `symbols` only these of it.
 */
export type Refusal = {
    event: "ERROR";
    code: string;
    message: string;
    symbols?: string[] | undefined;
    id?: number | undefined;
};
/**
 * What a server sends.
 */
export type ServerMessage = PhysicsUpdate | Snapshot | Removed | Revoked | FreshnessStatement | Heartbeat | AgentUpdate | FeedRefusals | Ack | Pong | Refusal;
/**
 * The events of a Cottage, by name.
 */
export type CottageEventMap = {
    /**
     * A symbol's state has changed, or is gone.
     */
    state: StateEvent;
    /**
     * An agent has published something.
     */
    agent: AgentEvent;
    /**
     * Feynman has said what it refuses.
     */
    feedrefusals: FeedRefusalsEvent;
    /**
     * The server has refused a request.
     */
    refusal: RefusalEvent;
    /**
     * The client may no longer know of some symbols.
     */
    revoked: RevokedEvent;
    /**
     * Anything else has changed: phase, problem, upstream, freshness or missing.
     */
    change: Event;
};
/**
 * An EventTarget that knows the type of each event in CottageEventMap.
 */
export type CottageEventTarget = {
    addEventListener<Type extends keyof CottageEventMap>(type: Type, listener: (event: CottageEventMap[Type]) => void, options?: boolean | AddEventListenerOptions): void;
    removeEventListener<Type extends keyof CottageEventMap>(type: Type, listener: (event: CottageEventMap[Type]) => void, options?: boolean | EventListenerOptions): void;
} & EventTarget;
export {};
