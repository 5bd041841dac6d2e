// The frame around the pages: which one is shown, and what is told on all of them.

import { h, put, say } from './dom.js';
import { model, run, watch } from './model.js';
import { map } from './pages/map.js';
import { listener, route } from './pages/line.js';
import { pool } from './pages/pool.js';
import { backend } from './pages/backend.js';
import { contact } from './pages/contact.js';
import { events } from './pages/events.js';
import { policy } from './pages/policy.js';
import { explain } from './pages/explain.js';
import { span } from './words.js';

/** Each takes what follows its name in the address, and gives `{ title, element, take?, end? }`. */
const PAGES = { '': map, listener, route, pool, backend, contact, events, policy, explain };

const main = document.getElementById('main');
let page = null;

function show() {
  const [name, ...parts] = location.hash.replace(/^#\/?/, '').split('/').map(decoded);
  page?.end?.();
  page = (PAGES[name] ?? missing)(...parts);
  const title = h(page.plain ? 'h1.unseen' : 'h1', { tabindex: -1 }, page.plain ? 'Map' : page.title);
  main.replaceChildren(title, page.element);
  document.title = page.title === 'Pointsman' ? 'Pointsman' : `${page.title} · Pointsman`;
  for (const link of document.querySelectorAll('nav a')) {
    const own = link.getAttribute('href') === '#/' + name || (link.getAttribute('href') === '#/' && ['listener', 'route', 'pool', 'backend'].includes(name));
    if (own) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

/** What somebody has typed need not be in percent-encoding. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function missing() {
  return { title: 'Nothing here', element: h('p', null, 'There is no such page. ', h('a', { href: '#/' }, 'To the map')) };
}

/** State changes are said to those who do not see them; many at once only as their number. */
function announce(events) {
  const loud = events.filter((one) => one.event !== 'overlay' && (one.level === 'warning' || one.event === 'backend-health'));
  if (loud.length) say(loud.length > 2 ? `${loud.length} events, the last one: ${loud.at(-1).text}` : loud.map((one) => one.text).join('. '));
}

const link = document.getElementById('link');
const footer = document.getElementById('footer');

function frame() {
  const live = model.link === 'live';
  const { tick, shape } = model;
  link.className = 'link ' + (!live ? 'bad' : tick.state === 'ready' ? 'ok' : 'warn');
  const stale = tick ? `; these figures are of ${new Date(tick.at).toLocaleTimeString()}` : '';
  put(link, live ? `● ${tick.state}` : `✕ ${model.link}${stale}`);
  if (shape && tick) put(footer, `pointsman ${shape.version} · process ${shape.pid}, up ${span(tick.uptime)} · policy ${shape.digest}`);
}

watch((what, detail) => {
  if (what === 'tick' || what === 'link') frame();
  if (what === 'events') announce(detail);
  // A page that was asked for before there was anything to show.
  if (what === 'shape' && page.again) show();
  else page?.take?.(what, detail);
});

addEventListener('hashchange', () => {
  show();
  scrollTo(0, 0);
  main.querySelector('h1')?.focus({ preventScroll: true });
});
show();
run();
