"use strict";
// Runs: { name, config, train, valid, rates, norms, speeds, samples, step, tokens, seconds, best, bits_per_byte, floor,
// training_loss, origin }; points are [step, tokens, seconds, value]. Text of a run only ever becomes text, never markup.
const { runs } = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const AXES = [
  { name: "step", show: count },
  { name: "tokens", show: short },
  { name: "time", show: duration },
];
// Losses in nats a token compare only where texts and tokens are the same: runs of one origin follow each other.
const origins = [...new Set(runs.map((run) => run.origin))];
const comparable = origins.length === 1;
const bestLoss = (run) => run.best?.[1] ?? Infinity;
/// Whether a run has the lowest loss of those that compare with it.
function isBest(run) {
  const alike = runs.filter((other) => other.origin === run.origin);
  return run.best && (alike.length > 1 || comparable) && alike.every((other) => bestLoss(run) <= bestLoss(other));
}
const view = { axis: 0, series: "both", scale: "linear", keys: runs.length > 1 ? "differences" : "all" };

function element(parent, name, attributes = {}, text) {
  const svg = parent.namespaceURI === SVG || name === "svg";
  const made = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}
function count(x) {
  return x.toLocaleString("en");
}
function short(x) {
  for (const [size, unit] of [[1e12, " T"], [1e9, " B"], [1e6, " M"], [1e3, " k"]]) {
    if (Math.abs(x) >= size) return `${Number((x / size).toPrecision(3))}${unit}`;
  }
  return String(Math.round(x));
}
function duration(seconds) {
  const s = Math.round(seconds);
  const two = (x) => String(x).padStart(2, "0");
  if (s < 60) return `${Number(seconds.toPrecision(2))} s`;
  if (s < 3600) return `${Math.floor(s / 60)}:${two(s % 60)}`;
  return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}
const loss = (x) => x.toFixed(4);
const rate = (x, mark) => (x === 0 ? "0" : (mark ? Number(x.toPrecision(3)).toExponential() : x.toExponential(2)).replace("e-", "e−"));
const color = (index) => `--color: var(--c${index % 8})`;

/// Round numbers between low and high.
function ticks(low, high, count) {
  const span = high - low || 1;
  const power = 10 ** Math.floor(Math.log10(span / count));
  const unit = [1, 2, 5, 10].map((m) => m * power).find((u) => span / u <= count);
  const marks = [];
  for (let x = Math.ceil(low / unit) * unit; x <= high + unit * 1e-9; x += unit) marks.push(Number(x.toPrecision(12)));
  return marks;
}
function logTicks(low, high) {
  const marks = [];
  for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) {
    for (const m of [1, 1.5, 2, 3, 4, 6, 8]) if (m * 10 ** p >= low && m * 10 ** p <= high) marks.push(m * 10 ** p);
  }
  return marks;
}

/// Draws curves { run, kind, points } into a box; the pointer reads their values.
function chart(box, curves, { height, log, zero, label, show }) {
  box.replaceChildren();
  const axis = AXES[view.axis];
  // As wide as the box: on a phone, the labels keep their size.
  const [width, left, right, top, bottom] = [Math.max(320, Math.min(1100, box.clientWidth || 1100)), 58, 14, 10, 34];
  const all = curves.flatMap((curve) => curve.points);
  if (all.length === 0) return void element(box, "p", { class: "none" }, "Nothing to draw yet.");
  const x0 = Math.min(0, ...all.map((p) => p[0]));
  const x1 = Math.max(...all.map((p) => p[0])) || 1;
  // A few wild steps must not set the scale.
  const values = all.map((p) => p[1]).sort((a, b) => a - b);
  let y0 = values[0];
  let y1 = values[Math.min(values.length - 1, Math.floor(values.length * 0.998))];
  const useLog = log && y0 > 0;
  const place = useLog ? Math.log : (y) => y;
  const margin = (place(y1) - place(y0)) * 0.05 || 0.05;
  let [low, high] = [place(y0) - margin, place(y1) + margin];
  if (zero) low = 0;
  const X = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
  const Y = (y) => height - bottom - ((Math.min(Math.max(place(y), low), high) - low) / (high - low)) * (height - top - bottom);
  const svg = element(box, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const marks = useLog ? logTicks(Math.exp(low), Math.exp(high)) : ticks(low, high, Math.max(3, height / 46));
  let above = Infinity;
  for (const y of marks) {
    // Labels must not touch.
    if (above - Y(y) < 15) continue;
    above = Y(y);
    element(svg, "line", { class: "grid", x1: left, x2: width - right, y1: Y(y), y2: Y(y) });
    element(svg, "text", { x: left - 8, y: Y(y) + 4, "text-anchor": "end" }, show(y, true));
  }
  element(svg, "line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom });
  for (const x of ticks(x0, x1, Math.max(3, Math.round(width / 120)))) {
    element(svg, "text", { x: X(x), y: height - bottom + 20, "text-anchor": "middle" }, axis.show(x));
  }
  for (const curve of curves) {
    const path = curve.points.map((p, i) => `${i ? "L" : "M"}${X(p[0]).toFixed(1)} ${Y(p[1]).toFixed(1)}`).join("");
    element(svg, "path", { class: `curve ${curve.kind}`, style: color(curve.run), d: path });
    if (curve.kind === "valid" && curve.points.length <= 60) {
      for (const p of curve.points) element(svg, "circle", { class: "point", style: color(curve.run), cx: X(p[0]), cy: Y(p[1]), r: 3.6 });
    }
  }
  const cursor = element(svg, "line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
  const tip = element(box, "div", { class: "tip", hidden: "" });
  svg.addEventListener("pointermove", (event) => {
    const bounds = svg.getBoundingClientRect();
    const at = ((event.clientX - bounds.left) / bounds.width) * width;
    const x = x0 + ((at - left) / (width - left - right)) * (x1 - x0);
    if (x < x0 || x > x1) return hide();
    cursor.setAttribute("x1", at);
    cursor.setAttribute("x2", at);
    cursor.setAttribute("visibility", "visible");
    tip.replaceChildren();
    element(tip, "b", {}, `${axis.name} ${axis.show(axis.name === "time" ? x : Math.round(x))}`);
    for (const curve of curves) {
      const nearest = curve.points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a), curve.points[0]);
      if (!nearest || x > curve.points.at(-1)[0] * 1.02) continue;
      const row = element(tip, "div");
      element(row, "span", { class: "dot", style: color(curve.run) });
      const kind = { valid: "validation ", train: "training ", floor: "floor " }[curve.kind] ?? "";
      row.append(`${runs[curve.run].name} ${kind}${show(nearest[1])}`);
    }
    tip.hidden = false;
    const place = (at / width) * bounds.width;
    tip.style.left = place > bounds.width / 2 ? `${place - tip.offsetWidth - 14}px` : `${place + 14}px`;
  });
  const hide = () => {
    cursor.setAttribute("visibility", "hidden");
    tip.hidden = true;
  };
  svg.addEventListener("pointerleave", hide);
}

function draw() {
  const along = (points) => points.map((p) => [p[view.axis], p[3]]);
  const curves = (kind) => runs.map((run, index) => ({ run: index, kind, points: along(run[kind]) })).filter((c) => c.points.length);
  const wanted = view.series === "both" ? ["train", "valid"] : [view.series];
  chart(document.getElementById("losses"), [...floors(along), ...wanted.flatMap(curves)], {
    height: 400, log: view.scale === "log", label: "loss in nats per token",
    show: (y, mark) => (mark ? String(Number(y.toFixed(4))) : y.toFixed(4)),
  });
  const below = [["rates", "learning rate", true, rate], ["norms", "gradient norm", false, (y) => String(Number(y.toPrecision(3)))], ["speeds", "tokens a second", true, short]];
  for (const [name, label, zero, show] of below) {
    const curves = runs.map((run, index) => ({ run: index, kind: "rate", points: along(run[name]) }));
    chart(document.getElementById(name), curves, { height: 150, zero, log: name === "norms", label, show });
  }
}

/// A level line for each text whose floor is known, as long as its longest run.
function floors(along) {
  return origins.flatMap((origin) => {
    const alike = runs.map((run, index) => ({ run, index })).filter(({ run }) => run.origin === origin && run.floor && run.train.length);
    if (alike.length === 0) return [];
    const end = Math.max(...alike.map(({ run }) => along(run.train).at(-1)[0]));
    const [{ run, index }] = alike;
    return [{ run: index, kind: "floor", points: [[0, run.floor], [end, run.floor]] }];
  });
}

/// The columns of the results: name, what is sorted by (least first means best first), and how it is shown.
const COLUMNS = [
  ["run", (run) => run.name, (x) => x],
  ["bits per byte", (run) => run.bits_per_byte, loss],
  ["best validation", (run) => run.best?.[1], loss],
  ["floor", (run) => run.floor, loss],
  ["at step", (run) => run.best?.[0], count],
  ["perplexity", (run) => run.best && Math.exp(run.best[1]), (x) => x.toFixed(2)],
  ["last training", (run) => run.training_loss, loss],
  ["steps", (run) => run.step, count],
  ["tokens", (run) => run.tokens, short],
  ["time", (run) => run.seconds, duration],
  ["tokens/s", (run) => (run.seconds > 0 ? run.tokens / run.seconds : undefined), short],
];

/// Sorts the rows by a column whose head is pressed, the other way round when it is pressed again.
function sortByHeads(head, body, rows) {
  [...head.children].forEach((cell, column) => {
    cell.tabIndex = 0;
    const sort = () => {
      const up = cell.getAttribute("aria-sort") !== "ascending";
      for (const other of head.children) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", up ? "ascending" : "descending");
      // What is missing comes last, either way.
      const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b) * (up ? 1 : -1);
      const missing = (a, b) => (a === undefined) - (b === undefined);
      rows.sort(({ values: { [column]: a } }, { values: { [column]: b } }) => missing(a, b) || compare(a, b) || 0);
      body.append(...rows.map(({ row }) => row));
    };
    cell.addEventListener("click", sort);
    cell.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
}

function results() {
  const columns = COLUMNS.filter(([, value]) => runs.some((run) => (value(run) ?? undefined) !== undefined));
  const table = document.getElementById("results");
  const head = element(element(table, "thead"), "tr");
  for (const [name] of columns) element(head, "th", name === "run" ? {} : { class: "number" }, name);
  const body = element(table, "tbody");
  const order = runs.map((_, index) => index);
  const place = (index) => origins.indexOf(runs[index].origin);
  order.sort((a, b) => place(a) - place(b) || Math.sign(bestLoss(runs[a]) - bestLoss(runs[b])) || a - b);
  const rows = order.map((index) => {
    const run = runs[index];
    const row = element(body, "tr");
    const values = columns.map(([, value]) => value(run) ?? undefined);
    columns.forEach(([name, , show], i) => {
      if (name === "run") {
        const cell = element(row, "th", { scope: "row", title: run.path });
        element(cell, "span", { class: "dot", style: color(index) });
        return cell.append(run.name);
      }
      const best = name === "best validation" && isBest(run);
      const text = values[i] === undefined ? "–" : show(values[i]);
      element(row, "td", { class: best ? "number best" : "number", "data-name": name }, text);
    });
    return { row, values };
  });
  sortByHeads(head, body, rows);
  const words = runs.length === 1 ? "One run" : comparable ? `${runs.length} runs, the best first` : `${runs.length} runs`;
  const note = comparable ? "" : " Their texts or tokenizers differ, so losses in nats compare only within each kind; the best of a kind is marked.";
  document.getElementById("lead").textContent = `${words}. Losses in nats per token.${note}`;
}

function configuration() {
  const table = document.getElementById("configuration");
  table.replaceChildren();
  const head = element(element(table, "thead"), "tr");
  element(head, "th", {}, "key");
  runs.forEach((run, index) => {
    const cell = element(head, "th");
    element(cell, "span", { class: "dot", style: color(index) });
    cell.append(run.name);
  });
  const body = element(table, "tbody");
  const keys = [...new Set(runs.flatMap((run) => Object.keys(run.config)))];
  for (const key of keys) {
    const values = runs.map((run) => run.config[key]);
    const differs = values.some((value) => value !== values[0]);
    if (view.keys === "differences" && !differs) continue;
    const row = element(body, "tr", differs ? { class: "differs" } : {});
    element(row, "th", { scope: "row" }, key);
    for (const value of values) element(row, "td", value === undefined ? { class: "none" } : {}, value ?? "–");
  }
  if (!body.children.length) element(element(body, "tr"), "td", { class: "none" }, "The configurations are the same.");
}

function samples() {
  const steps = [...new Set(runs.flatMap((run) => run.samples.map((s) => s.step)))].sort((a, b) => a - b);
  const slider = document.getElementById("moment");
  const box = document.getElementById("samples");
  if (steps.length === 0) {
    slider.parentElement.hidden = true;
    return void element(box, "p", { class: "none" }, "No samples were written.");
  }
  slider.max = steps.length - 1;
  slider.value = steps.length - 1;
  const show = () => {
    const step = steps[slider.value];
    document.getElementById("moment-text").textContent = `step ${step.toLocaleString("en")}`;
    box.replaceChildren();
    runs.forEach((run, index) => {
      const sample = run.samples.findLast((s) => s.step <= step);
      const figure = element(box, "figure", { style: color(index) });
      element(figure, "figcaption", {}, sample ? `${run.name}, step ${sample.step.toLocaleString("en")}` : run.name);
      const words = sample ? sample.text || "an empty text" : "nothing yet";
      element(figure, "blockquote", sample?.text ? {} : { class: "none" }, words);
    });
  };
  slider.addEventListener("input", show);
  show();
}

function choice(id, key, options, redraw) {
  const box = document.getElementById(id);
  for (const [value, name] of options) {
    const button = element(box, "button", { type: "button", "aria-pressed": view[key] === value }, name);
    button.addEventListener("click", () => {
      view[key] = value;
      for (const other of box.children) other.setAttribute("aria-pressed", other === button);
      redraw();
    });
  }
}

choice("axis", "axis", AXES.map((axis, index) => [index, axis.name]), draw);
choice("series", "series", [["both", "both"], ["train", "training"], ["valid", "validation"]], draw);
choice("scale", "scale", [["linear", "linear"], ["log", "log"]], draw);
if (runs.length > 1) choice("keys", "keys", [["differences", "differences"], ["all", "all keys"]], configuration);
results();
draw();
samples();
configuration();
addEventListener("resize", draw);
