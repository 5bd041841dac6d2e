// One route or listener: where it leads, and its hour.

import { charts } from '../chart.js';
import { facts, h, put, section } from '../dom.js';
import { model } from '../model.js';
import { rate, time } from '../words.js';
import { link, plain } from './map.js';

export const route = (name) => line('route', name, (one) => [
  ['Takes', one.matches.map(plain).join('; ') || 'every request that no other route takes'],
  ['On', one.listeners.join(', ') || 'all listeners'],
  ['Answers', one.answer],
  ['Leads to', leads(one.pool ? [{ pool: one.pool }] : one.split)],
]);

export const listener = (name) => line('listener', name, (one) => [
  ['Addresses', one.addresses.join(', ')],
  ['Protocol', one.protocol + (one.tls ? ', TLS' : '')],
  ['Leads to', one.pool ? leads([{ pool: one.pool }]) : null],
]);

function line(kind, name, about) {
  const title = `${kind[0].toUpperCase()}${kind.slice(1)} ${name}`;
  const lines = kind + 's';
  const place = () => model.shape[lines].findIndex((one) => one.name === name);
  if (!model.tick) return { title, again: true, element: h('p', null, 'Looking at the switch…') };
  if (place() < 0) return { title, again: true, element: h('p', null, `There is no such ${kind} in the policy in force.`) };
  const hour = charts({ [kind]: name }, kind === 'route' ? ['rate', 'p99', 'inFlight'] : ['connections', 'open']);
  const summary = h('p.summary');
  const known = h('div');

  function update() {
    const [requests, errors, p99, underWay] = model.tick[lines][place()] ?? [0, 0, null, 0];
    put(summary, kind === 'route'
      ? `${rate(requests)} requests/s · ${rate(errors)} errors/s · p99 ${time(p99)} · ${underWay} under way`
      : `${underWay} connections open · ${rate(requests)} new/s`);
  }

  const tell = () => known.replaceChildren(facts(about(model.shape[lines][place()] ?? {})));
  tell();
  update();
  return {
    title,
    element: h('div', null, summary, known, section('The last hour', hour.element)),
    take(what) {
      if (place() < 0) return;
      if (what === 'shape') tell();
      if (what === 'tick') update();
    },
    end: hour.end,
  };
}

function leads(shares) {
  if (!shares?.length) return null;
  return h('span', null, shares.flatMap(({ pool, weight }, at) =>
    [at ? ', ' : '', h('a', { href: link('pool', pool) }, pool), weight ? ` (${weight})` : '']));
}
