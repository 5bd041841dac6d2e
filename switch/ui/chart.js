// Time series of the last hour, drawn by uPlot.

import { json, to } from './api.js';
import { h } from './dom.js';
import { count, rate, stateOf, time } from './words.js';

const AGAIN = 10_000;

/** What is drawn: the columns, how they are written, and their colours. */
const KINDS = {
  rate: { title: 'Requests per second', lines: [['rate', 'requests', '--accent'], ['errors', 'errors', '--bad']], write: rate },
  p99: { title: '99th percentile', lines: [['p99', 'p99', '--accent']], write: time },
  inFlight: { title: 'Under way', lines: [['in_flight', 'under way', '--accent']], write: count },
  connections: { title: 'New connections per second', lines: [['rate', 'connections', '--accent']], write: rate },
  open: { title: 'Open connections', lines: [['in_flight', 'open', '--accent']], write: count },
  serving: { title: 'Backends that serve, %', lines: [['state', 'serving', '--ok']], write: count, range: [0, 100] },
};

/** Charts of these kinds about one subject, such as `{ pool: 'app' }`. `end` must be called. */
export function charts(subject, kinds, { states = false, height = 120 } = {}) {
  const drawn = kinds.map((kind) => new Chart(KINDS[kind], height));
  const band = states && h('div.band', { role: 'img' });
  const element = h('div', null, band, h('div.charts', null, drawn.map((chart) => chart.element)));
  const load = async () => {
    if (document.hidden) return;
    const data = await json(to('/history', subject)).catch(() => null);
    if (!data || ended) return;
    for (const chart of drawn) chart.show(data);
    if (band) showStates(band, data);
  };
  let ended = false;
  const timer = setInterval(load, AGAIN);
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const repaint = () => drawn.forEach((chart) => chart.repaint());
  dark.addEventListener('change', repaint);
  load();
  return {
    element,
    end() {
      ended = true;
      clearInterval(timer);
      dark.removeEventListener('change', repaint);
      drawn.forEach((chart) => chart.end());
    },
  };
}

class Chart {
  constructor(kind, height) {
    this.kind = kind;
    this.height = height;
    this.plot = h('div.plot', { role: 'img' });
    this.note = h('figcaption', null, kind.title);
    this.element = h('figure', null, this.note, this.plot);
    this.sizes = new ResizeObserver(() => this.drawing?.setSize(this.size()));
    this.sizes.observe(this.plot);
  }

  show(data) {
    this.data = data;
    const columns = [data.at, ...this.kind.lines.map(([column]) => data[column])];
    if (this.drawing) this.drawing.setData(columns);
    else this.paint(columns);
    this.describe(data);
  }

  /** In words, for those who do not see it. */
  describe(data) {
    const { title, lines, write } = this.kind;
    const words = lines.map(([column, name]) => {
      const known = data[column].filter((value) => value != null);
      return known.length ? `${name}: now ${write(known.at(-1))}, at most ${write(Math.max(...known))}` : `${name}: nothing yet`;
    });
    this.plot.setAttribute('aria-label', `${title}, last hour. ${words.join('; ')}`);
    this.note.replaceChildren(title, h('span.muted', null, words.join(' · ')));
  }

  paint(columns) {
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const { lines, write, range } = this.kind;
    const axis = { stroke: colour('--muted'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
    const hour = () => {
      const end = this.data.at.at(-1) ?? Math.floor(Date.now() / 1e3);
      return [end - this.data.step * (this.data.most - 1), end];
    };
    this.drawing = new uPlot({
      ...this.size(),
      legend: { show: false },
      padding: [8, 14, 0, 0],
      cursor: { y: false, points: { size: 6 } },
      scales: { x: { range: hour }, y: { range: range ?? ((_, __, top) => [0, top > 0 ? top * 1.1 : 1]) } },
      axes: [
        { ...axis, size: 24, space: 60, values: (_, marks) => marks.map((mark) => new Date(mark * 1e3).toTimeString().slice(0, 5)) },
        { ...axis, size: 58, space: 24, values: (_, marks) => marks.map((mark) => (mark === 0 ? '0' : write === count && mark % 1 ? '' : write(mark))) },
      ],
      series: [{}, ...lines.map(([, label, name]) => ({
        label, stroke: colour(name), width: 1.5, points: { show: columns[0].length < 30, size: 4 },
        // Told apart without colour.
        dash: name === '--bad' ? [4, 3] : undefined,
      }))],
    }, columns, this.plot);
  }

  repaint() {
    if (!this.drawing) return;
    this.drawing.destroy();
    this.drawing = null;
    this.show(this.data);
  }

  size() {
    return { width: Math.max(160, this.plot.clientWidth), height: this.height };
  }

  end() {
    this.sizes.disconnect();
    this.drawing?.destroy();
  }
}

/** The states of the hour as a band of pieces, each as long as it lasted. */
function showStates(band, data) {
  const before = data.most - data.at.length;
  const pieces = before > 0 ? [{ word: null, length: before, from: data.at[0] - before * data.step || 0 }] : [];
  for (const [at, place] of data.state.entries()) {
    const word = place == null ? null : data.states[place];
    const last = pieces.at(-1);
    if (last?.word === word) last.length += 1;
    else pieces.push({ word, length: 1, from: data.at[at] });
  }
  const told = pieces.filter((one) => one.word);
  const words = told.map((one) => `${one.word} from ${new Date(one.from * 1e3).toTimeString().slice(0, 5)}`);
  band.setAttribute('aria-label', `States of the last hour: ${words.join(', ') || 'nothing yet'}`);
  band.replaceChildren(...pieces.map(({ word, length, from }) => {
    const { sign, kind } = word ? stateOf(word) : { sign: '', kind: 'gap' };
    const piece = h(`span.${kind}`, { title: `${word ?? 'unknown'} from ${new Date(from * 1e3).toLocaleTimeString()}` }, sign, word && ' ' + word);
    piece.style.flexGrow = length;
    return piece;
  }));
}
