'use strict';

const DEFAULTS = { system: '', temperature: 0.8, top_p: 0.95, top_k: 0, min_p: 0, max_tokens: null, seed: 42, new_seed: true };
// The server says something every 15 seconds; after a minute of silence, nobody is there.
const SILENCE_MS = 60_000;

const $ = (id) => document.getElementById(id);
const on = (target, type, act) => target.addEventListener(type, act);
const state = { model: null, messages: [], settings: { ...DEFAULTS }, showTokens: false, run: null };

class ServerError extends Error {}

// Elements

function element(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function button(className, textContent, act) {
  const node = element('button', { className, textContent });
  on(node, 'click', act);
  return node;
}

const fromTemplate = (id) => $(id).content.firstElementChild.cloneNode(true);

function fitHeight(area) {
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight + 2}px`;
}

// Storage: a browser may refuse it, and the page works all the same.

function load(key, place = 'localStorage') {
  try { return JSON.parse(window[place].getItem(key)); } catch { return null; }
}

function save(key, value, place = 'localStorage') {
  try { window[place].setItem(key, JSON.stringify(value)); return true; } catch { return false; }
}

function saveChat() {
  const { messages, showTokens } = state;
  // Probabilities are most of the bytes, the text is what matters.
  const texts = messages.map(({ tokens, ...rest }) => rest);
  const saved = [messages, texts].some((list) => save('kiln.chat', { messages: list, showTokens }));
  if (!saved) notify('This browser stores nothing: a reload loses the chat.');
}

function loadChat() {
  const { messages, showTokens } = load('kiln.chat') ?? {};
  if (!Array.isArray(messages)) return;
  state.messages = messages.filter((m) => typeof m?.content === 'string' && ['user', 'assistant'].includes(m.role));
  for (const message of state.messages) if (message.role === 'assistant') message.finish ??= 'lost';
  state.showTokens = showTokens === true;
}

// The API

async function call(path, options = {}) {
  const key = load('kiln.key', 'sessionStorage');
  const headers = { 'Content-Type': 'application/json', ...(key && { Authorization: `Bearer ${key}` }) };
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  if (response.status === 401 && await askKey(key)) return call(path, options);
  throw await refusal(response);
}

async function refusal(response) {
  let message = await response.text();
  // A proxy answers in its own words.
  try { message = JSON.parse(message).error.message; } catch { message = message.slice(0, 300) || response.statusText; }
  const wait = response.headers.get('retry-after');
  return new ServerError(wait ? `${message}\nTry again in ${wait} s.` : message);
}

function askKey(refused) {
  const dialog = $('key-dialog');
  $('key-text').textContent = refused ? 'The server does not accept this key.' : 'This server asks for a key.';
  $('key').value = dialog.returnValue = '';
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      const key = dialog.returnValue && $('key').value.trim();
      if (key) save('kiln.key', key, 'sessionStorage');
      resolve(Boolean(key));
    }, { once: true });
  });
}

async function loadModel() {
  const response = await call('v1/models');
  [state.model] = (await response.json()).data;
  const { id } = state.model;
  document.title = `${id} – Kiln`;
  $('model').textContent = $('model').title = $('welcome-name').textContent = id;
  showContext();
}

async function* events(body) {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let buffer = '';
  for (;;) {
    const { value, done } = await reader.read();
    buffer += done ? decoder.decode() : decoder.decode(value, { stream: true });
    const lines = buffer.split(/\r?\n/);
    buffer = lines.pop();
    for (const line of lines) if (line.startsWith('data:')) yield line.slice(5).trim();
    if (done) return;
    yield ''; // something came, if only a ping
  }
}

// Sending and receiving

function requestMessages() {
  const { system } = state.settings;
  const list = system.trim() ? [{ role: 'system', content: system }] : [];
  for (const { role, content } of state.messages.slice(0, -1)) {
    const last = list.at(-1);
    // Templates refuse two turns of one role in a row; a reply that failed leaves them so.
    if (last?.role === role) last.content += `\n\n${content}`;
    else list.push({ role, content });
  }
  return list;
}

function requestBody(seed) {
  const { system, new_seed, max_tokens, ...sampling } = state.settings;
  const asked = { stream: true, stream_options: { include_usage: true }, logprobs: true, top_logprobs: 5 };
  // JSON leaves out what is undefined: without a limit, a reply may fill the context.
  return { model: state.model.id, messages: requestMessages(), ...sampling, max_tokens: max_tokens ?? undefined, seed, ...asked };
}

const nextSeed = () => (state.settings.new_seed ? Math.floor(1e6 * Math.random()) : state.settings.seed);

async function generate(seed = nextSeed()) {
  const reply = { role: 'assistant', content: '', tokens: [], seed, temperature: state.settings.temperature, finish: null };
  const run = { reply, controller: new AbortController(), stopped: false, unsaid: '' };
  state.messages.push(reply);
  state.run = run;
  showAlert();
  run.view = renderLog();
  showBusy();
  follow = true;
  scrollDown();
  saveChat();
  run.finished = receive(run).catch((error) => fail(run, error)).finally(() => finish(run));
  await run.finished;
}

async function receive(run) {
  if (!state.model) await loadModel();
  const body = JSON.stringify(requestBody(run.reply.seed));
  run.start = performance.now();
  const response = await call('v1/chat/completions', { method: 'POST', body, signal: run.controller.signal });
  for await (const data of events(response.body)) {
    clearTimeout(run.watch);
    if (data === '[DONE]') break;
    run.watch = setTimeout(() => run.controller.abort(), SILENCE_MS);
    if (data) take(run, JSON.parse(data));
  }
  if (!run.reply.finish) throw new TypeError('the stream ended early');
}

function take(run, { error, usage, choices }) {
  if (error) throw new ServerError(error.message);
  const { reply } = run;
  reply.usage = usage ?? reply.usage;
  const { logprobs, delta, finish_reason: reason } = choices?.[0] ?? {};
  const tokens = logprobs?.content ?? [];
  const text = delta?.content ?? '';
  if (tokens.length || text) run.last = performance.now();
  run.first ??= run.last;
  reply.tokens.push(...tokens);
  reply.content += text;
  reply.finish = reason ?? reply.finish;
  measure(run);
  speak(run, text);
  paintSoon(run);
}

function measure({ reply, start, first, last }) {
  reply.made = reply.usage?.completion_tokens ?? reply.tokens.length;
  if (first) reply.first = (first - start) / 1000;
  if (last > first) reply.rate = (reply.made - 1) / ((last - first) / 1000);
}

function fail(run, error) {
  const { reply } = run;
  const known = error instanceof ServerError;
  reply.finish = run.stopped ? 'stopped' : 'lost';
  if (run.stopped && reply.content) return;
  const title = run.stopped ? 'Stopped before the first word' : known ? 'The server cannot reply' : 'The connection was lost';
  showAlert(title, `${known ? error.message : ''}${reply.content ? '\nWhat came before is kept.' : ''}`, () => retry(reply));
}

function finish(run) {
  const { reply, view } = run;
  clearTimeout(run.watch);
  speak(run, '', true);
  state.run = null;
  showBusy();
  if (reply.content || !['stopped', 'lost'].includes(reply.finish)) refreshReply(view);
  else {
    state.messages = state.messages.filter((m) => m !== reply);
    view.root.remove();
  }
  showContext();
  saveChat();
  scrollDown();
}

async function stopRun() {
  const { run } = state;
  if (!run) return;
  run.stopped = true;
  run.controller.abort();
  await run.finished;
}

// What the user does

function send(content) {
  state.messages.push({ role: 'user', content: content.trim() });
  return generate();
}

// The same seed, so that what came before comes again, and then the rest.
function retry(reply) {
  state.messages = state.messages.filter((m) => m !== reply);
  return generate(reply.seed);
}

async function regenerate(reply) {
  await cutAt(state.messages.indexOf(reply), 'Replaced the reply.');
  generate();
}

async function resend(message, text) {
  await cutAt(state.messages.indexOf(message), 'Changed the message.');
  send(text);
}

async function newChat() {
  await cutAt(0, 'Started a new chat.');
  $('message').focus();
}

async function cutAt(index, said) {
  await stopRun();
  const before = state.messages;
  showMessages(before.slice(0, index));
  if (before.length) notify(`${said} `, button('quiet', 'Undo', () => bringBack(before)));
}

async function bringBack(messages) {
  await stopRun();
  $('message').focus();
  showMessages(messages);
}

function showMessages(messages) {
  state.messages = messages;
  notify('');
  showAlert();
  renderLog();
  saveChat();
}

function exportChat() {
  const messages = state.messages.map(({ tokens, ...rest }) => (tokens ? { ...rest, logprobs: { content: tokens } } : rest));
  const saved = new Date().toISOString();
  const json = JSON.stringify({ model: state.model?.id, saved, settings: state.settings, messages }, null, 2);
  const href = URL.createObjectURL(new Blob([json]));
  element('a', { href, download: `kiln-chat-${saved.slice(0, 10)}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000);
}

// The conversation on the page

const count = (n) => n.toLocaleString('en');

function renderLog() {
  hidePanel();
  const all = state.messages.map((m) => (m.role === 'user' ? userView(m) : replyView(m)));
  $('log').replaceChildren(...all.map(({ root }) => root));
  $('welcome').hidden = all.length > 0;
  showContext();
  return all.at(-1);
}

function userView(message) {
  const root = fromTemplate('user-template');
  root.querySelector('.text').textContent = message.content;
  on(root.querySelector('.edit'), 'click', () => edit(message, root));
  return { root };
}

function replyView(reply) {
  const root = fromTemplate('reply-template');
  const part = (name) => root.querySelector(`.${name}`);
  const view = { reply, root, text: part('text'), meta: part('meta'), legend: part('legend'), toggle: part('toggle') };
  view.asTokens = state.showTokens && Boolean(reply.tokens);
  on(view.toggle, 'click', () => toggleTokens(view));
  on(part('regenerate'), 'click', () => regenerate(reply));
  refreshReply(view);
  return view;
}

function refreshReply(view) {
  const { reply, root, text, toggle, legend, asTokens } = view;
  root.ariaBusy = !reply.finish;
  toggle.hidden = !reply.tokens;
  toggle.ariaPressed = asTokens;
  legend.hidden = !asTokens;
  text.role = asTokens ? 'listbox' : null;
  text.ariaLabel = asTokens ? 'Tokens of this reply' : null;
  text.replaceChildren();
  view.shown = 0;
  view.decoder = new TextDecoder();
  extendReply(view);
  if (asTokens && reply.finish) markBeyond(text, reply.content);
}

function extendReply(view) {
  const { reply, text, shown } = view;
  if (view.asTokens) {
    text.append(...reply.tokens.slice(shown).map((token) => tokenSpan(token, view.decoder)));
    view.shown = reply.tokens.length;
    if (shown === 0 && text.firstChild) text.firstChild.tabIndex = 0;
  } else {
    text.append(reply.content.slice(shown));
    text.normalize();
    view.shown = reply.content.length;
  }
  showMeta(view);
}

const ENDS = { stopped: 'stopped', length: 'cut at the limit', lost: 'incomplete' };

function showMeta({ reply: { finish, made, rate, first, temperature, seed }, meta }) {
  const facts = [
    ENDS[finish],
    made && (made === 1 ? '1 token' : `${count(made)} tokens`),
    rate && `${rate.toFixed(rate < 100 ? 1 : 0)} tokens/s`,
    first ? `first after ${first.toFixed(2)} s` : !finish && 'reading…',
    finish && temperature > 0 && `seed ${seed}`,
  ];
  meta.replaceChildren(...facts.filter(Boolean).map((fact) => element('span', {}, fact)));
  meta.classList.toggle('early', finish in ENDS);
}

function paintSoon(run) {
  if (run.painting) return;
  run.painting = true;
  requestAnimationFrame(() => {
    run.painting = false;
    if (state.run !== run) return;
    extendReply(run.view);
    scrollDown();
  });
}

function edit(message, root) {
  const body = root.querySelector('.body');
  const before = [...body.children];
  const form = fromTemplate('edit-template');
  const [area, cancel] = form.elements;
  const close = () => {
    body.replaceChildren(...before);
    body.querySelector('.edit').focus();
  };
  area.value = message.content;
  on(area, 'input', () => fitHeight(area));
  on(cancel, 'click', close);
  on(form, 'keydown', (event) => {
    if (event.key !== 'Escape' || event.isComposing) return;
    event.stopPropagation();
    close();
  });
  sendsByEnter(area);
  on(form, 'submit', (event) => {
    event.preventDefault();
    if (!area.value.trim()) return;
    $('message').focus();
    resend(message, area.value);
  });
  body.replaceChildren(form);
  fitHeight(area);
  area.focus();
}

function sendsByEnter(area) {
  on(area, 'keydown', (event) => {
    // Enter may end the choice of a Japanese word; WebKit says so by code 229 only.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    area.form.requestSubmit();
  });
}

// Token probabilities

const tokenOf = new WeakMap();
const bytesOf = ({ token, bytes }) => (bytes ? new Uint8Array(bytes) : new TextEncoder().encode(token));
const hex = (n) => n.toString(16).toUpperCase().padStart(2, '0');
// From 0 for a token that had to come to 1 for one in a hundred or rarer.
const heat = (logprob) => Math.min(1, -logprob / Math.log(100));

// A token may be half a character: then its bytes are its name.
function label(token) {
  const bytes = bytesOf(token);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return text.replace(/ /g, '␣').replace(/\r?\n/g, '⏎').replace(/\t/g, '⇥').replace(/\p{C}/gu, (c) => `⟨${hex(c.codePointAt(0))}⟩`);
  } catch {
    return `⟨${[...bytes].map(hex).join(' ')}⟩`;
  }
}

function percent(logprob) {
  const share = 100 * Math.exp(logprob);
  return share < 0.01 ? '< 0.01 %' : `${share.toFixed(share < 1 ? 2 : 1)} %`;
}

function tokenSpan(token, decoder) {
  const textContent = decoder.decode(bytesOf(token), { stream: true });
  const kind = textContent === '' ? 'part' : /^[\r\n]+$/.test(textContent) ? 'break' : '';
  const ariaLabel = `${label(token)}, ${percent(token.logprob)}`;
  const span = element('span', { className: `token ${kind}`, textContent, tabIndex: -1, role: 'option', ariaLabel });
  span.style.setProperty('--heat', heat(token.logprob));
  tokenOf.set(span, token);
  return span;
}

// A stop string, or the token that ends a reply, has a probability but is no part of the text.
function markBeyond(text, content) {
  let at = 0;
  for (const span of text.children) {
    span.classList.toggle('beyond', at >= content.length);
    at += span.textContent.length;
  }
}

function toggleTokens(view) {
  state.showTokens = view.asTokens = !view.asTokens;
  hidePanel();
  refreshReply(view);
  saveChat();
}

function moveToken(span, event) {
  const { parentNode: { firstChild, lastChild }, nextSibling: next, previousSibling: last } = span;
  const targets = { ArrowRight: next, ArrowDown: next, ArrowLeft: last, ArrowUp: last, Home: firstChild, End: lastChild };
  if (!(event.key in targets)) return;
  event.preventDefault();
  targets[event.key]?.focus();
}

let shownToken = null;
let hiding = 0;

function showPanel(span) {
  hidePanel();
  const { top_logprobs: top = [], ...drawn } = tokenOf.get(span);
  const name = label(drawn);
  const known = top.some((other) => label(other) === name);
  const rows = (known ? top : [...top, drawn]).map((other) => candidate(other, label(other) === name));
  $('panel').replaceChildren(element('ol', {}, ...rows), element('p', {}, 'At temperature 1, before top-k, top-p and min-p.'));
  $('panel').hidden = false;
  span.setAttribute('aria-describedby', 'panel');
  shownToken = span;
  placePanel();
}

function candidate(token, drawn) {
  const share = percent(token.logprob);
  const bar = element('span', { className: 'bar' });
  bar.style.width = share.replace(/[< ]/g, '');
  const className = drawn ? 'drawn' : '';
  return element('li', { className }, bar, element('code', {}, label(token)), element('span', {}, share));
}

function placePanel() {
  const line = shownToken?.getClientRects()[0];
  if (!line) return;
  const { style, offsetWidth: width, offsetHeight: height } = $('panel');
  const page = document.documentElement;
  const above = line.bottom + height + 16 > page.clientHeight && line.top > height + 16;
  style.left = `${Math.max(8, Math.min(line.left, page.clientWidth - width - 8))}px`;
  style.top = `${above ? line.top - height - 6 : line.bottom + 6}px`;
}

function hidePanel() {
  clearTimeout(hiding);
  shownToken?.removeAttribute('aria-describedby');
  shownToken = null;
  $('panel').hidden = true;
}

// Time for the pointer to reach the panel; what has the focus keeps its panel.
function hidePanelSoon() {
  clearTimeout(hiding);
  const focused = document.activeElement;
  hiding = setTimeout(() => (tokenOf.has(focused) ? showPanel(focused) : hidePanel()), 150);
}

function focusToken(span) {
  for (const other of span.parentNode.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
  span.tabIndex = 0;
  showPanel(span);
}

function listenToTokens() {
  const onToken = (type, act) => on($('log'), type, (event) => { if (tokenOf.has(event.target)) act(event.target, event); });
  onToken('pointerover', showPanel);
  onToken('pointerout', hidePanelSoon);
  onToken('focusin', focusToken);
  onToken('focusout', hidePanelSoon);
  onToken('click', (span) => span.focus());
  onToken('keydown', moveToken);
  on($('panel'), 'pointerover', () => clearTimeout(hiding));
  on($('panel'), 'pointerout', hidePanelSoon);
  on(window, 'scroll', placePanel);
}

// Around the conversation

function showBusy() {
  // A button that is hidden drops the focus.
  if ([$('send'), $('stop')].includes(document.activeElement)) $('message').focus();
  $('send').hidden = Boolean(state.run);
  $('stop').hidden = !state.run;
}

function showContext() {
  const total = state.model?.max_model_len;
  $('context').hidden = !total;
  if (!total) return;
  const used = state.messages.findLast((m) => m.usage)?.usage.total_tokens ?? 0;
  const said = `${count(used)} of ${count(total)} tokens`;
  const meter = Object.assign($('meter'), { ariaValueMax: total, ariaValueNow: Math.min(used, total), ariaValueText: said });
  $('context-text').textContent = said;
  meter.classList.toggle('full', used > 0.85 * total);
  meter.firstChild.style.width = `${100 * Math.min(1, used / total)}%`;
}

function notify(...content) {
  $('notice').replaceChildren(...content);
}

function showAlert(title, text, act) {
  if (!title) return $('alert').replaceChildren();
  const again = button('plain', 'Try again', () => {
    $('message').focus();
    showAlert();
    act();
  });
  $('alert').replaceChildren(element('strong', {}, title), element('p', {}, text.trim()), again);
}

const sentences = new Intl.Segmenter(undefined, { granularity: 'sentence' });

function speak(run, text, last) {
  const parts = Array.from(sentences.segment(run.unsaid + text), ({ segment }) => segment);
  run.unsaid = last ? '' : parts.pop() ?? '';
  const spoken = $('spoken');
  spoken.append(...parts.filter((part) => part.trim()).map((part) => element('p', {}, part)));
  while (spoken.childElementCount > 12) spoken.firstChild.remove();
}

let follow = true;
let lastTop = 0;

function scrollDown() {
  if (follow) scrollTo(0, document.documentElement.scrollHeight);
}

// Scrolling up lets go of the end, reaching it takes hold again.
function watchScroll() {
  const { scrollTop, scrollHeight, clientHeight } = document.documentElement;
  if (scrollTop < lastTop - 2) follow = false;
  if (scrollHeight - clientHeight - scrollTop < 8) follow = true;
  lastTop = scrollTop;
}

// Settings

const settingFields = () => [...$('settings-form').elements].filter(({ id }) => id in DEFAULTS);

function fillSettings() {
  for (const field of settingFields()) {
    const value = state.settings[field.id];
    if (field.type === 'checkbox') field.checked = value;
    else field.value = value ?? '';
  }
  showSettings();
}

function showSettings() {
  $('seed').disabled = state.settings.new_seed;
  for (const output of $('settings-form').querySelectorAll('output')) output.value = $(output.htmlFor.value).value;
}

function readSettings() {
  for (const { id, type, value, checked, validity } of settingFields()) {
    // What is out of range never reaches the server: the last good value stands.
    if (!validity.valid) continue;
    if (type === 'checkbox') state.settings[id] = checked;
    else if (type === 'textarea') state.settings[id] = value;
    else state.settings[id] = value === '' ? null : Number(value);
  }
  save('kiln.settings', state.settings);
  showSettings();
}

function listenToSettings() {
  Object.assign(state.settings, load('kiln.settings'));
  fillSettings();
  on($('open-settings'), 'click', () => $('settings').showModal());
  on($('settings-form'), 'input', readSettings);
  on($('settings-form'), 'change', fillSettings);
  on($('reset-settings'), 'click', () => {
    Object.assign(state.settings, DEFAULTS, { system: state.settings.system });
    fillSettings();
    readSettings();
  });
}

function listenToComposer() {
  const area = $('message');
  on(area, 'input', () => fitHeight(area));
  sendsByEnter(area);
  on($('composer'), 'submit', (event) => {
    event.preventDefault();
    if (state.run || !area.value.trim()) return;
    notify('');
    send(area.value);
    area.value = '';
    fitHeight(area);
    area.focus();
  });
}

function listenToPage() {
  on($('stop'), 'click', stopRun);
  on($('new-chat'), 'click', newChat);
  on($('export'), 'click', exportChat);
  on(document, 'keydown', (event) => {
    if (event.key !== 'Escape' || event.isComposing || document.querySelector('dialog[open]')) return;
    hidePanel();
    stopRun();
  });
  on(window, 'scroll', watchScroll);
  // What has come so far outlives a reload in the middle of a reply.
  on(window, 'pagehide', () => state.run && saveChat());
}

async function connect() {
  try {
    await loadModel();
  } catch (error) {
    $('model').textContent = 'No model';
    showAlert('The server cannot be reached', error instanceof ServerError ? error.message : '', connect);
  }
}

loadChat();
listenToTokens();
listenToSettings();
listenToComposer();
listenToPage();
renderLog();
scrollDown();
$('message').focus();
connect();
