/* The page itself: one function for each panel. */

const data = JSON.parse(document.getElementById('data').textContent);
const T = data.ids.length;
const names = data.texts.map((text, at) => at + ' ' + visible(text));
const short = data.texts.map((text) => visible(text));
const figure = (id) => document.querySelector('#' + id + ' .figure');
const note = (...content) => make('p', { class: 'note' }, content);
const command = (options) => make('code', {}, 'kiln explain … ' + options);
const selected = { layer: data.at.layer, head: data.at.head };

/* Tokens */
function tokens(panel, box) {
  const detail = make('div', { class: 'detail', 'aria-live': 'polite' });
  const buttons = panel.tokens.map((row) => make('button', { type: 'button', 'aria-pressed': 'false', onclick: () => choose(row) }, make('bdi', {}, visible(row.text)), make('small', {}, String(row.id))));
  const choose = (row) => {
    buttons.forEach((button, at) => button.setAttribute('aria-pressed', String(at === row.position)));
    const numbers = row.sum.map((_, at) => '#' + at);
    const rows = row.position_embedding
      ? [['wte[' + row.id + ']', ...row.token_embedding.map(show)], ['+ wpe[' + row.position + ']', ...row.position_embedding.map(show)], ['= x', ...row.sum.map(show)]]
      : [['x', ...row.sum.map(show)]];
    detail.replaceChildren(
      make('h3', {}, 'Position ' + row.position + ': ', token(row.text), ', id ' + row.id),
      table(['feature', ...numbers], rows, 'The first features of the vectors'),
      note(`The first of ${panel.d_model} features; the length of x is ${show(row.norm)}.` + (panel.learned_positions ? '' : ' This model has no table of positions: queries and keys are turned by their place instead.')),
      make('h3', {}, 'Tokens with similar vectors'),
      bars('Nearest tokens', row.neighbours.map((near) => [token(near.text), Math.max(0, near.cosine), show(near.cosine)])),
      note('Cosine ' + panel.cosine + ': all rows share a large part that says nothing of a token.'));
  };
  box.append(make('div', { class: 'chips', role: 'group', 'aria-label': 'Tokens of the text' }, buttons), detail);
  choose(panel.tokens[data.at.position]);
}

/* Shapes */
function shapes(panel, box) {
  box.append(table(['step', 'shape', 'dimensions', '#numbers', 'place'], panel.rows.map((row) => [
    row.step, make('code', {}, '[' + row.shape.join(', ') + ']'), row.dimensions, row.numbers.toLocaleString('en'), make('span', { class: 'place' }, row.site || ''),
  ]), 'Shapes at every step'));
}

/* Norm */
function norm(panel, box) {
  const centred = panel.kind === 'LayerNorm';
  document.getElementById('norm-formula').textContent = centred ? 'y = (x − μ) ÷ √(σ² + ε) · γ + β' : 'y = x ÷ √(mean(x²) + ε) · γ';
  const row = panel.positions[panel.position];
  const strip = (title, values, mark) => {
    const most = Math.max(...values.map(Math.abs), 1e-9);
    const { svg, x, y, line } = chart(`${title}: ${values.length} features`, 110, [0, values.length], [-most, most], [-most, 0, most], [[0, '0'], [values.length - 1, String(values.length - 1)]]);
    values.forEach((value, at) => svg.append(draw('line', { x1: x(at + 0.5), x2: x(at + 0.5), y1: y(0), y2: y(value), stroke: 'var(--accent)', 'stroke-width': Math.max(0.5, 640 / values.length - 0.5) })));
    if (mark !== undefined) line([[0, mark], [values.length, mark]], 'other');
    return [make('h3', {}, title), svg];
  };
  box.append(
    make('p', {}, `${panel.kind} `, make('code', {}, panel.site), ` at position ${panel.position}, `, token(data.texts[panel.position]), '. ',
      centred ? `μ = ${show(row.mean)}, σ² = ${show(row.variance)}` : `mean(x²) = ${show(row.variance)}`, `, ε = ${panel.epsilon}: it divides by ${show(row.divisor)}.`),
    make('div', { class: 'detail' }, strip('before: x', panel.before, centred ? row.mean : undefined), strip(centred ? 'divided: (x − μ) ÷ √(σ² + ε)' : 'divided: x ÷ √(mean(x²) + ε)', panel.normalized), strip('after: y', panel.after)),
    legend(...(centred ? [['var(--warm)', 'the mean μ']] : [])),
    table(['feature', ...Array.from({ length: 8 }, (_, at) => '#' + at)], [['x', panel.before], ['divided', panel.normalized], ['γ', panel.weight], ...(panel.bias ? [['β', panel.bias]] : []), ['y', panel.after]]
      .map(([name, values]) => [name, ...values.slice(0, 8).map(show)]), 'The first features'),
    table(['position', '#μ', centred ? '#σ²' : '#mean(x²)', '#divisor', '#mean after', '#variance after'], panel.positions.map((at, position) => [
      plain(names[position]), show(at.mean), show(at.variance), show(at.divisor), at.normalized_mean.toFixed(4).replace('-0.0000', '0.0000').replace('-', '−'), at.normalized_variance.toFixed(4),
    ]), 'Each position before and after'),
    note('Another block: ', command('--layer L'), ', another position: ', command('--pos P')));
}

/* One head */
const vectors = {};
for (const of of (data.head && data.head.vectors) || []) vectors[of.layer + '.' + of.head] = of;

function headOf(layer, head) {
  const of = vectors[layer + '.' + head];
  if (!of) return null;
  if (!of.q) {
    of.q = floats(of.query); of.k = floats(of.key); of.v = floats(of.value);
    const d = data.head.head_dim;
    of.scores = []; of.pattern = [];
    for (let i = 0; i < T; i += 1) {
      const row = [];
      for (let j = 0; j < T; j += 1) { let sum = 0; for (let f = 0; f < d; f += 1) sum += of.q[i * d + f] * of.k[j * d + f]; row.push(sum); }
      of.scores.push(row);
      const most = Math.max(...row.slice(0, i + 1)) * of.scale;
      const powers = row.slice(0, i + 1).map((score) => Math.exp(score * of.scale - most));
      const total = powers.reduce((a, b) => a + b, 0);
      of.pattern.push(powers.map((power) => power / total));
    }
  }
  return of;
}

let headFigure = null;
function head(panel, box) {
  const place = make('div', { class: 'stack' });
  const stages = [['scores', '1  Q Kᵀ'], ['scaled', '2  ÷ √head_dim'], ['masked', '3  mask'], ['pattern', '4  softmax']];
  let stage = 'pattern', where = null;
  const render = () => {
    const of = headOf(selected.layer, selected.head);
    const summary = data.heads && data.heads.heads.find((one) => one.layer === selected.layer && one.head === selected.head);
    const kinds = summary ? ` Entropy ${show(summary.entropy)}, weight on the token before ${percent(summary.previous)}.` : '';
    const title = make('p', {}, make('strong', {}, `Block ${selected.layer}, head ${selected.head}.`), of && of.kv_head !== of.head ? ` It reads keys and values of head ${of.kv_head}, which neighbours share.` : '', panel.rotary ? ' Queries and keys are turned by their positions.' : '', kinds);
    if (!of) {
      place.replaceChildren(title, note('The page had no room for the vectors of this head. ', command(`--layer ${selected.layer} --head ${selected.head}`), ' shows them.'));
      return;
    }
    const detail = make('div', { class: 'detail', 'aria-live': 'polite' });
    let reach = 1e-9;
    for (let i = 0; i < T; i += 1) for (let j = 0; j < T; j += 1) reach = Math.max(reach, Math.abs(of.scores[i][j]));
    const cell = (i, j) => {
      const later = j > i, about = `${short[i]} looks at ${short[j]}: `;
      if (stage === 'pattern') return later ? null : { text: Math.round(100 * of.pattern[i][j]) || '', share: of.pattern[i][j], label: about + percent(of.pattern[i][j]) };
      if (stage === 'masked' && later) return { text: '−∞', share: 0, label: about + 'masked' };
      const value = of.scores[i][j] * (stage === 'scores' ? 1 : of.scale);
      return { text: T > 40 ? '' : Math.abs(value) >= 100 ? String(Math.round(value)) : value.toFixed(1).replace('-', '−'), share: of.scores[i][j] / reach, diverges: true, label: about + show(value) };
    };
    const choose = (i, j) => { where = [i, j]; detail.replaceChildren(...sums(of, i, j)); };
    const grid = heat({ label: `Block ${selected.layer}, head ${selected.head}: rows look at columns`, rows: names, columns: short, cell, choose, start: where || [data.at.position, of.pattern[data.at.position].indexOf(Math.max(...of.pattern[data.at.position]))], corner: 'query ↓ key →' });
    place.replaceChildren(title, choices('Step', stages, stage, (value) => { stage = value; render(); }), grid,
      stage === 'pattern' ? legend(['var(--heat)', 'weights, in percent: each row adds up to 100']) : legend(['var(--warm)', 'query and key agree'], ['var(--cold)', 'they point apart']), detail,
      note('Arrow keys walk through the cells.'));
  };
  headFigure = render;
  box.append(place);
  render();
}

function sums(of, i, j) {
  const d = data.head.head_dim, factors = [];
  for (let f = 0; f < d; f += 1) factors.push([of.q[i * d + f], of.k[j * d + f]]);
  const products = factors.map(([q, k]) => q * k), most = Math.max(...products.map(Math.abs), 1e-9);
  const later = j > i, row = of.scores[i].slice(0, i + 1), top = Math.max(...row) * of.scale;
  const total = row.reduce((sum, score) => sum + Math.exp(score * of.scale - top), 0);
  const context = Array.from({ length: Math.min(d, 6) }, (_, f) => of.pattern[i].reduce((sum, a, at) => sum + a * of.v[at * d + f], 0));
  const value = Array.from({ length: Math.min(d, 6) }, (_, f) => of.v[j * d + f]);
  const dots = d > 6 ? ' …' : '';
  const { svg, x, y } = chart(`The ${d} products, which add up to ${show(of.scores[i][j])}`, 120, [0, d], [-most, most], [-most, 0, most], [[0.5, 'feature 0'], [d - 0.5, String(d - 1)]]);
  products.forEach((product, f) => svg.append(draw('rect', { x: x(f + 0.1), width: x(0.8) - x(0), y: Math.min(y(0), y(product)), height: Math.abs(y(product) - y(0)), fill: product < 0 ? 'var(--cold)' : 'var(--warm)' }, draw('title', {}, `feature ${f}: ${show(factors[f][0])} · ${show(factors[f][1])} = ${show(product)}`))));
  return [
    make('h3', {}, plain(names[i]), ' looks at ', plain(names[j])),
    svg,
    make('dl', { class: 'steps' },
      make('dt', {}, 'q · k'), make('dd', {}, `Σ of ${d} products = ${show(of.scores[i][j])}`),
      make('dt', {}, '÷ √head_dim'), make('dd', {}, `${show(of.scores[i][j])} · ${show(of.scale)} = ${show(of.scores[i][j] * of.scale)}`),
      make('dt', {}, 'mask'), make('dd', {}, later ? `position ${j} comes after position ${i}: −∞` : 'it may be seen'),
      make('dt', {}, 'softmax'), make('dd', {}, later ? '0' : `e^(${show(row[j] * of.scale)} − ${show(top)}) ÷ ${show(total)} = ${show(of.pattern[i][j])}`),
      make('dt', {}, 'times value'), make('dd', {}, later ? 'nothing' : `${show(of.pattern[i][j])} · [${value.map(show).join(', ')}${dots}]`),
      make('dt', {}, 'context of ' + short[i]), make('dd', {}, `[${context.map(show).join(', ')}${dots}]`)),
    make('details', {}, make('summary', {}, `All ${d} products`), make('div', { class: 'products', tabindex: 0, role: 'region', 'aria-label': 'All products' }, factors.map(([q, k], f) => make('span', { class: products[f] < 0 ? 'down' : 'up' }, `${show(q)} · ${show(k)} = ${show(products[f])}`)))),
  ];
}

/* All heads */
function heads(panel, box) {
  const figures = panel.meaning.map(([name]) => name).filter((name) => panel.heads.some((one) => one[name] !== null));
  let by = figures.includes('induction') ? 'induction' : 'previous';
  const width = Math.max(...panel.heads.map((one) => one.head)) + 1;
  const said = note();
  const buttons = panel.heads.map((one) => {
    const canvas = make('canvas', { 'aria-hidden': 'true' }), value = make('span', {}), name = `${one.layer}.${one.head} `;
    const weights = bytes(one.pattern), size = Math.ceil(T / panel.pool);
    canvas.width = size; canvas.height = size;
    painted(canvas, () => {
      const context = canvas.getContext('2d'), image = context.createImageData(size, size);
      for (let i = 0, at = 0; i < size; i += 1) for (let j = 0; j < size; j += 1) {
        const colour = sequential(j <= i ? weights[at++] / 255 : 0);
        image.data.set([...colour, 255], 4 * (i * size + j));
      }
      context.putImageData(image, 0, 0);
    });
    const button = make('button', { type: 'button', onclick: () => { Object.assign(selected, { layer: one.layer, head: one.head }); mark(); if (headFigure) headFigure(); } }, canvas, name, value);
    button.update = () => {
      const percentage = one[by] === null ? '–' : Math.round(100 * one[by]) + ' %';
      value.replaceChildren(one[by] >= 0.3 ? make('b', {}, percentage) : percentage);
      button.setAttribute('aria-label', `${name}${percentage}, block ${one.layer}, head ${one.head}: ` + figures.map((name) => `${name} ${Math.round(100 * one[name])} percent`).join(', '));
      button.setAttribute('aria-pressed', String(one.layer === selected.layer && one.head === selected.head));
    };
    return button;
  });
  const mark = () => {
    buttons.forEach((button) => button.update());
    const best = panel.heads.filter((one) => one[by] !== null).sort((a, b) => b[by] - a[by]).slice(0, 5);
    said.replaceChildren(make('strong', {}, by), ': ' + panel.meaning.find(([name]) => name === by)[1] + '. Highest: ' + best.map((one) => `${one.layer}.${one.head} ${percent(one[by])}`).join(', ') + `. Chosen: block ${selected.layer}, head ${selected.head}, `, make('a', { href: '#head' }, 'shown above'), '.');
  };
  box.append(choices('Score', figures.map((name) => [name, name]), by, (value) => { by = value; mark(); }), said,
    make('div', { class: 'heads', role: 'group', 'aria-label': 'Heads, a block in each row', style: `grid-template-columns: repeat(${width}, minmax(3.25rem, 7rem))` }, buttons),
    note('Each picture is the pattern of one head: rows look at columns. Block and head stand below it, then the score.' + (panel.pool > 1 ? ` Each dot stands for ${panel.pool} by ${panel.pool} weights, the largest of them.` : '')));
  mark();
}

/* Dropout */
function dropout(panel, box) {
  const of = headOf(panel.layer, panel.head);
  if (!of) { box.append(note('No weights to drop.')); return; }
  const first = { p: panel.probability, keep: (i, j) => panel.keep[i * T + j] === '1' };
  let { p, keep } = first, seed = panel.seed, where = [T - 1, 0];
  const said = make('p', { 'aria-live': 'polite' });
  const after = (i, j) => keep(i, j) ? of.pattern[i][j] / (1 - p) : 0;
  const tell = () => {
    const [i, j] = where;
    const row = Array.from({ length: i + 1 }, (_, at) => after(i, at)).reduce((a, b) => a + b, 0);
    said.textContent = `1 ÷ (1 − ${p.toFixed(2)}) = ${(1 / (1 - p)).toFixed(4)}. ${visible(data.texts[i])} → ${visible(data.texts[j])}: ${show(of.pattern[i][j])} ${keep(i, j) ? `· ${(1 / (1 - p)).toFixed(4)} = ${show(after(i, j))}` : 'is dropped'}. Its row now adds up to ${show(row)} instead of 1.`;
  };
  const grid = heat({
    label: 'Weights after dropout', rows: names, columns: short, corner: 'query ↓ key →',
    cell: (i, j) => j > i ? null : keep(i, j) ? { text: Math.round(100 * after(i, j)) || '', share: after(i, j), label: `${show(of.pattern[i][j])} becomes ${show(after(i, j))}` } : { text: '×', share: 0, label: `${show(of.pattern[i][j])} is dropped` },
    choose: (i, j) => { where = [i, j]; tell(); }, start: [T - 1, 0],
  });
  const drawn = () => {
    const random = generator(seed), mask = Array.from({ length: T * T }, () => random() >= p);
    keep = (i, j) => mask[i * T + j];
    grid.refresh(); tell();
  };
  box.append(make('div', { class: 'sliders one' }, slider('Probability p', { min: 0, max: 0.9, step: 0.05, value: p }, (x) => x.toFixed(2), (x) => { p = x; drawn(); })),
    make('button', { type: 'button', class: 'quiet', onclick: () => { seed += 1; drawn(); } }, 'Draw another mask'), said, grid,
    note(panel.configured > 0 ? `This model was configured with p = ${panel.configured}.` : 'This model trains without dropout; 0.1 is what GPT-2 has.', ` Weights of block ${panel.layer}, head ${panel.head}, in percent; × is dropped.`));
  tell();
}

function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6D2B79F5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/* The feed-forward network */
function mlp(panel, box) {
  document.getElementById('mlp-formula').textContent = panel.gated ? 'y = (activation(x W_gate) · (x W_in)) W_out' : 'y = activation(x W_in + b_in) W_out + b_out';
  const xs = panel.curve.map(([x]) => x), ys = panel.curve.map(([, y]) => y);
  const [x0, x1] = [xs[0], xs[xs.length - 1]], [y0, y1] = [Math.min(...ys, -0.5), Math.max(...ys, 1)];
  const { svg, x, y, line } = chart(`The activation ${panel.activation}, and where this text lies on it`, 260, [x0, x1], [y0, y1], ticks(y0, y1, 5), ticks(x0, x1, 8).map((tick) => [tick, String(tick)]), (tick) => String(tick).replace('-', '−'));
  const most = Math.max(...panel.histogram, 1), bar = (x1 - x0) / panel.histogram.length;
  panel.histogram.forEach((count, at) => { const height = 200 * Math.sqrt(count / most); svg.append(draw('rect', { class: 'bar', x: x(x0 + at * bar), width: x(bar) - x(0) - 1, y: 234 - height, height }, draw('title', {}, `${show(x0 + at * bar)} to ${show(x0 + (at + 1) * bar)}: ${count}`))); });
  line(panel.curve, 'curve');
  const at = (pre) => { const place = (pre - x0) / (x1 - x0) * (xs.length - 1), low = Math.min(xs.length - 2, Math.floor(place)); return ys[low] + (ys[low + 1] - ys[low]) * (place - low); };
  panel.neurons.forEach((neuron) => svg.append(draw('circle', { class: 'dot', cx: x(neuron.pre), cy: y(at(neuron.pre)), r: 5 }, draw('title', {}, `neuron ${neuron.index}`))));
  const list = (tokens) => new Wide(tokens.slice(0, 3).map((one) => [make('span', { class: 'pair' }, token(one.text), ' ' + one.value.toFixed(2).replace('-', '−')), ' ']));
  const strip = (neuron) => {
    const most = Math.max(...neuron.activations.map(Math.abs), 1e-9);
    const cells = neuron.activations.map((value, position) => { const cell = make('i', { title: `${names[position]}: ${show(value)}` }); painted(cell, () => { cell.style.background = `rgb(${diverging(value / most)})`; }); return cell; });
    return make('span', { class: 'strip', role: 'img', 'aria-label': 'activation at each token' }, cells);
  };
  box.append(make('p', {}, `Block ${panel.layer}, ${panel.d_ff} neurons, of which ${percent(panel.positive)} are larger than 0 on this text.`), svg,
    legend(['var(--accent)', String(panel.activation)], ['var(--edge)', 'pre-activations of this text (root of the count)'], ['var(--warm)', 'the neurons below']),
    make('p', {}, 'The neurons that write most at position ' + panel.position + ', ', token(data.texts[panel.position]), ':'),
    table(['neuron', '#before', '#after', '#writes', 'at each token', 'raises', 'lowers'], panel.neurons.map((neuron) => [String(neuron.index), show(neuron.pre), show(neuron.post), show(neuron.writes), strip(neuron), list(neuron.raises), list(neuron.lowers)]), 'Top neurons'),
    note(panel.meaning + '.'));
}

/* The residual stream */
function residual(panel, box) {
  const said = make('p', { class: 'note', 'aria-live': 'polite' });
  const longest = Math.max(panel.embedding, ...panel.layers.map((row) => Math.max(row.after, row.attention, row.mlp)));
  const lines = [['embedding', panel.embedding / longest, show(panel.embedding)]];
  for (const row of panel.layers) lines.push([`block ${row.layer}`, row.after / longest, show(row.after)], ['+ attention', row.attention / longest, show(row.attention), 'down'], ['+ mlp', row.mlp / longest, show(row.mlp), 'up']);
  const share = (value) => 0.5 + value / 2 / most;
  const most = Math.max(0.01, Math.abs(panel.embedding_share), ...panel.layers.flatMap((row) => [Math.abs(row.attention_share), Math.abs(row.mlp_share)]));
  const shares = [['embedding', [0.5, share(panel.embedding_share)], percent(panel.embedding_share)]];
  for (const row of panel.layers) shares.push([`attention ${row.layer}`, [0.5, share(row.attention_share)], percent(row.attention_share), 'down'], [`mlp ${row.layer}`, [0.5, share(row.mlp_share)], percent(row.mlp_share), 'up']);
  const top = Math.max(...panel.norms.flat());
  box.append(make('h3', {}, 'Length of the stream, and of what each layer adds'), bars('Lengths', lines),
    legend(['var(--accent)', 'the stream after the block'], ['var(--cold)', 'attention'], ['var(--warm)', 'feed-forward network']),
    make('h3', {}, 'Share of each layer in the last vector'), bars('Shares', shares, true), note(panel.meaning + '. Below 0: it takes away.' + (panel.first_position ? ' Means over all positions but the first.' : '')),
    make('h3', {}, 'Length at each position'),
    heat({ label: 'Length of the stream at each depth and position', rows: ['embedding', ...panel.layers.map((row) => 'block ' + row.layer)], columns: short, cell: (i, j) => ({ text: '', share: Math.log1p(panel.norms[i][j]) / Math.log1p(top), label: `${short[j]}: ${show(panel.norms[i][j])}` }), choose: (i, j) => { said.textContent = `${i ? 'After block ' + (i - 1) : 'Embedding'}, position ${names[j]}: ‖x‖ = ${show(panel.norms[i][j])}`; }, corner: 'depth ↓' }), said);
}
/* Gradients */
function gradients(panel, box) {
  if (!panel) { box.append(note('A text of one token predicts nothing, so there is no loss.')); return; }
  const log = (value) => Math.log10(Math.max(value, 1e-30));
  const all = panel.layers.flatMap((row) => [log(row.with_shortcuts), log(row.without_shortcuts)]);
  const [low, high] = [Math.floor(Math.min(...all)), Math.ceil(Math.max(...all))];
  const n = panel.layers.length, step = Math.ceil((high - low) / 8) || 1;
  const lines = []; for (let tick = low; tick <= high; tick += step) lines.push(tick);
  const { svg, x, y, line } = chart('Mean gradient of each block, on a logarithmic axis', 240, [0, Math.max(1, n - 1)], [low, high], lines, panel.layers.filter((_, at) => at % Math.ceil(n / 12) === 0).map((row) => [row.layer, 'block ' + row.layer]), (tick) => '1e' + String(tick).replace('-', '−'));
  line(panel.layers.map((row) => [row.layer, log(row.with_shortcuts)]), 'curve');
  line(panel.layers.map((row) => [row.layer, log(row.without_shortcuts)]), 'other');
  panel.layers.forEach((row) => { svg.append(draw('circle', { class: 'dot same', cx: x(row.layer), cy: y(log(row.with_shortcuts)), r: 4 }), draw('circle', { class: 'dot', cx: x(row.layer), cy: y(log(row.without_shortcuts)), r: 4 })); });
  box.append(make('p', {}, `The loss of this text is ${show(panel.loss)} nats a token; without shortcuts it would be ${show(panel.loss_without)}. In the first block, gradients are ${show(panel.first_ratio)} times as large with shortcuts.`), svg,
    legend(['var(--accent)', 'as the model is'], ['var(--warm)', 'without shortcuts']),
    table(['block', '#with shortcuts', '#without', '#ratio', '#qkv', '#attention out', '#mlp in', '#mlp out'], panel.layers.map((row) => [String(row.layer), ...[row.with_shortcuts, row.without_shortcuts].map((v) => v.toExponential(3)), show(row.with_shortcuts / row.without_shortcuts), ...[row.qkv, row.attention_out, row.mlp_in, row.mlp_out].map((v) => v.toExponential(2))]), 'Gradients of each block'));
}

/* The logit lens */
function lens(panel, box) {
  const detail = make('div', { class: 'detail', 'aria-live': 'polite' });
  const depth = (site) => { const found = site.match(/^blocks\.(\d+)\.hook_resid_post$/); return found ? 'after block ' + found[1] : 'embedding'; };
  const text = (id) => panel.texts[id];
  const choose = (i, j) => {
    const row = panel.rows[i];
    detail.replaceChildren(make('h3', {}, depth(row.site) + ', position ', plain(names[j])),
      bars('Most probable next tokens', row.top[j].map(([id, p]) => [token(text(id)), p, percent(p)])),
      note(`Entropy ${show(row.entropy[j])} nats.` + (j < T - 1 ? ` The token that does come next, ${visible(data.texts[j + 1])}, has ${percent(row.next_probability[j])} and is number ${row.next_rank[j] + 1}.` : '')));
  };
  box.append(heat({ label: 'Most probable next token at each depth and position', wide: true, rows: panel.rows.map((row) => depth(row.site)), columns: names, corner: 'depth ↓', choose, start: [panel.rows.length - 1, data.at.position],
    cell: (i, j) => { const [id, p] = panel.rows[i].top[j][0]; return { text: visible(text(id)), share: p, label: `${visible(text(id))} ${percent(p)}` }; } }),
    legend(['var(--heat)', 'the surer, the stronger']), detail);
}

/* Sampling */
function sampling(panel, box) {
  let temperature = 1, k = 0, p = 1;
  const place = make('div', {}), said = make('p', { class: 'note', 'aria-live': 'polite' });
  const [low, width, counts] = panel.rest, N = panel.logits.length;
  const compute = (T, k, p) => {
    const top = panel.logits[0].value, power = (z) => Math.exp((z - top) / T);
    const kept = panel.logits.map((one) => power(one.value));
    const others = k ? 0 : counts.reduce((sum, count, at) => sum + count * power(low + (at + 0.5) * width), 0);
    let list = k ? kept.map((weight, at) => at < k ? weight : 0) : kept.slice();
    let total = list.reduce((a, b) => a + b, 0) + others, cut = N, reached = 0;
    if (p < 1) {
      for (cut = 0; cut < N && reached < p * total; cut += 1) reached += list[cut];
      if (reached >= p * total) { list = list.map((weight, at) => at < cut ? weight : 0); total = list.reduce((a, b) => a + b, 0); }
    }
    return list.map((weight) => weight / total);
  };
  const plain = compute(1, 0, 1);
  let now = plain;
  const render = () => {
    now = compute(temperature, k, p);
    const most = Math.max(now[0], plain[0]);
    place.replaceChildren(bars('Next tokens', panel.logits.slice(0, 15).map((one, at) => [token(one.text), now[at] / most, `${one.value.toFixed(2).replace('-', '−')}  ${(now[at] ? percent(now[at]) : '—').padStart(8)}`, '', plain[at] / most])));
    const left = now.filter((share) => share > 0).length;
    said.textContent = k || now[N - 1] === 0 ? `${left} of ${panel.vocab} tokens can be drawn.` : `All ${panel.vocab} tokens can be drawn; those not shown have ${percent(Math.max(0, 1 - now.slice(0, 15).reduce((a, b) => a + b, 0)))} together.`;
  };
  const drawn = make('span', {});
  box.append(make('p', {}, 'After position ' + panel.position + ', ', token(data.texts[panel.position]), ':'),
    make('div', { class: 'sliders' },
      slider('Temperature', { min: 0.1, max: 2, step: 0.05, value: 1 }, (x) => x.toFixed(2), (x) => { temperature = x; render(); }),
      slider('Top-k', { min: 0, max: Math.min(50, N), step: 1, value: 0 }, (x) => x ? String(x) : 'all', (x) => { k = x; render(); }),
      slider('Top-p', { min: 0.05, max: 1, step: 0.05, value: 1 }, (x) => x.toFixed(2), (x) => { p = x; render(); })),
    place, said,
    make('p', {}, make('button', { type: 'button', class: 'quiet', onclick: () => {
      let left = Math.random(); const at = now.findIndex((share) => (left -= share) < 0);
      drawn.append(' ', at < 0 ? '…' : token(panel.logits[at].text));
    } }, 'Draw a token'), drawn),
    legend(['var(--accent)', 'with these settings'], ['var(--edge)', 'softmax of the logits as they are']));
  render();
}

/* Attribution */
function attribution(panel, box) {
  const place = make('div', { class: 'stack' }), sum = panel.parts, blocks = data.model.n_layers;
  const rest = sum.constant ? [{ name: 'bias of the final norm', value: sum.constant }] : [];
  const outside = sum.components.filter((part) => part.layer === null);
  const heads = sum.components.filter((part) => part.head !== null).sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const layers = Array.from({ length: blocks }, (_, layer) => {
    const own = sum.components.filter((part) => part.layer === layer);
    const mlp = own.filter((part) => part.name.endsWith('mlp_out'));
    const add = (parts) => parts.reduce((total, part) => total + part.value, 0);
    return [{ name: 'attention ' + layer, value: add(own) - add(mlp) }, { name: 'mlp ' + layer, value: add(mlp) }];
  }).flat();
  const render = (which) => {
    const words = { embed: 'token embedding', pos_embed: 'position embedding' };
    const parts = which === 'layers' ? [...outside, ...layers, ...rest] : heads.slice(0, 24).map((part) => ({ name: `head ${part.layer}.${part.head}`, value: part.value }));
    const most = Math.max(...parts.map((part) => Math.abs(part.value)), 1e-9);
    place.replaceChildren(bars('Parts of the difference', parts.map((part) => [words[part.name] || part.name, [0.5, 0.5 + part.value / 2 / most], show(part.value), part.value < 0 ? 'down' : 'up']), true),
      note(which === 'layers' ? `All of them add up to ${show(sum.logit)}.` : 'The heads that matter most, of all blocks.'));
  };
  const minus = panel.against.value < 0 ? `(${show(panel.against.value)})` : show(panel.against.value);
  box.append(make('p', {}, 'After position ' + sum.position + ': why ', token(panel.target.text), ' rather than ', token(panel.against.text), `? The difference of their logits is ${show(panel.target.value)} − ${minus} = ${show(panel.target.value - panel.against.value)}.`),
    choices('Parts', [['layers', 'layers'], ['heads', 'heads']], 'layers', render), place,
    legend(['var(--warm)', 'for the first'], ['var(--cold)', 'for the second']),
    note('Two tokens of your own: ', command('--answers " cat, dog"')));
  render('layers');
}

/* Patching and features */
function patching(panel, box) {
  if (!panel) { box.append(note('It takes a second text with as many tokens, and two answers: ', command('--corrupt TEXT --answers A,B'), '.')); return; }
  const told = make('p', { class: 'note', 'aria-live': 'polite' });
  box.append(make('p', {}, 'Difference of the logits of ', token(panel.answers[0]), ' and ', token(panel.answers[1]), `: ${show(panel.clean_difference)} on this text, ${show(panel.corrupt_difference)} on the other.`),
    heat({ label: 'What one value of the stream brings back', rows: panel.restored.map((_, at) => 'into block ' + at), columns: names.map((name, at) => panel.corrupt[at] === data.texts[at] ? name : name + ' / ' + visible(panel.corrupt[at])), corner: 'put back ↓', start: [0, T - 1],
      cell: (i, j) => ({ text: String(Math.round(100 * panel.restored[i][j]) || '').replace('-', '−'), share: panel.restored[i][j], diverges: true, label: percent(panel.restored[i][j]) }),
      choose: (i, j) => { told.textContent = `The stream into block ${i} at position ${names[j]} brings back ${percent(panel.restored[i][j])}.`; } }), told, note('In percent.'));
}

function features(panel, box) {
  if (!panel) { box.append(note('It takes a sparse autoencoder of this model: ', command('--sae DIR'), '; ', make('code', {}, 'kiln sae train'), ' makes one.')); return; }
  const most = Math.max(...panel.positions.flat().map((one) => one.activation), 1e-9);
  box.append(make('p', {}, make('code', {}, panel.hook), `: ${panel.d_sae} features, of which ${panel.l0.toFixed(1)} are on at a position` + (panel.explained_variance === null ? '.' : `; they give back ${percent(panel.explained_variance)} of the variance.`)),
    table(['position', 'strongest features'], panel.positions.map((list, at) => [plain(names[at]), new Wide(list.map((one) => { const cell = make('span', { style: 'padding:.1rem .4rem;margin:.1rem;border-radius:.25rem;display:inline-block' }, `${one.index}: ${show(one.activation)}`); painted(cell, () => paint(cell, sequential(0.15 + 0.7 * one.activation / most))); return cell; }))]), 'Features of each token'));
}

/* The frame */
function frame() {
  const summary = data.model;
  document.title = 'Kiln: ' + [...data.text].slice(0, 60).join('');
  document.getElementById('model').textContent = data.title;
  document.getElementById('text').textContent = data.text;
  document.getElementById('facts').textContent = `${T} tokens through ${summary.n_layers} blocks of ${summary.n_heads} heads` + (summary.n_kv_heads !== summary.n_heads ? ` (${summary.n_kv_heads} of keys and values)` : '') + `, d_model ${summary.d_model}, d_ff ${summary.d_ff}, ${summary.parameters.toLocaleString('en')} parameters. ${summary.norm}, ${summary.positions} positions${summary.gated ? ', gated feed-forward network' : ''}.`;
  const contents = document.getElementById('contents');
  document.querySelectorAll('section').forEach((section, at) => {
    const title = section.querySelector('h2');
    title.id = section.id + '-title';
    section.setAttribute('aria-labelledby', title.id);
    contents.append(make('li', {}, make('a', { href: '#' + section.id }, make('span', {}, String(at + 1)), title.textContent)));
    title.prepend(make('span', { 'aria-hidden': 'true' }, String(at + 1)));
  });
  const button = document.getElementById('theme'), prefers = matchMedia('(prefers-color-scheme: dark)');
  const theme = (dark) => {
    document.documentElement.dataset.theme = dark ? 'dark' : 'light';
    button.textContent = dark ? 'Light' : 'Dark';
    button.setAttribute('aria-label', dark ? 'Switch to light colours' : 'Switch to dark colours');
    repaintAll();
  };
  button.addEventListener('click', () => theme(!isDark()));
  prefers.addEventListener('change', (event) => theme(event.matches));
  theme(prefers.matches);
}

function follow() {
  const links = new Map([...document.querySelectorAll('nav a')].map((link) => [link.getAttribute('href').slice(1), link]));
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) {
      links.forEach((link) => link.removeAttribute('aria-current'));
      links.get(entry.target.id).setAttribute('aria-current', 'true');
    }
  }, { rootMargin: '-20% 0px -70% 0px' });
  document.querySelectorAll('section').forEach((section) => watcher.observe(section));
}

frame();
const panels = { tokens, shapes, norm, head, heads, dropout, mlp, residual, gradients, lens, sampling, attribution, patching, features };
const optional = ['gradients', 'patching', 'features'];
for (const [name, show] of Object.entries(panels)) {
  if (data[name] || optional.includes(name)) show(data[name], figure(name));
}
follow();
