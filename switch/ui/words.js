// Numbers, times and states as people read them.

/** Of each state: a sign that is told apart without colour, a kind, and what it means. */
export const STATES = {
  up: { sign: '●', kind: 'ok', means: 'takes requests' },
  'slow-start': { sign: '◔', kind: 'ok', means: 'takes a part of its share, which grows' },
  starting: { sign: '○', kind: 'warn', means: 'has not been checked yet' },
  ejected: { sign: '▲', kind: 'bad', means: 'is out for what clients got from it' },
  down: { sign: '✕', kind: 'bad', means: 'fails its checks or refuses connections' },
  unresolved: { sign: '?', kind: 'bad', means: 'its name has no address' },
  draining: { sign: '▽', kind: 'off', means: 'takes no new requests, by order' },
  disabled: { sign: '■', kind: 'off', means: 'is closed, by order' },
};

export const stateOf = (word) => STATES[word] ?? { sign: '·', kind: 'off', means: '' };

/** Worst first. */
export const BY_TROUBLE = ['down', 'unresolved', 'ejected', 'starting', 'disabled', 'draining', 'slow-start', 'up'];

export function count(number) {
  if (number == null) return '–';
  if (number >= 1e6) return (number / 1e6).toPrecision(3) + 'M';
  if (number >= 1e4) return (number / 1e3).toPrecision(3) + 'k';
  return String(Math.round(number));
}

export function rate(number) {
  if (number == null) return '–';
  return number > 0 && number < 10 ? number.toFixed(1) : count(number);
}

/** Of seconds. The first bucket of the histograms ends at one millisecond. */
export function time(seconds) {
  if (seconds == null) return '–';
  if (seconds <= 0.001) return '≤ 1 ms';
  if (seconds < 0.01) return (seconds * 1e3).toFixed(1) + ' ms';
  if (seconds < 1) return Math.round(seconds * 1e3) + ' ms';
  return seconds.toFixed(1) + ' s';
}

/** `1m 5s`, `2h 3m`, `4d 5h`. */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${s % 60}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${Math.floor((s / 60) % 60)}m`;
  return `${Math.floor(s / 86400)}d ${Math.floor((s / 3600) % 24)}h`;
}

export const ago = (when) => span((Date.now() - Date.parse(when)) / 1e3) + ' ago';

/** The time of day here; with the date when it was another day. */
export function clock(when) {
  const at = new Date(when);
  const time = at.toLocaleTimeString(undefined, { hour12: false });
  return at.toDateString() === new Date().toDateString() ? time : `${at.toLocaleDateString()} ${time}`;
}

export const plural = (number, one, more = one + 's') => `${count(number)} ${number === 1 ? one : more}`;
