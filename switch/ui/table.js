// A table of which only the rows in sight exist: a thousand backends are as quick as ten.

import { h, lazily, put } from './dom.js';

const ROW = 38;
const BEYOND = 8;

/**
 * `columns`: `{ title, cell(row), order?(row), wide?, number? }`. A cell is a text or an element; `order` makes
 * the column sortable; `wide` columns are left out on a narrow page.
 */
export function table(columns, { label, sorted = 0, down = false }) {
  let rows = [];
  let order = { column: sorted, down };
  const kind = (column) => [column.number && 'number', column.wide && 'wide'].filter(Boolean).join(' ') || null;
  const heads = columns.map((column, at) =>
    h('th', { scope: 'col', class: kind(column) },
      column.order ? h('button.plain', { type: 'button', onclick: () => sort(at) }, column.title) : column.title));
  const body = h('tbody');
  const whole = h('table', { 'aria-label': label }, h('thead', null, h('tr', null, heads)), body);
  const element = h('div.scroll', { tabindex: 0, role: 'region', 'aria-label': label }, whole);
  const before = h('tr.space', { 'aria-hidden': true }, h('td', { colspan: columns.length }));
  const after = before.cloneNode(true);
  let shown = new Map();

  function sort(column) {
    order = { column, down: order.column === column ? !order.down : !!columns[column].number };
    arrange();
  }

  function arrange() {
    const { column, down } = order;
    const by = columns[column].order;
    const value = (row) => by(row) ?? -Infinity;
    rows.sort((one, other) => {
      const [a, b] = [value(one), value(other)];
      const compared = typeof a === 'string' && typeof b === 'string' ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
      return down ? -compared : compared;
    });
    heads.forEach((head, at) => {
      if (!columns[at].order) return;
      if (at === column) head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
    });
    lay();
  }

  function lay() {
    const from = Math.max(0, Math.floor(element.scrollTop / ROW) - BEYOND);
    const to = Math.min(rows.length, Math.ceil((element.scrollTop + (element.clientHeight || 800)) / ROW) + BEYOND);
    const next = new Map();
    for (const row of rows.slice(from, to)) next.set(row, shown.get(row) ?? line(row));
    shown = next;
    before.firstChild.style.height = `${from * ROW}px`;
    after.firstChild.style.height = `${(rows.length - to) * ROW}px`;
    const wanted = [before, ...[...next.values()].map((one) => one.element), after];
    const same = wanted.length === body.children.length && wanted.every((one, at) => one === body.children[at]);
    // Whoever has the focus within a row keeps it.
    if (!same) body.replaceChildren(...wanted);
    rows.slice(from, to).forEach((row, at) => next.get(row).element.setAttribute('aria-rowindex', from + at + 2));
    whole.setAttribute('aria-rowcount', rows.length + 1);
    refresh();
  }

  function line(row) {
    const cells = columns.map((column) => h('td', { class: kind(column) }));
    return { element: h('tr', null, cells), cells };
  }

  function refresh() {
    for (const [row, { cells }] of shown) {
      columns.forEach((column, at) => {
        const value = column.cell(row, cells[at].firstChild);
        if (value instanceof Node) {
          if (cells[at].firstChild !== value) cells[at].replaceChildren(value);
        } else put(cells[at], String(value ?? '–'));
      });
    }
  }

  const rearrange = lazily(arrange, 30);
  element.addEventListener('scroll', lay, { passive: true });
  return {
    element,
    /** Shows these rows; a row is the same one as long as it is the same object. */
    show(all) {
      rows = [...all];
      arrange();
    },
    /** Values have changed. The order follows unless somebody is pointing at it. */
    refresh() {
      if (element.matches(':hover, :focus-within')) refresh();
      else rearrange();
    },
  };
}
