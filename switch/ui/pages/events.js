// What has happened, the newest first.

import { h, lazily, put } from '../dom.js';
import { model } from '../model.js';
import { clock, plural } from '../words.js';

/** A list of the events that `wanted` accepts, so many at most. */
export function eventList(wanted, most) {
  const element = h('div');
  let newest = null;
  const update = (anew) => {
    const all = model.events.filter(wanted);
    if (!anew && all.at(-1)?.seq === newest) return all.length;
    newest = all.at(-1)?.seq;
    const shown = all.slice(-most).reverse();
    element.replaceChildren(shown.length
      ? h('ol.events', { reversed: true }, shown.map(row))
      : h('p.muted', null, 'Nothing yet.'));
    return all.length;
  };
  update(true);
  return { element, update };
}

function row(event) {
  const warning = event.level === 'warning';
  return h('li', { class: warning ? 'warning' : null },
    h('time', { datetime: event.at, title: event.at }, clock(event.at)), ' ',
    h('span.kind', null, `${warning ? '▲ ' : ''}${event.event}`), ' ', h('span.text', null, event.text));
}

export function events() {
  const word = h('input', { type: 'search', id: 'filter', placeholder: 'Words, or the name of a backend' });
  const level = h('select', { id: 'level' }, h('option', { value: '' }, 'all'), h('option', { value: 'warning' }, 'warnings'));
  const told = h('p.muted', { role: 'status' });
  const wanted = (event) => {
    const part = word.value.trim().toLowerCase();
    return (!level.value || event.level === level.value) &&
      (!part || event.text.toLowerCase().includes(part) || event.event.includes(part));
  };
  const list = eventList(wanted, 300);
  const show = (anew) => {
    const found = list.update(anew);
    put(told, found > 300 ? `the newest 300 of ${found}` : plural(found, 'event'));
  };
  for (const field of [word, level]) field.addEventListener('input', lazily(() => show(true)));
  show(true);
  return {
    title: 'Events',
    element: h('div', null, h('div.tools', null, h('label', { for: 'filter' }, 'Show only '), word, h('label', { for: 'level' }, ' level '), level, told), list.element),
    take(what) {
      if (what === 'events') show(false);
    },
  };
}
