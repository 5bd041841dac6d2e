// The map: from the access points over routes and pools to the backends.

import { charts } from '../chart.js';
import { h, lazily, put } from '../dom.js';
import { backendsOf, model } from '../model.js';
import { BY_TROUBLE, plural, rate, stateOf, time } from '../words.js';
import { wires } from './wires.js';

/** Cards of one column; more of them nobody can look over. */
const MOST = 60;
/** With more backends than these they are shown as signs, and the page of their pool has the rest. */
const CARDS = 30;

let filter = '';

export function map() {
  if (!model.tick) return { title: 'Pointsman', plain: true, again: true, element: skeleton() };
  const hour = charts({}, ['rate', 'p99'], { height: 96 });
  const columns = h('div.map');
  const field = h('input', { type: 'search', id: 'filter', value: filter, placeholder: 'Name, host or address' });
  const told = h('p.summary');
  const left = h('p.muted', { hidden: true });
  const element = h('div', null, told, hour.element,
    h('div.tools', null, h('label', { for: 'filter' }, 'Show only '), field), columns, left);
  let parts = [];
  let drawn = null;

  function build() {
    drawn?.end();
    const shown = choose();
    put(left, shown.left ? `${shown.left} more routes and pools: write a part of their name above.` : '');
    left.hidden = !shown.left;
    parts = [...points(shown), ...routes(shown), ...pools(shown), ...backends(shown)];
    const column = (kind, title) => {
      const cards = parts.filter((part) => part.column === kind).map((part) => part.element);
      return h('section', { 'aria-label': title }, h('h2', null, title), cards.length ? cards : h('p.muted', null, 'none'));
    };
    columns.replaceChildren(column('point', 'Access points'), column('route', 'Routes'), column('pool', 'Pools'), column('backend', 'Backends'));
    drawn = wires(columns, shown);
    update();
  }

  function update() {
    const [requests, errors, p99, underWay] = model.tick.whole;
    put(told, `${rate(requests)} requests/s · ${rate(errors)} errors/s · p99 ${time(p99)} · ${underWay} under way · ` +
      plural(model.tick.connections, 'connection'));
    for (const part of parts) part.update?.();
    drawn?.update();
  }

  field.addEventListener('input', lazily(() => {
    filter = field.value;
    build();
  }));
  build();
  return {
    title: 'Pointsman', plain: true, element,
    take(what) {
      if (what === 'shape') build();
      if (what === 'tick') update();
    },
    end() {
      hour.end();
      drawn?.end();
    },
  };
}

function skeleton() {
  return h('p.summary', null, model.link === 'connecting' ? 'Looking at the switch…' : model.link);
}

/** What of the shape is shown: what fits the filter, with what it leads to. */
function choose() {
  const { listeners, routes, pools } = model.shape;
  const word = filter.trim().toLowerCase();
  const has = (...texts) => texts.some((text) => text?.toLowerCase().includes(word));
  const own = (pool) => has(pool.name) || pool.backends.some(([name, address]) => has(name, address));
  const targets = (route) => (route.pool ? [route.pool] : route.split.map((share) => share.pool));
  const found = { pools: pools.filter(own), routes: routes.filter((route) => has(route.name, ...route.matches) || (word && pools.some((pool) => own(pool) && targets(route).includes(pool.name)))) };
  if (word) {
    const led = new Set(found.routes.filter((route) => has(route.name, ...route.matches)).flatMap(targets));
    found.pools = pools.filter((pool) => own(pool) || led.has(pool.name));
  }
  const trouble = (pool) => backendsOf(pool.name).some((one) => stateOf(one.state).kind === 'bad');
  if (found.pools.length > MOST) found.pools.sort((one, other) => trouble(other) - trouble(one));
  const left = Math.max(0, found.pools.length - MOST) + Math.max(0, found.routes.length - MOST);
  return { listeners, routes: found.routes.slice(0, MOST), pools: found.pools.slice(0, MOST), targets, left };
}

/** A card, and what brings it up to date. */
function card(column, key, { title, href, lines = [], figures }) {
  const numbers = h('p.figures');
  const bad = h('p.error', { hidden: true });
  const element = h('article.card', { 'data-key': key },
    h('h3', null, href ? h('a', { href }, title) : title), lines.filter(Boolean).map((line) => h('p.muted', null, line)), numbers, bad);
  const update = () => {
    const { text, trouble } = figures();
    put(numbers, text);
    put(bad, trouble ?? '');
    bad.hidden = !trouble;
  };
  return { column, element, update };
}

function points({ listeners }) {
  const groups = (model.contact?.contacts ?? []).map((group, at) => card('point', 'contact:' + at, {
    title: group.addresses[0] + (group.addresses.length > 1 ? ` and ${group.addresses.length - 1} more` : ''), href: '#/contact',
    lines: [`contact address on ${group.interface}`],
    figures: () => {
      const now = model.contact?.contacts[at] ?? group;
      return { text: now.role === 'active' ? '● this switch holds it' : `${now.role === 'standby' ? '○' : '✕'} ${now.role}, held by ${now.holder ?? 'nobody known'}` };
    },
  }));
  return [...groups, ...listeners.map((one, at) => card('point', 'listener:' + one.name, {
    title: one.name, href: link('listener', one.name),
    lines: [one.addresses.join(', '), `${one.protocol}${one.tls ? ', TLS' : ''}${one.redirect ? ', redirects' : ''}`],
    figures: () => {
      const [opened, , , open] = model.tick.listeners[at];
      return { text: `${open} open · ${rate(opened)} new/s` };
    },
  }))];
}

function routes(shown) {
  return shown.routes.map((route) => {
    const at = model.shape.routes.indexOf(route);
    const leads = route.answer ? [`answers ${route.answer}`] : route.split.map((share) => `${share.weight} to ${share.pool}`);
    return card('route', 'route:' + route.name, {
      title: route.name, href: link('route', route.name),
      lines: [...(route.matches.length ? route.matches.map(plain) : ['every other request']), leads.join(', ')],
      figures: () => numbers(model.tick.routes[at]),
    });
  });
}

/** `method = ["GET", "POST"]` as `method GET, POST`. */
export const plain = (condition) => condition.replace(/ = \[(.*)\]$/, ' $1').replaceAll('"', '');

function numbers([requests, errors, p99, underWay]) {
  const share = requests > 0 ? (errors / requests) * 100 : 0;
  return {
    text: `${rate(requests)}/s · p99 ${time(p99)} · ${underWay} under way`,
    trouble: errors > 0 ? `▲ ${rate(errors)} errors/s (${share < 1 ? '< 1' : Math.min(100, Math.round(share))} %)` : null,
  };
}

function pools(shown) {
  return shown.pools.map((pool) => {
    const at = model.shape.pools.indexOf(pool);
    const states = h('p.states');
    const part = card('pool', 'pool:' + pool.name, {
      title: pool.name, href: link('pool', pool.name),
      lines: [pool.forward === 'direct' ? 'direct return' : pool.balance],
      figures: () => {
        const [requests, errors, p99, underWay, waiting, panic] = model.tick.pools[at];
        const told = numbers([requests, errors, p99, underWay]);
        const more = [waiting > 0 && `${waiting} wait for room`, panic && `panic: ${panic}`].filter(Boolean);
        return { text: told.text, trouble: [told.trouble, ...more].filter(Boolean).join(' · ') || null };
      },
    });
    part.element.append(states);
    const { update } = part;
    part.update = () => {
      update();
      tally(states, backendsOf(pool.name));
    };
    return part;
  });
}

/** `● 3 up  ✕ 1 down` */
export function tally(element, backends) {
  const counts = {};
  for (const { state } of backends) counts[state] = (counts[state] ?? 0) + 1;
  const words = BY_TROUBLE.filter((state) => counts[state]).reverse();
  const key = words.map((state) => state + counts[state]).join();
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.replaceChildren(...words.map((state) => h(`span.${stateOf(state).kind}`, null, `${stateOf(state).sign} ${counts[state]} ${state}`)),
    ...(words.length ? [] : [h('span.bad', null, '✕ no backends')]));
}

export const link = (page, ...parts) => `#/${page}/${parts.map(encodeURIComponent).join('/')}`;

function backends(shown) {
  const all = shown.pools.flatMap((pool) => backendsOf(pool.name));
  if (all.length <= CARDS) return shown.pools.flatMap((pool) => backendsOf(pool.name).map(one));
  return shown.pools.map(signs);
}

function one(backend) {
  const state = h('p.states');
  const part = card('backend', `backend:${backend.pool}/${backend.name}`, {
    title: backend.name, href: link('backend', backend.pool, backend.name),
    lines: [backend.address !== backend.name && backend.address, model.shape.pools.length > 1 && `of ${backend.pool}`],
    figures: () => numbers([backend.rate, backend.errors, backend.p99, backend.inFlight]),
  });
  part.element.querySelector('h3').after(state);
  const { update } = part;
  part.update = () => {
    update();
    const { sign, kind } = stateOf(backend.state);
    put(state, `${sign} ${backend.state}`);
    state.className = `states ${kind}`;
  };
  return part;
}

/** A sign for each backend of a pool: where something is wrong can be seen among a thousand. */
function signs(pool) {
  const own = backendsOf(pool.name);
  const cells = own.map(() => h('i'));
  const field = h('div.signs', { 'aria-hidden': true }, cells);
  const told = h('p.states');
  const element = h('article.card', { 'data-key': 'signs:' + pool.name },
    h('h3', null, h('a', { href: link('pool', pool.name) }, plural(own.length, 'backend'), h('span.unseen', null, ` of ${pool.name}`))),
    told, field);
  const update = () => {
    tally(told, own);
    own.forEach((backend, at) => {
      if (cells[at].dataset.state === backend.state) return;
      const { sign, kind } = stateOf(backend.state);
      cells[at].dataset.state = backend.state;
      cells[at].className = kind;
      cells[at].title = `${backend.name}: ${backend.state}`;
      put(cells[at], sign);
    });
  };
  return { column: 'backend', element, update };
}
