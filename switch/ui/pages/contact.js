// The contact addresses: who holds them, who would take over, what happened.

import { facts, h, section } from '../dom.js';
import { model } from '../model.js';
import { clock, plural, span } from '../words.js';
import { eventList } from './events.js';

const ROLES = { active: '●', standby: '○', out: '✕' };
const KINDS = { active: 'ok', standby: 'off', out: 'bad', up: 'ok', connecting: 'warn' };

export function contact() {
  if (!model.tick) return { title: 'Contact addresses', again: true, element: h('p', null, 'Looking at the switch…') };
  const groups = h('div');
  const happened = eventList((event) => event.event.startsWith('contact-'), 100);
  let told = null;

  function update() {
    const now = model.contact;
    // The silence of peers changes with every frame.
    const key = JSON.stringify(now, (name, value) => (name === 'events' ? undefined : name === 'silence' ? Math.round(value) : value));
    if (told === key) return;
    told = key;
    groups.replaceChildren(...(now ? [...now.contacts.map(group), peers(now.peers)] : [none()]));
  }

  update();
  return {
    title: 'Contact addresses',
    element: h('div', null, groups, section('Takeovers and what else happened', happened.element)),
    take(what) {
      if (what === 'tick') update();
      if (what === 'events') happened.update();
    },
  };
}

const none = () => h('p', null, 'The policy has no [contact]: this switch shares no address with others. docs/contact.md tells how.');

function group(one) {
  const last = one.last_takeover;
  return section(one.addresses.join(', '),
    h('p.summary', { class: `summary ${KINDS[one.role] ?? ''}` }, `${ROLES[one.role] ?? '?'} ${one.role}${one.yielded ? ', yielded by order' : ''}`),
    facts([
      ['Held by', one.holder ?? 'nobody that is known'],
      ['Why', one.why],
      ['Since', clock(one.since)],
      ['Group', one.group],
      ['Interface', `${one.interface}, announced by ${one.announce}`],
      ['Priority', String(one.priority)],
      ['Would take over', plural(one.standbys, 'switch', 'switches')],
      ['Last takeover here', last && `${clock(last.at)} in ${(last.seconds * 1e3).toFixed(1)} ms (${last.reason})`],
      ['Conflicts', one.conflicts ? `▲ ${one.conflicts}` : null],
      ['Packets passed on', one.relayed_packets ? String(one.relayed_packets) : null],
    ]));
}

function peers(all) {
  if (!all.length) return section('Peers', h('p.muted', null, 'The policy names none.'));
  const row = (one) => h('tr', null,
    h('th', { scope: 'row' }, one.address),
    h('td', { class: KINDS[one.state] ?? 'bad' }, `${one.state === 'up' ? '●' : '✕'} ${one.state}`),
    h('td', null, clock(one.since)),
    h('td', null, one.state === 'up' ? `${span(one.silence)} ago` : '–'),
    h('td', { class: one.policy === 'differs' ? 'warn' : null }, one.policy === 'differs' ? '▲ differs' : one.policy),
    h('td', null, one.version ?? '–'),
    h('td', null, String(one.losses)),
    h('td', null, one.why ?? ''));
  const titles = ['Peer', 'State', 'Since', 'Last heartbeat', 'Policy', 'Version', 'Taken for dead', 'What is wrong'];
  return section('Peers', h('div.scroll', { tabindex: 0, role: 'region', 'aria-label': 'Peers' },
    h('table', null, h('thead', null, h('tr', null, titles.map((title) => h('th', { scope: 'col' }, title)))), h('tbody', null, all.map(row)))));
}
