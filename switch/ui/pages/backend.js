// One backend: its state and why, its hour, and what may be done with it.

import { buttons } from '../act.js';
import { json, to } from '../api.js';
import { charts } from '../chart.js';
import { facts, h, put, section } from '../dom.js';
import { backend as find, laidOver, model } from '../model.js';
import { ago, clock, count, plural, rate, span, stateOf, time } from '../words.js';
import { eventList } from './events.js';
import { link } from './map.js';

/** How often what is not in the frames is asked for. */
const AGAIN = 3000;

export function backend(pool, name) {
  const title = `${pool}/${name}`;
  if (!model.tick) return { title, again: true, element: h('p', null, 'Looking at the switch…') };
  if (!find(pool, name)) return { title, again: true, element: h('p', null, 'There is no such backend in the policy in force.') };
  const hour = charts({ pool, backend: name }, ['rate', 'p99', 'inFlight'], { states: true });
  const isOwn = (other) => other === name || name.startsWith(other + ' (');
  const happened = eventList((event) => event.about?.pool === pool && isOwn(event.about.backend), 50);
  const state = h('p.summary');
  const why = h('ul.why');
  const details = h('div');
  const orders = h('div.buttons.start', { role: 'group', 'aria-label': `Orders about ${title}` });
  let known = null;
  let seen = null;

  async function load() {
    if (document.hidden) return;
    const status = await json(to('/status', { pool, backend: name })).catch(() => null);
    known = status?.pools[0]?.backends[0] ?? known;
    explain();
  }

  function explain() {
    const one = find(pool, name);
    if (!one || !known) return;
    const reasons = because({ ...known, state: one.state }, laidOver(pool, name));
    if (why.dataset.told !== reasons.join()) {
      why.dataset.told = reasons.join();
      why.replaceChildren(...reasons.map((reason) => h('li', null, reason)));
    }
    details.replaceChildren(facts([
      ['Address', known.address ?? 'none'],
      ['Weight', String(known.weight)],
      ['Requests since the start', count(known.requests)],
      ['Last check', known.last_check && `${ago(known.last_check.at)}, ${known.last_check.error ? 'failed' : 'passed'}` +
        (known.last_check.duration == null ? '' : ` in ${time(known.last_check.duration)}`)],
      ['Reports of its load', known.utilization == null ? null : `${Math.round(known.utilization * 100)} %`],
    ]));
  }

  function update() {
    const one = find(pool, name);
    if (!one) return put(state, 'It is no longer in the policy.');
    const { sign, kind } = stateOf(one.state);
    state.className = `summary ${kind}`;
    put(state, `${sign} ${one.state} · ${rate(one.rate)} requests/s · ${rate(one.errors)} errors/s · p99 ${time(one.p99)} · ${one.inFlight} under way`);
    const given = laidOver(pool, name);
    const key = given.map((order) => order.order).join() + one.state;
    if (orders.dataset.key !== key) {
      orders.dataset.key = key;
      orders.replaceChildren(...buttons(one, given));
    }
    if (seen !== one.state) load();
    seen = one.state;
  }

  const timer = setInterval(load, AGAIN);
  update();
  return {
    title,
    element: h('div', null, h('p', null, 'in pool ', h('a', { href: link('pool', pool) }, pool)), state,
      section('Why', why), orders,
      section('The last hour', hour.element), section('Details', details), section('What happened', happened.element)),
    take(what) {
      if (what === 'tick') update();
      if (what === 'events') happened.update();
    },
    end() {
      clearInterval(timer);
      hour.end();
    },
  };
}

/** Why a backend is in its state, in sentences: what is decisive first. */
function because(one, orders) {
  const reasons = orders.map((order) => {
    const what = order.order === 'weight' ? `weight ${order.weight}` : order.order;
    const until = order.until ? `until ${clock(order.until)}` : 'until it is taken back';
    return `Ordered by hand ${clock(order.since)}: ${what}, ${until}${order.why ? ` (“${order.why}”)` : ', without a reason'}.`;
  });
  const { last_check: last, ejection, health, since } = one;
  const lately = last && `${clock(last.at)}, ${ago(last.at)}`;
  const because = {
    up: last && !last.error ? `Its last check passed (${lately}).` : 'Nothing speaks against it.',
    down: last?.error ? `The last look at it: ${last.error} (${lately}).` : 'Its checks fail.',
    unresolved: last?.error ? `Its name was not found: ${last.error} (${lately}).` : 'Its name has no address yet.',
    starting: 'No check has ended yet; it takes requests only if nobody else can.',
    ejected: ejection ? `Clients got errors from it (${ejection.reason}); out until ${clock(ejection.until)}, ${plural(ejection.times, 'time')} in a row.` : 'Clients got errors from it.',
    'slow-start': `It has come back and takes ${Math.round((one.share ?? 1) * 100)} % of its weight so far.`,
  };
  const whole = health || one.state;
  reasons.push(`${stateOf(whole).sign} ${whole}: it ${stateOf(whole).means}. ${because[whole] ?? ''}`);
  if (since) reasons.push(`In this health since ${clock(since)}, for ${span((Date.now() - Date.parse(since)) / 1e3)}.`);
  if (whole !== 'up' && last?.error == null && last) reasons.push(`The last check passed (${lately}).`);
  return reasons;
}
