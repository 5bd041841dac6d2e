// What would become of a request now, and why.

import { json } from '../api.js';
import { facts, h, section } from '../dom.js';
import { model } from '../model.js';
import { stateOf } from '../words.js';
import { link } from './map.js';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** What was asked last, for whoever comes back. */
const asked = { method: 'GET', url: '', headers: '', client: '' };

export function explain() {
  const field = (name, more) => h('input', { id: name, value: asked[name], autocomplete: 'off', spellcheck: 'false', ...more });
  const method = h('select', { id: 'method' }, METHODS.map((one) => h('option', { selected: one === asked.method }, one)));
  const url = field('url', { required: true, placeholder: 'http://shop.example.com/checkout/1', value: asked.url || first() });
  const client = field('client', { placeholder: '192.0.2.7' });
  const headers = h('textarea', { id: 'headers', rows: 2, spellcheck: 'false', placeholder: 'Cookie: a=b', value: asked.headers });
  const answer = h('div', { 'aria-live': 'polite' });
  const form = h('form.ask', { onsubmit: (event) => { event.preventDefault(); give(); } },
    h('div', null, h('label', { for: 'method' }, 'Method'), method),
    h('div.grow', null, h('label', { for: 'url' }, 'Address'), url),
    h('div', null, h('label', { for: 'client' }, 'Client (may be empty)'), client),
    h('div.grow', null, h('label', { for: 'headers' }, 'Header fields, one per line (may be empty)'), headers),
    h('div.buttons', null, h('button.main', null, 'Explain')));

  async function give() {
    Object.assign(asked, { method: method.value, url: url.value.trim(), headers: headers.value, client: client.value.trim() });
    const fields = asked.headers.split('\n').map((line) => line.trim()).filter(Boolean);
    const pairs = [['method', asked.method], ['url', asked.url], ...fields.map((line) => ['header', line.replace(/:\s*/, ':')])];
    if (asked.client) pairs.push(['client', asked.client]);
    try {
      answer.replaceChildren(...told(await json('/explain?' + pairs.map((pair) => pair.map(encodeURIComponent).join('=')).join('&'))));
    } catch (error) {
      answer.replaceChildren(h('p.error', null, error.message));
    }
  }

  return { title: 'Explain a request', element: h('div', null, h('p.muted', null, 'Nothing is sent: the switch tells what it would do with such a request now.'), form, answer) };
}

/** The first listener of HTTP, as something to begin with. */
function first() {
  const listener = model.shape?.listeners.find((one) => one.protocol === 'http');
  const address = listener?.addresses[0];
  if (!address || address.startsWith('unix:')) return '';
  return `http${listener.tls ? 's' : ''}:` + '//' + address.replace(/^:/, 'localhost:') + '/';
}

function told(found) {
  const { listener, route, pool } = found;
  const steps = [
    h('li', null, h('strong', null, `Listener ${listener.name}`), `: ${listener.why}`),
    ...found.passed_over.map((one) => h('li.muted', null, `not route ${one.route}: ${one.condition} does not hold`)),
    found.not_matching > 0 && h('li.muted', null, `${found.not_matching} other routes are for other hosts or paths`),
    route && h('li', null, h('strong', null, `Route ${route.name}`), `: ${route.conditions.length ? route.conditions.join(', ') : 'it takes everything'}`, route.limit && `; ${route.limit}`),
    h('li', null, h('strong', null, found.outcome)),
  ].filter(Boolean);
  const result = [section('Its way', h('ol', null, steps))];
  if (pool) result.push(choice(pool));
  return result;
}

function choice(pool) {
  const chosen = pool.chosen ?? (pool.backends.some((one) => one.share > 0) ? 'one of these, as likely as the share says' : 'nobody: 503, reason no_backend');
  const sorted = [...pool.backends].sort((one, other) => other.share - one.share).slice(0, 100);
  const row = (one) => h('tr', null,
    h('th', { scope: 'row' }, h('a', { href: link('backend', pool.name, one.name) }, one.name)),
    h('td', { class: stateOf(one.state).kind }, `${stateOf(one.state).sign} ${one.state}`),
    h('td.number', null, `${Math.round(one.share * 100)} %`),
    h('td', null, one.why));
  return section(`Pool ${pool.name}`,
    facts([['Balance', pool.balance], ['Hash', pool.hash], ['Panic', pool.panic], ['Cookie', pool.sticky], ['Chosen', chosen]]),
    h('div.scroll', { tabindex: 0, role: 'region', 'aria-label': 'Backends' },
      h('table', null, h('thead', null, h('tr', null, ['Backend', 'State', 'Share', 'Why'].map((title) => h('th', { scope: 'col' }, title)))), h('tbody', null, sorted.map(row)))),
    pool.backends.length > sorted.length && h('p.muted', null, `and ${pool.backends.length - sorted.length} more`));
}
