// The policy in force, and what the file on disk has otherwise.

import { ask, json } from '../api.js';
import { facts, h, lazily, say, section } from '../dom.js';
import { model } from '../model.js';
import { clock, plural } from '../words.js';

const SIGNS = { added: ['+', 'ok'], removed: ['−', 'bad'], changed: ['~', 'warn'] };

export function policy() {
  if (!model.tick) return { title: 'Policy', again: true, element: h('p', null, 'Looking at the switch…') };
  const head = h('div');
  const difference = h('div', { 'aria-live': 'polite' }, h('p.muted', null, 'Reading the file…'));
  const compare = h('button', { type: 'button', onclick: () => load() }, 'Compare again');
  const things = h('div', null, h('p.muted', null, 'Reading…'));
  const word = h('input', { type: 'search', id: 'filter', placeholder: 'Name, kind or key' });
  let all = [];

  function about() {
    const { digest, file, since } = model.shape;
    head.replaceChildren(facts([['In force', digest], ['Since', clock(since)], ['File', file ?? 'the command line']]));
  }

  async function load() {
    compare.disabled = true;
    await Promise.all([differences(), inForce()]);
    compare.disabled = false;
  }

  async function differences() {
    try {
      difference.replaceChildren(...told(await json('/plan'), load));
    } catch (error) {
      difference.replaceChildren(...wrong(error));
    }
  }

  async function inForce() {
    try {
      all = (await json('/policy')).outline.things;
      show();
    } catch (error) {
      things.replaceChildren(h('p.error', null, error.message));
    }
  }

  function show() {
    const part = word.value.trim().toLowerCase();
    const found = all.filter((thing) => `${thing.kind} ${thing.name} ${Object.entries(thing.settings).join(' ')}`.toLowerCase().includes(part));
    things.replaceChildren(h('p.muted', { role: 'status' }, found.length > 200 ? `200 of ${found.length} things` : plural(found.length, 'thing')),
      ...found.slice(0, 200).map((thing) => h('details', null, h('summary', null, `${thing.kind} ${thing.name}`),
        h('pre', null, Object.entries(thing.settings).map(([key, value]) => `${key} = ${value}`).join('\n') || 'as by default'))));
  }

  word.addEventListener('input', lazily(show));
  about();
  load();
  return {
    title: 'Policy',
    element: h('div', null, head, section('What the file has otherwise', difference, h('div.buttons.start', null, compare)),
      section('In force', h('div.tools', null, h('label', { for: 'filter' }, 'Show only '), word), things)),
    take(what) {
      if (what !== 'shape') return;
      about();
      load();
    },
  };
}

/** A plan, and a way to put it into force. */
function told(plan, again) {
  if (!plan.changes.length) return [h('p.ok', null, `● Nothing: ${plan.file} says what is in force.`)];
  const items = plan.changes.map((change) => {
    const [sign, kind] = SIGNS[change.change] ?? ['?', ''];
    const settings = change.change === 'removed' ? [] : change.settings;
    return h('li', null, h('span', { class: kind }, `${sign} ${change.kind} ${change.name}`),
      h('ul', null, settings.map((one) => h('li', null, h('code', null, setting(one)))), change.effects.map((effect) => h('li.muted', null, `⇒ ${effect}`))));
  });
  const same = plan.unchanged.map(([kind, number]) => plural(number, kind)).join(', ');
  return [h('p', null, `${plural(plan.changes.length, 'difference')}: ${plan.from} → ${plan.to}`), h('ul.plan', null, items),
    same && h('p.muted', null, `The same: ${same}.`),
    h('button', { type: 'button', onclick: () => reload(plan, again) }, 'Put the file into force…')].filter(Boolean);
}

function setting({ key, from, to }) {
  if (from == null) return `${key} = ${to}`;
  return `${key}: ${from} → ${to ?? 'nothing'}`;
}

/** Problems of a file that `check` would refuse. */
function wrong(error) {
  if (error.status !== 422) return [h('p', null, error.message || 'The switch does not answer.')];
  const problems = JSON.parse(error.text).map((one) => h('li', null, h('code', null, `${one.file}:${one.line}:${one.column}`), ` ${one.message}`, one.help && h('p.muted', null, one.help)));
  return [h('p.error', null, `▲ A reload would be refused: ${plural(problems.length, 'problem')}.`), h('ul.plan', null, problems)];
}

function reload(plan, again) {
  const wrong = h('pre.error', { role: 'alert' });
  const go = h('button.main', { value: 'go' }, 'Put into force');
  const dialog = h('dialog', { 'aria-labelledby': 'reload-title' },
    h('form', { onsubmit: (event) => { event.preventDefault(); give(); } },
      h('h2', { id: 'reload-title' }, 'Put the file into force?'),
      h('p', null, `${plan.file} as it is now: ${plural(plan.changes.length, 'difference')}. No connection is closed.`), wrong,
      h('div.buttons', null, h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'), go)));
  async function give() {
    go.disabled = true;
    const answer = await ask('/reload', { method: 'POST' }).catch(() => null);
    const text = answer ? await answer.text() : 'The switch does not answer.';
    go.disabled = false;
    if (!answer?.ok) return wrong.replaceChildren(text);
    say(text);
    dialog.close();
    again();
  }
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
