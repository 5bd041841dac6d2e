// Orders about a backend: what will happen, why, for how long, and only then the order.

import { ask, to } from './api.js';
import { h, say } from './dom.js';

const ORDERS = {
  drain: { verb: 'Drain', tells: 'It takes no new requests and finishes what it has. Tunnels and TCP connections stay open.' },
  disable: { verb: 'Disable', tells: 'It takes no new requests, and its TCP connections and tunnels are closed.' },
  weight: { verb: 'Change the weight of', tells: 'The weight holds in place of the policy’s. 0 takes no new requests.' },
  enable: { verb: 'Enable', tells: 'Everything that was ordered by hand is taken back: it is as the policy has it.' },
};

const TIMES = [['', 'until it is taken back'], ['10m', '10 minutes'], ['30m', '30 minutes'], ['2h', '2 hours'], ['8h', '8 hours'], ['3d', '3 days']];

/** A button for each order that makes sense while the orders `given` hold. */
export function buttons(backend, given) {
  const holds = (order) => given.some((one) => one.order === order);
  const sensible = { drain: !holds('drain'), disable: !holds('disable'), weight: true, enable: given.length > 0 };
  return Object.keys(ORDERS).filter((order) => sensible[order]).map((order) =>
    h('button', { type: 'button', 'data-order': order, onclick: () => confirm(order, backend) }, ORDERS[order].verb.split(' of')[0] + '…'));
}

/** Asks for the reason, and gives the order when it is confirmed. */
export function confirm(order, backend) {
  const { verb, tells } = ORDERS[order];
  const name = `${backend.pool}/${backend.name}`;
  const why = h('input', { id: 'why', maxlength: 200, required: order !== 'enable', autocomplete: 'off' });
  const time = h('select', { id: 'for' }, TIMES.map(([value, text]) => h('option', { value }, text)));
  const weight = h('input', { id: 'weight', type: 'number', min: 0, max: 1000, value: backend.weight, required: true });
  const force = h('input', { id: 'force', type: 'checkbox' });
  const forced = h('p', { hidden: true }, force, h('label.inline', { for: 'force' }, ' Do it all the same'));
  const wrong = h('p.error', { role: 'alert' });
  const go = h('button.main', { value: 'go' }, verb.split(' ')[0]);
  const dialog = h('dialog', { 'aria-labelledby': 'act-title' },
    h('form', { onsubmit: (event) => { event.preventDefault(); give(); } },
      h('h2', { id: 'act-title' }, `${verb} ${name}?`),
      h('p', null, tells),
      order !== 'enable' && h('p.muted', null, `${backend.inFlight ?? 0} under way there now.`),
      order === 'weight' && [h('label', { for: 'weight' }, 'Weight, 0 to 1000'), weight],
      h('label', { for: 'why' }, order === 'enable' ? 'Reason (may be empty)' : 'Reason, for those who see it later'), why,
      order !== 'enable' && [h('label', { for: 'for' }, 'For how long'), time],
      forced, wrong,
      h('div.buttons', null, h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'), go)));

  async function give() {
    go.disabled = true;
    put('');
    const path = to('/backend/' + order, {
      pool: backend.pool, backend: backend.name, why: why.value.trim(),
      weight: order === 'weight' ? weight.value : null,
      for: order === 'enable' ? null : time.value,
      force: force.checked ? 'yes' : null,
    });
    try {
      const answer = await ask(path, { method: 'POST' });
      const text = await answer.text();
      if (answer.ok) {
        say(JSON.parse(text).text);
        dialog.close();
      } else {
        put(text.trim());
        forced.hidden = forced.hidden && answer.status !== 409;
      }
    } catch {
      put('The switch does not answer.');
    }
    go.disabled = false;
  }

  const put = (text) => (wrong.textContent = text);
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  (order === 'weight' ? weight : why).focus();
}
