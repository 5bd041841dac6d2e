// What the page knows: the shape of the policy in force, the newest figures, and the events.

import { ask, follow } from './api.js';

const MOST_EVENTS = 1024;

export const model = {
  shape: null,
  tick: null,
  /** In the order of the shape: `{ pool, name, address, state, weight, rate, errors, p99, inFlight, share }`. */
  backends: [],
  contact: null,
  overlay: [],
  sources: [],
  /** The newest last. */
  events: [],
  /** `live`, or why not. */
  link: 'connecting',
};

const watchers = new Set();

/** Calls `call(what, detail)` for `shape`, `tick`, `events` and `link` until the result is called. */
export function watch(call) {
  watchers.add(call);
  return () => watchers.delete(call);
}

function tell(what, detail) {
  for (const call of watchers) call(what, detail);
}

export const backendsOf = (pool) => model.backends.filter((one) => one.pool === pool);
export const backend = (pool, name) => model.backends.find((one) => one.pool === pool && one.name === name);
export const laidOver = (pool, name) =>
  model.overlay.filter((one) => one.pool === pool && (one.backend === name || name.startsWith(one.backend + ' (')));

/** Follows the switch for as long as the page is open. */
export async function run() {
  for (let pause = 500; ; pause = Math.min(pause * 2, 10_000)) {
    try {
      await follow('/live', (kind, data) => {
        pause = 500;
        take(kind, data);
      });
      link('the switch has ended the connection');
    } catch (error) {
      link(error instanceof TypeError ? 'the switch does not answer' : error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

function link(word) {
  if (model.link === word) return;
  model.link = word;
  tell('link');
}

function take(kind, data) {
  if (kind === 'shape') takeShape(data);
  if (kind === 'tick' && model.shape) takeTick(data);
  if (kind === 'happened') takeEvents([data], true);
}

function takeShape(shape) {
  const anew = model.shape?.pid !== shape.pid;
  model.shape = shape;
  const before = new Map(model.backends.map((one) => [one.pool + '/' + one.name, one]));
  model.backends = shape.pools.flatMap((pool) =>
    pool.backends.map(([name, address]) => ({ ...before.get(pool.name + '/' + name), pool: pool.name, name, address })));
  model.fresh = true;
  if (anew || model.link !== 'live') loadEvents();
}

function takeTick(tick) {
  const all = Array.isArray(tick.backends);
  const changed = all ? model.backends.map((_, at) => at) : Object.keys(tick.backends).map(Number);
  for (const at of changed) {
    const [state, weight, rate, errors, p99, inFlight, share] = tick.backends[at];
    const word = model.shape.states[state] ?? 'unknown';
    Object.assign(model.backends[at], { state: word, weight, rate, errors, p99, inFlight, share });
  }
  for (const part of ['overlay', 'sources']) if (tick[part]) model[part] = tick[part];
  model.contact = tick.contact ?? null;
  model.tick = tick;
  link('live');
  // A page is built only once there are figures for all that it shows.
  if (model.fresh) tell('shape');
  model.fresh = false;
  tell('tick', changed);
}

async function loadEvents() {
  try {
    const answer = await ask('/events');
    if (!answer.ok) return;
    const lines = (await answer.text()).split('\n').filter(Boolean);
    takeEvents(lines.map((line) => JSON.parse(line)), false);
  } catch {
    // The stream will tell that nobody answers.
  }
}

function takeEvents(events, isNew) {
  const all = new Map([...model.events, ...events].map((one) => [`${one.seq} ${one.at}`, one]));
  model.events = [...all.values()].sort((one, other) => one.seq - other.seq).slice(-MOST_EVENTS);
  tell('events', isNew ? events : []);
}
