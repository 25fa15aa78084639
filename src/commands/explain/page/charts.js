'use strict';
/* What figures are made of. */

const SVG = document.getElementById('mark').namespaceURI;

function make(name, properties, ...children) {
  const node = document.createElement(name);
  return fill(node, properties, children);
}

function draw(name, properties, ...children) {
  return fill(document.createElementNS(SVG, name), properties, children);
}

function fill(node, properties, children) {
  for (const [key, value] of Object.entries(properties || {})) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/* A number in about six characters. */
function show(x) {
  if (x === null || x === undefined || !Number.isFinite(x)) return '−∞';
  const size = Math.abs(x);
  const text = size === 0 ? '0' : size < 1e-3 || size >= 1e5 ? x.toExponential(2) : size >= 100 ? x.toFixed(1) : size >= 10 ? x.toFixed(2) : x.toFixed(4);
  return text.replace('-', '−');
}

function percent(x) {
  const text = (100 * x).toFixed(x > 0 && x < 0.001 ? 3 : 1);
  return text.replace(/^-(?=0\.0*$)/, '').replace('-', '−') + ' %';
}

/* A token's text on one line: what takes no room is seen too. */
function visible(text) {
  return text.replace(/ /g, '·').replace(/\n/g, '⏎').replace(/\t/g, '⇥')
    .replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, (letter) => '\\u{' + letter.codePointAt(0).toString(16) + '}');
}

function token(text) { return plain(visible(text)); }

/* The same of a text that is visible already. */
function plain(text) { return make('bdi', { class: 'token' }, text); }

function table(heads, rows, caption) {
  const cell = (content, tag, number, scope) => make(tag, { class: number ? 'number' : content instanceof Wide ? 'wide' : null, scope }, content instanceof Wide ? content.content : content);
  const numbers = heads.map((head) => head.startsWith('#'));
  return make('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption },
    make('table', { class: 'plain' },
      make('caption', { class: 'unseen' }, caption),
      make('thead', {}, make('tr', {}, heads.map((head, at) => cell(head.replace('#', ''), 'th', numbers[at], 'col')))),
      make('tbody', {}, rows.map((row) => make('tr', {}, row.map((content, at) => cell(content, at ? 'td' : 'th', numbers[at], at ? null : 'row')))))));
}

class Wide { constructor(...content) { this.content = content; } }

/* Colours: from the paper to one strong colour, and from cold over the paper to warm. Redrawn when the theme changes. */
const RAMPS = {
  light: { low: [244, 246, 242], high: [16, 64, 120], cold: [43, 95, 158], warm: [184, 85, 16] },
  dark: { low: [28, 33, 31], high: [126, 190, 255], cold: [96, 158, 232], warm: [238, 142, 72] },
};

function isDark() { return document.documentElement.dataset.theme === 'dark'; }

function mix(from, to, share) { return from.map((x, at) => Math.round(x + (to[at] - x) * share)); }

function ramp() { return RAMPS[isDark() ? 'dark' : 'light']; }

function sequential(share) { return mix(ramp().low, ramp().high, Math.max(0, Math.min(1, share || 0))); }

function diverging(share) {
  const side = share < 0 ? ramp().cold : ramp().warm;
  return mix(ramp().low, side, Math.min(1, Math.abs(share || 0)));
}

function luminance(colour) {
  const [r, g, b] = colour.map((x) => { x /= 255; return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function paint(node, colour) {
  node.style.background = `rgb(${colour})`;
  node.style.color = luminance(colour) > 0.179 ? '#000000' : '#ffffff';
}

/* What is drawn with colours of its own, again when the theme changes. */
let repaints = [];
function painted(node, repaint) { repaints.push([node, repaint]); repaint(); }
function repaintAll() {
  repaints = repaints.filter(([node]) => node.isConnected);
  repaints.forEach(([, repaint]) => repaint());
}

/* A grid of cells that arrow keys walk through: one stop for the tabulator.
   cell(i, j) gives { text, share, diverges, label } or null; choose(i, j) is told of what has the focus or was clicked. */
function heat({ label, rows, columns, cell, choose, start, wide, corner }) {
  const nodes = [];
  let chosen = null;
  const body = rows.map((name, i) => make('tr', {},
    make('th', { scope: 'row', title: name }, name),
    columns.map((_, j) => {
      const content = cell(i, j);
      const node = make('td', { role: 'gridcell', class: content ? null : 'empty', tabindex: content ? -1 : null });
      if (content) { node.at = [i, j]; (nodes[i] = nodes[i] || [])[j] = node; }
      return node;
    })));
  const grid = make('table', { class: wide ? 'heat wide' : 'heat', role: 'grid', 'aria-label': label },
    make('thead', {}, make('tr', {}, make('td', { class: 'empty corner' }, corner || ''), columns.map((name) => make('th', { scope: 'col' }, make('span', {}, name))))),
    make('tbody', {}, body));
  const select = (node, quiet) => {
    if (chosen) { chosen.tabIndex = -1; chosen.removeAttribute('aria-selected'); }
    chosen = node;
    node.tabIndex = 0;
    node.setAttribute('aria-selected', 'true');
    if (choose) choose(...node.at, quiet);
  };
  const find = (event) => event.target.closest('td') && event.target.closest('td').at ? event.target.closest('td') : null;
  grid.addEventListener('click', (event) => { const node = find(event); if (node) { node.focus(); select(node); } });
  grid.addEventListener('focusin', (event) => { const node = find(event); if (node && node !== chosen) select(node); });
  grid.addEventListener('keydown', (event) => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (!chosen) return;
    let [i, j] = chosen.at;
    if (event.key === 'Home') j = 0;
    else if (event.key === 'End') j = columns.length - 1;
    else if (moves[event.key]) { i += moves[event.key][0]; j += moves[event.key][1]; }
    else return;
    event.preventDefault();
    while (nodes[i] && j > 0 && !nodes[i][j] && event.key === 'End') j -= 1;
    if (nodes[i] && nodes[i][j]) nodes[i][j].focus();
  });
  const refresh = () => {
    for (const line of nodes) for (const node of line || []) {
      if (!node) continue;
      const content = cell(...node.at);
      node.textContent = content.text || '';
      node.setAttribute('aria-label', content.text ? `${content.text}, ${content.label}` : content.label);
      paint(node, content.diverges ? diverging(content.share) : sequential(content.share));
    }
  };
  painted(grid, refresh);
  const box = make('div', { class: 'scroll' }, grid);
  box.refresh = () => { refresh(); if (chosen) select(chosen, true); };
  const first = start && nodes[start[0]] && nodes[start[0]][start[1]];
  const some = first || nodes.flat().find((node) => node);
  if (some) select(some, true);
  return box;
}

/* Names, bars and numbers. rows: [name, share of the width or [from, to], value, class, ghost share]. */
function bars(label, rows, middle) {
  const track = (share, kind, ghost) => {
    const [from, to] = Array.isArray(share) ? share : [0, share];
    const bar = (a, b, name) => make('i', { class: name, style: `left:${100 * Math.min(a, b)}%;width:${100 * Math.abs(b - a)}%` });
    return make('span', { class: middle ? 'track middle' : 'track', 'aria-hidden': 'true' }, ghost === undefined ? null : bar(0, ghost, 'ghost'), bar(from, to, kind || ''));
  };
  const box = make('div', { class: 'bars', role: 'group', 'aria-label': label });
  for (const [name, share, value, kind, ghost] of rows) box.append(make('span', {}, name), track(share, kind, ghost), make('span', { class: 'value' }, value));
  return box;
}

function choices(legend, options, selected, change) {
  const name = 'c' + Math.random().toString(36).slice(2);
  return make('fieldset', { class: 'choices' }, make('legend', {}, legend), options.map(([value, text]) =>
    make('label', {}, make('input', { type: 'radio', name, value, checked: value === selected, onchange: () => change(value) }), text)));
}

function slider(text, properties, format, change) {
  const output = make('output', {});
  const input = make('input', { type: 'range', ...properties, oninput: () => { output.textContent = format(input.valueAsNumber); input.setAttribute('aria-valuetext', output.textContent); change(input.valueAsNumber); } });
  output.textContent = format(input.valueAsNumber);
  input.setAttribute('aria-valuetext', output.textContent);
  return make('label', {}, text, output, input);
}

function legend(...entries) {
  return make('p', { class: 'legend' }, entries.map(([colour, text]) => make('span', {}, make('i', { style: `background:${colour}` }), text)));
}

/* A chart of width 720 with room for its axes. */
function chart(label, height, [x0, x1], [y0, y1], yTicks, xTicks, format) {
  const left = 56, right = 30, top = 10, bottom = 26, width = 720;
  const x = (value) => left + (value - x0) / (x1 - x0 || 1) * (width - left - right);
  const y = (value) => height - bottom - (value - y0) / (y1 - y0 || 1) * (height - top - bottom);
  const svg = draw('svg', { class: 'chart', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label });
  for (const tick of yTicks) svg.append(draw('line', { class: 'axis', x1: left, x2: width - right, y1: y(tick), y2: y(tick) }), draw('text', { x: left - 8, y: y(tick) + 4, 'text-anchor': 'end' }, format ? format(tick) : show(tick)));
  for (const [tick, text] of xTicks) svg.append(draw('text', { x: x(tick), y: height - 6, 'text-anchor': 'middle' }, text));
  const line = (points, kind) => svg.append(draw('path', { class: kind, d: points.map(([a, b], at) => (at ? 'L' : 'M') + x(a).toFixed(1) + ' ' + y(b).toFixed(1)).join('') }));
  return { svg, x, y, line };
}

function ticks(low, high, count) {
  const step = 10 ** Math.floor(Math.log10((high - low) / count));
  const nice = [1, 2, 5, 10].map((factor) => factor * step).find((size) => (high - low) / size <= count) || step * 10;
  const list = [];
  for (let tick = Math.ceil(low / nice) * nice; tick <= high + 1e-9; tick += nice) list.push(Number(tick.toFixed(10)));
  return list;
}

function bytes(text) { return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)); }
function floats(text) { return new Float32Array(bytes(text).buffer); }
