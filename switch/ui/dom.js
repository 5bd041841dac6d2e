// Elements. Data becomes text and attributes, never markup.

/** An element: `h('a.name', { href }, 'text', other)`. Attributes that are null or false are left out. */
export function h(what, attributes, ...children) {
  const [tag, ...classes] = what.split('.');
  const element = document.createElement(tag || 'div');
  if (classes.length) element.className = classes.join(' ');
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value == null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name in PROPERTIES) element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

const PROPERTIES = { value: 1, checked: 1, disabled: 1, hidden: 1 };

/** Sets a text only where it is another one: what has not changed is not laid out again. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A list of terms and what they stand for; those without a value are left out. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value != null && value !== '');
  return h('dl.facts', null, known.map(([term, value]) => h('div', null, h('dt', null, term), h('dd', null, value))));
}

/** A section with its heading. */
export function section(title, ...children) {
  const id = 'h' + ++count;
  return h('section', { 'aria-labelledby': id }, h('h2', { id }, title), ...children);
}

let count = 0;

/** Tells those who do not see the page. */
export function say(text) {
  document.getElementById('said').textContent = text;
}

/** Calls back when nothing more has come for a moment. */
export function lazily(call, wait = 120) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), wait);
  };
}
