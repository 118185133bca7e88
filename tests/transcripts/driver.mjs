// cottage.js under transcripts, in Node: all of it but its socket, its clocks and its timers.
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
const sockets = [];
const sent = [];

Date.now = () => wall + now;
Object.defineProperty(globalThis, "performance", { value: { now: () => steady + now } });

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
  constructor() {
    sockets.push(this);
  }
  send(text) {
    sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
  }
};

/** Servers accept at once. */
function accept() {
  for (const socket of sockets) {
    if (socket.readyState !== 0 || socket.accepted) continue;
    socket.accepted = true;
    socket.readyState = 1;
    socket.onopen?.();
  }
}

function advance({ at, stall, asleep, frozen }) {
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
    accept();
  }
  now = until;
}

/** The messages with the ids of what was sent: "ping -1" is that of the last ping. */
function withIds(messages) {
  return messages.map((message) => {
    const [wanted, number] = (message.id ?? "").split(" ");
    if (number === undefined) return message;
    return { ...message, id: sent.filter(({ action }) => action === wanted).at(Number(number)).id };
  });
}

const { Cottage } = await import(pathToFileURL(module));
const client = new Cottage("ws://transcript/ws", { symbols: transcript.symbols ?? null });
accept();

let told = 0;
function says() {
  const of = (value) => Object.fromEntries([...client.states].map(([name, state]) => [name, value(state)]));
  const requests = sent.slice(told).map(({ action, symbols = [] }) => [action, ...symbols]);
  told = sent.length;
  return {
    versions: of(({ epoch, seq }) => (epoch === null ? null : [epoch, seq])),
    freshness: of((state) => client.freshness(state)),
    cause: of((state) => client.cause(state)),
    age: of((state) => (client.age(state) === null ? null : client.age(state) / 1000)),
    notes: of(({ notes }) => notes),
    void: of((state) => state.void),
    missing: [...client.missing].sort(),
    phase: client.phase,
    requests,
    connections: sockets.length,
    errors,
  };
}

const answers = [];
for (const step of transcript.steps) {
  advance(step);
  wall += (step.wall ?? 0) * 1000;
  const socket = sockets.at(-1);
  for (const message of withIds(step.in ?? [])) {
    try {
      socket.onmessage?.({ data: JSON.stringify(message) });
    } catch {
      errors += 1;
    }
  }
  if (step.close !== undefined) {
    socket.readyState = 3;
    socket.onclose?.({ code: step.close });
  }
  accept();
  answers.push(says());
}
process.stdout.write(JSON.stringify(answers));
process.exit(0);
