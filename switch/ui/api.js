// The admin interface: requests, the stream of frames, and the token.

import { h, say } from './dom.js';

// For this tab alone, and gone with it.
let token = sessionStorage.getItem('token');

/** Asks, and asks the person for the token where one is needed. Rejects when nobody answers. */
export async function ask(path, { method = 'GET', signal } = {}) {
  for (let tried = null; ; ) {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch(path, { method, headers, signal, cache: 'no-store', credentials: 'omit' });
    if (answer.status !== 401) return answer;
    if (tried === null && token) forget();
    const given = await askForToken(tried === null ? '' : 'That token is not the right one.');
    if (given == null) return answer;
    tried = token = given;
    sessionStorage.setItem('token', token);
  }
}

/** JSON; rejects with the answer's words when it is none. */
export async function json(path, options) {
  const answer = await ask(path, options);
  const text = await answer.text();
  if (!answer.ok) throw Object.assign(new Error(text.trim()), { status: answer.status, text });
  return JSON.parse(text);
}

/** `/path?name=value`; what is null is left out. */
export function to(path, pairs) {
  const given = Object.entries(pairs).filter(([, value]) => value != null && value !== '');
  // Not URLSearchParams: there a space becomes a plus sign.
  return path + (given.length ? '?' : '') + given.map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
}

/** Follows server-sent events. EventSource cannot show a token, so the stream is read here. */
export async function follow(path, tell, signal) {
  const answer = await ask(path, { signal });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ''; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split('\n\n');
    rest = events.pop();
    for (const event of events) {
      const lines = event.split('\n');
      const field = (name) => lines.find((line) => line.startsWith(name))?.slice(name.length);
      const data = field('data: ');
      if (data) tell(field('event: '), JSON.parse(data));
    }
  }
}

function forget() {
  token = null;
  sessionStorage.removeItem('token');
}

let asking = null;

/** Several who need it at once ask once. */
function askForToken(wrong) {
  asking ??= new Promise((resolve) => {
    const field = h('input', { type: 'password', id: 'token', autocomplete: 'current-password', required: true });
    const dialog = h('dialog', { 'aria-labelledby': 'token-title' },
      h('form', { method: 'dialog' },
        h('h2', { id: 'token-title' }, 'Admin token'),
        h('p', null, 'The switch asks for the token of its policy (admin.token). It is kept in this tab until it is closed.'),
        wrong && h('p.error', { role: 'alert' }, wrong),
        // For password managers, which look for a name beside it.
        h('input', { hidden: true, autocomplete: 'username', value: 'pointsman' }),
        h('label', { for: 'token' }, 'Token'), field,
        h('div.buttons', null,
          h('button', { type: 'button', onclick: () => dialog.close('') }, 'Cancel'),
          h('button.main', { value: 'given' }, 'Go on'))));
    dialog.addEventListener('close', () => {
      dialog.remove();
      asking = null;
      resolve(dialog.returnValue === 'given' && field.value ? field.value.trim() : null);
    });
    document.body.append(dialog);
    dialog.showModal();
    if (wrong) say(wrong);
  });
  return asking;
}
