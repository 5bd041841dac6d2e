// One pool: its hour, and its backends in a table.

import { confirm } from '../act.js';
import { charts } from '../chart.js';
import { h, lazily, put, section } from '../dom.js';
import { backendsOf, model } from '../model.js';
import { table } from '../table.js';
import { BY_TROUBLE, plural, rate, stateOf, time } from '../words.js';
import { eventList } from './events.js';
import { link, tally } from './map.js';

export function pool(name) {
  if (!model.tick) return { title: `Pool ${name}`, again: true, element: h('p', null, 'Looking at the switch…') };
  const about = () => model.shape.pools.find((one) => one.name === name);
  if (!about()) return { title: `Pool ${name}`, again: true, element: h('p', null, 'There is no such pool in the policy in force.') };
  const hour = charts({ pool: name }, ['rate', 'p99', 'inFlight', 'serving']);
  const summary = h('p.summary');
  const states = h('p.states');
  const told = h('p.muted', { role: 'status' });
  const word = h('input', { type: 'search', id: 'filter', placeholder: 'Name or address' });
  const state = h('select', { id: 'state' }, h('option', { value: '' }, 'any state'), BY_TROUBLE.map((one) => h('option', { value: one }, one)));
  const rows = table(COLUMNS, { label: `Backends of pool ${name}`, sorted: 0 });
  const happened = eventList((event) => event.about?.pool === name, 30);

  function show() {
    const part = word.value.trim().toLowerCase();
    const own = backendsOf(name);
    const found = own.filter((one) => (!state.value || one.state === state.value) &&
      (one.name.toLowerCase().includes(part) || one.address?.toLowerCase().includes(part)));
    rows.show(found);
    put(told, found.length === own.length ? plural(own.length, 'backend') : `${found.length} of ${plural(own.length, 'backend')}`);
  }

  function update() {
    const at = model.shape.pools.findIndex((one) => one.name === name);
    if (at < 0) return put(summary, 'It is no longer in the policy.');
    const [requests, errors, p99, underWay, waiting, panic] = model.tick.pools[at];
    const { balance, forward } = model.shape.pools[at];
    put(summary, `${forward === 'direct' ? 'direct return' : balance} · ${rate(requests)} requests/s · ${rate(errors)} errors/s · ` +
      `p99 ${time(p99)} · ${underWay} under way${waiting ? ` · ${waiting} wait for room` : ''}${panic ? ` · ▲ panic: ${panic}` : ''}`);
    tally(states, backendsOf(name));
    if (state.value) show();
    else rows.refresh();
  }

  for (const field of [word, state]) field.addEventListener('input', lazily(show));
  show();
  update();
  return {
    title: `Pool ${name}`,
    element: h('div', null, summary, states, hour.element,
      section('Backends', h('div.tools', null, h('label', { for: 'filter' }, 'Show only '), word, h('label', { for: 'state' }, ' in state '), state, told), rows.element),
      section('What happened', happened.element)),
    take(what) {
      if (what === 'shape') show();
      if (what === 'tick') update();
      if (what === 'events') happened.update();
    },
    end: hour.end,
  };
}

const COLUMNS = [
  {
    title: 'State',
    order: (one) => BY_TROUBLE.indexOf(one.state),
    cell(one, before) {
      const { sign, kind } = stateOf(one.state);
      const element = before ?? h('span');
      element.className = kind;
      put(element, `${sign} ${one.state}`);
      return element;
    },
  },
  {
    title: 'Name',
    order: (one) => one.name,
    cell: (one, before) => before ?? h('a', { href: link('backend', one.pool, one.name) }, one.name),
  },
  { title: 'Address', wide: true, order: (one) => one.address ?? '', cell: (one) => one.address ?? 'none' },
  { title: 'Weight', number: true, wide: true, order: (one) => one.weight, cell: (one) => one.weight },
  { title: 'Requests/s', number: true, order: (one) => one.rate, cell: (one) => rate(one.rate) },
  { title: 'Errors/s', number: true, order: (one) => one.errors, cell: (one) => rate(one.errors) },
  { title: 'p99', number: true, order: (one) => one.p99, cell: (one) => time(one.p99) },
  { title: 'Under way', number: true, wide: true, order: (one) => one.inFlight, cell: (one) => one.inFlight },
  {
    title: 'Order',
    wide: true,
    cell(one, before) {
      const out = one.state === 'draining' || one.state === 'disabled';
      const text = out ? 'Enable…' : 'Drain…';
      if (before?.textContent === text) return before;
      return h('button.small', { type: 'button', 'aria-label': `${text} ${one.name}`, onclick: () => confirm(out ? 'enable' : 'drain', one) }, text);
    },
  },
];
