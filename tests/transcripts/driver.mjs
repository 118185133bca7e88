// cottage.js under transcripts, in Node: all of it but its socket, its clocks, its timers and its dice.
//   node driver.mjs COTTAGE_JS TRANSCRIPT
// prints what the client says after each step, as one JSON list.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const EPOCH = Date.parse("2026-01-01T00:00:00Z");
const [, , module, path] = process.argv;
const transcript = JSON.parse(readFileSync(path, "utf8"));

// Times are in milliseconds here. `now` is the true time since the start.
let now = 0;
let wall = EPOCH;
let steady = 1_000_000;
let timers = [];
let errors = 0;
let server = "accepts";
const sockets = [];
const sent = [];
let shown = []; // the tokens of handshakes since the step before
const pageListeners = { pagehide: new Set(), pageshow: new Set() };

Date.now = () => wall + now;
Math.random = () => transcript.jitter ?? 1;
Object.defineProperty(globalThis, "performance", { value: { now: () => steady + now } });
globalThis.addEventListener = (type, listener) => pageListeners[type].add(listener);
globalThis.removeEventListener = (type, listener) => pageListeners[type].delete(listener);

let lastTimer = 0;
function schedule(task, wait, every) {
  const timer = { id: (lastTimer += 1), task, due: now + wait, every };
  timers.push(timer);
  return timer.id;
}
const cancel = (id) => (timers = timers.filter((timer) => timer.id !== id));
globalThis.setTimeout = (task, wait) => schedule(task, wait, null);
globalThis.setInterval = (task, wait) => schedule(task, wait, wait);
globalThis.clearTimeout = globalThis.clearInterval = cancel;

globalThis.WebSocket = class {
  static OPEN = 1;
  readyState = 0;
  dialledAt = now / 1000;
  hung = server === "hangs";
  constructor(url, protocols) {
    this.url = url;
    shown.push(protocols.find((each) => each.startsWith("bearer."))?.slice("bearer.".length) ?? "");
    sockets.push(this);
  }
  send(text) {
    sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
  }
};

globalThis.fetch = async () => {
  if (typeof server === "string") throw new TypeError("Failed to fetch");
  const { status, body = "", retry_after: wait } = server;
  return { status, statusText: "", text: async () => body, headers: new Map(wait ? [["Retry-After", wait]] : []) };
};

console.warn = (text) => (errors += text.includes("dropped") ? 1 : 0);

/** So many names where a number stands for them. */
const names = (given) => (typeof given === "number" ? Array.from({ length: given }, (_, at) => `S${at}`) : given);

/** Let everything that waits for its turn run. */
async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await null;
}

/** What the server does with the handshakes that were not answered. */
async function answer() {
  await settle();
  for (const socket of sockets) {
    if (socket.readyState !== 0 || socket.hung) continue;
    socket.readyState = server === "accepts" ? 1 : 3;
    if (server === "accepts") {
      socket.onopen?.();
    } else {
      const { onerror, onclose } = socket; // a client may drop them meanwhile
      onerror?.();
      if (server !== "fails_without_close" && socket.onclose === onclose) onclose?.({ code: 1006 });
    }
    await settle();
  }
}

async function advance({ at, stall, asleep, frozen }) {
  const until = at * 1000;
  if (stall || asleep || frozen) {
    if (asleep || frozen) steady -= until - now;
    if (frozen) wall -= until - now;
    now = until;
    return;
  }
  for (;;) {
    const due = timers.filter((timer) => timer.due <= until).sort((one, other) => one.due - other.due)[0];
    if (due === undefined) break;
    now = Math.max(now, due.due);
    if (due.every === null) cancel(due.id);
    else due.due = now + due.every; // a late one is not caught up
    due.task();
    await answer();
  }
  now = until;
}

/** The messages with the ids of what was sent: "ping -1" is that of the last ping. */
function withIds(messages) {
  return messages.map((message) => {
    const [wanted, number] = String(message.id ?? "").split(" ");
    if (!["ping", "subscribe", "auth"].includes(wanted)) return message;
    return { ...message, id: sent.filter(({ action }) => action === wanted).at(Number(number)).id };
  });
}

const { Cottage } = await import(pathToFileURL(module));

/** One token after the other, and the last one again and again. "!" is thrown. */
const tokens = [transcript.tokens ?? []].flat();
async function give() {
  const token = tokens.length > 1 ? tokens.shift() : tokens[0];
  if (token === "!") throw new RangeError("secret.in.here");
  return token;
}
const client = new Cottage("ws://transcript/ws", {
  symbols: transcript.symbols ?? null,
  token: Array.isArray(transcript.tokens) ? give : transcript.tokens,
});
let events = [];
let states = [];
client.addEventListener("agent", ({ message }) => events.push(["AGENT_UPDATE", message.agent_id]));
client.addEventListener("refusal", ({ code, symbols }) => events.push(["ERROR", code, ...symbols]));
client.addEventListener("revoked", ({ symbols }) => events.push(["REVOKED", ...symbols]));
client.addEventListener("state", ({ symbol, state }) => states.push([symbol, state === undefined ? null : state.seq]));
for (const [type, calls] of Object.entries(transcript.on ?? {})) {
  client.addEventListener(type, () => calls.forEach(call), { once: true });
}
await answer();

function connect(options, url = "ws://transcript/ws") {
  new Cottage(url, "symbols" in options ? { ...options, symbols: names(options.symbols) } : options).close();
}

/** Calls a method; `connect` is another client. Returns how it was refused. */
function call([method, ...given]) {
  try {
    if (method in pageListeners) for (const listener of [...pageListeners[method]]) listener();
    else if (method === "connect") connect(...given);
    else client[method](...given.map(names));
    return null;
  } catch (error) {
    if (error instanceof TypeError) return "type";
    if (error instanceof RangeError) return "value";
    throw error;
  }
}

let told = 0;
let dialled = 0;
function says() {
  const of = (value) => Object.fromEntries([...client.states].map(([name, state]) => [name, value(state)]));
  const requests = sent.slice(told).map(({ action, symbols = [], token }) => {
    return [action, ...symbols, ...(token === undefined ? [] : [token])];
  });
  told = sent.length;
  const answers = {
    versions: of(({ epoch, seq }) => (epoch === null ? null : [epoch, seq])),
    freshness: of((state) => client.freshness(state)),
    cause: of((state) => client.cause(state)),
    age: of((state) => (client.age(state) === null ? null : client.age(state) / 1000)),
    notes: of(({ notes }) => notes),
    void: of((state) => state.void),
    interval: of(({ alphaLow, alphaHigh }) => [alphaLow, alphaHigh]),
    regime_since: of(({ regimeSince }) => regimeSince && regimeSince / 1000),
    taken: of(({ taken }) => taken.map(({ price }) => price)),
    stamp: of(({ prev, written }) => [prev && [prev.epoch, prev.seq], written && Math.round(written * 1000)]),
    missing: [...client.missing].sort(),
    phase: client.phase,
    problem: client.problem,
    requests,
    connections: sockets.length,
    dialled: sockets.slice(dialled).map(({ dialledAt }) => dialledAt),
    handshake: sockets.length > 0 ? new URL(sockets.at(-1).url).search : "",
    shown,
    token_left: client.tokenLeft === null ? null : client.tokenLeft / 1000,
    errors,
    events,
    states,
  };
  dialled = sockets.length;
  [events, states, shown] = [[], [], []];
  return answers;
}

const answers = [];
for (const step of transcript.steps) {
  server = step.server ?? server;
  await advance(step);
  wall += (step.wall ?? 0) * 1000;
  const socket = sockets.at(-1);
  const messages = withIds(step.in ?? []);
  for (const data of step.raw ?? []) socket.onmessage?.({ data });
  for (const frame of step.batch ? [messages] : messages) socket.onmessage?.({ data: JSON.stringify(frame) });
  if (step.close !== undefined) {
    socket.readyState = 3;
    socket.onclose?.({ code: step.close, reason: step.reason ?? "" });
  }
  const raised = (step.call ?? []).map(call);
  await answer();
  answers.push({ ...says(), raised });
}
process.stdout.write(JSON.stringify(answers));
process.exit(0);
