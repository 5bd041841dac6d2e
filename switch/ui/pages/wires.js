// The lines between the cards of the map.

import { model } from '../model.js';

const SVG = 'http://www.w3.org/2000/svg';
/** More lines than these are a carpet. */
const MOST = 300;

/** Draws them behind the cards of `map`, for as long as `end` is not called. */
export function wires(map, shown) {
  const picture = document.createElementNS(SVG, 'svg');
  picture.setAttribute('aria-hidden', 'true');
  map.prepend(picture);
  const card = (key) => map.querySelector(`[data-key="${CSS.escape(key)}"]`);
  const lines = [];
  for (const [from, to, load] of pairs(shown)) {
    const ends = [card(from), card(to)];
    if (!ends[0] || !ends[1] || lines.length >= MOST) continue;
    const path = document.createElementNS(SVG, 'path');
    picture.append(path);
    lines.push({ path, ends, load });
  }

  function lay() {
    const own = map.getBoundingClientRect();
    for (const { path, ends } of lines) {
      const [from, to] = ends.map((one) => one.getBoundingClientRect());
      const [x1, y1] = [from.right - own.left, from.top - own.top + Math.min(24, from.height / 2)];
      const [x2, y2] = [to.left - own.left, to.top - own.top + Math.min(24, to.height / 2)];
      const bend = Math.max(12, (x2 - x1) / 2);
      // On a narrow page the columns stand below each other, and lines say nothing.
      path.setAttribute('d', x2 > x1 ? `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` : '');
    }
  }

  function update() {
    // A card grows when there is more to tell.
    lay();
    for (const { path, load } of lines) {
      const [requests, errors] = load();
      path.style.strokeWidth = 1 + Math.min(5, Math.log10(1 + requests));
      path.setAttribute('class', errors > 0 ? 'bad' : requests > 0 ? 'busy' : '');
    }
  }

  const light = (event) => {
    const at = event.target.closest?.('[data-key]');
    for (const { path, ends } of lines) path.classList.toggle('lit', !!at && ends.includes(at));
  };
  const sizes = new ResizeObserver(lay);
  sizes.observe(map);
  for (const kind of ['mouseover', 'focusin']) map.addEventListener(kind, light);
  return {
    update,
    end() {
      sizes.disconnect();
      for (const kind of ['mouseover', 'focusin']) map.removeEventListener(kind, light);
    },
  };
}

/** From what to what, and the figures that the line shows. */
function pairs({ listeners, routes, pools, targets }) {
  const found = [];
  const { shape, tick } = model;
  const http = listeners.filter((one) => !one.pool && !one.redirect);
  const figures = (kind, at) => () => model.tick[kind][at] ?? [0, 0];
  for (const listener of listeners) {
    if (listener.pool) found.push(['listener:' + listener.name, 'pool:' + listener.pool, figures('listeners', shape.listeners.indexOf(listener))]);
  }
  for (const route of routes) {
    const load = figures('routes', shape.routes.indexOf(route));
    const holds = route.listeners.length ? route.listeners : http.map((one) => one.name);
    for (const name of holds) found.push(['listener:' + name, 'route:' + route.name, load]);
    for (const pool of targets(route)) found.push(['route:' + route.name, 'pool:' + pool, load]);
  }
  for (const pool of pools) found.push(['pool:' + pool.name, 'signs:' + pool.name, figures('pools', shape.pools.indexOf(pool))]);
  for (const one of model.backends.length < MOST ? model.backends : []) {
    found.push(['pool:' + one.pool, `backend:${one.pool}/${one.name}`, () => [one.rate ?? 0, one.errors ?? 0]]);
  }
  return tick ? found : [];
}
