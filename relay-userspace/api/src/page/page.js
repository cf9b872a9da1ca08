// The page of a node: it looks, and changes nothing. What comes from the node is only ever text: names and sentences
// become text nodes, so nothing in them can be markup.
"use strict";

// Rates are polled. They change all the time, so a stream would send as much and also to who does not look; a look reads
// counters once, asks control nothing, and a tab that nobody sees does not look at all. The rates themselves are the
// node's own, over its last seconds: no delay on the way here can bend them. What happens, in contrast, comes as events.
const LOOK = 1000; // The node's own rates are new once a second.
const RELAYS_A_LOOK = 500; // More relays than a link should carry each second are asked for less often,
const RELAYS_AT_LEAST = 10; // but every so many looks.
const PATIENCE = 5000; // An answer that takes longer is none.
const SILENCE = 3000; // Two looks may fail before anybody is told.
const MINUTE = 60_000;
const HOLE = 3500; // Looks at relays further apart, or so many times further if seldom, are not joined by a line.
const SELDOM = 10; // Links and latency are looked at every so many looks: they are long, and change slowly.
const MOST_ROWS = 200; // A browser draws so many each second with ease; the filter finds the others.
const MOST_EVENTS = 200;
const EVENTS = [
  "node.ready", "node.stopping", "node.taken_over", "node.begun_anew", "node.upgraded", "node.went_back",
  "relay.created",
  "relay.changed", "relay.removed", "relay.shadowed", "relay.pending", "relay.works", "stream.interrupted",
  "stream.restored", "loop.detected", "loop.ended", "config.applied", "config.differs", "config.on_trial",
  "config.confirmed", "config.rolled_back", "state.unwritable", "state.writable",
  "state.not_kept", "state.kept", "config.refused",
  "config.failed", "audit.change", "events.lost", "audit.denied", "link.lost", "link.returned", "link.reported", "lane.died", "lane.untrue", "lane.replaced",
  "lane.started", "lane.stalled", "lane.resumed", "program.detached", "kernel.differs", "http.lacking",
  "http.there", "health.changed",
];
const LOOKS = { // A class for each word; the word is always there too.
  running: "good", silent: "bad", pending: "warn", shadowed: "warn", muted: "off", disabled: "off", up: "good", down: "bad",
  "no carrier": "bad", info: "off", warn: "warn", error: "bad", flows: "good", partly: "warn", dark: "bad",
  ok: "good", broken: "bad", unknown: "warn", not_reached: "off",
};

const at = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function make(tag, ...inside) {
  const made = document.createElement(tag);
  made.append(...inside);
  return made;
}

// Only what differs is written: less to lay out, and what is read aloud is read once.
function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

function mark(where, word, look = LOOKS[word] ?? "off") {
  const name = `state ${look}`;
  if (where.className !== name) where.className = name;
  say(where, word);
}

// A cell is a text, a word with its mark, or an element.
const state = (word, look) => ({ word, look });

function put(cell, what) {
  if (what instanceof Node) {
    if (cell.firstChild !== what) cell.replaceChildren(what);
  } else if (typeof what === "object") {
    mark(cell.firstElementChild ?? cell.appendChild(make("span")), what.word, what.look);
  } else {
    say(cell, what);
  }
}

function fillRow(row, heads, cells) {
  cells.forEach((what, i) => {
    let cell = row.cells[i];
    if (!cell) {
      cell = row.insertCell();
      cell.className = heads[i].className;
      cell.dataset.label = heads[i].textContent;
      cell.setAttribute("role", "cell"); // On a phone rows are no table to the eye, but remain one to the ear.
    }
    put(cell, what);
  });
}

function newRow() {
  const row = make("tr");
  row.setAttribute("role", "row");
  return row;
}

const heads = (table) => [...table.tHead.rows[0].cells];

// Shows rows of cells; a table without any hides itself if it may.
function fill(id, rows, mayHide = false) {
  const table = at(id);
  const body = table.tBodies[0];
  while (body.rows.length > rows.length) body.lastElementChild.remove();
  rows.forEach((cells, i) => fillRow(body.rows[i] ?? body.appendChild(newRow()), heads(table), cells));
  if (mayHide) table.hidden = rows.length === 0;
}

function fillFacts(id, facts) {
  const list = at(id);
  facts.forEach(([name, value], i) => {
    const pair = list.children[i] ?? list.appendChild(make("div", make("dt"), make("dd")));
    say(pair.firstChild, name);
    say(pair.lastChild, value);
  });
  while (list.children.length > facts.length) list.lastElementChild.remove();
}

const grouped = new Intl.NumberFormat("en");
const count = (n) => grouped.format(n);
const digits = (x, n) => x.toLocaleString("en", { minimumFractionDigits: n, maximumFractionDigits: n });
const pps = (x) => (x > 0 && x < 10 ? digits(x, 1) : count(Math.round(x)));
const mbit = (x) => (x === 0 ? "0" : digits(x / 1e6, x < 1e7 ? 2 : x < 1e9 ? 1 : 0));

function span(s) {
  if (s < 10) return `${digits(s, 1)} s`;
  if (s < 120) return `${Math.floor(s)} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  return s < 172_800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86_400)} d`;
}

const sum = (list, of) => list.reduce((all, one) => all + of(one), 0);
const dropsOf = (traffic) => sum(Object.values(traffic.drops), (n) => n);

// What is known of the node, and of each relay over the last minute.
const node = { status: null, relays: [], links: [], latency: new Map(), events: [], looks: 0, answered: 0, wrong: "" };
const past = new Map();

// Relays are asked for every so many looks.
const everySo = () => Math.min(RELAYS_AT_LEAST, Math.max(1, Math.ceil(node.relays.length / RELAYS_A_LOOK)));

function remember(now) {
  const names = new Set();
  for (const { name, status } of node.relays) {
    names.add(name);
    const points = past.get(name) ?? [];
    const ends = [status.input, ...status.outputs];
    const drops = sum(ends, dropsOf);
    const lost = drops - sum(ends, (end) => end.drops.muted ?? 0); // Who mutes wants just that.
    points.push({ now, in: status.input.pps, drops, lost });
    while (now - points[0].now > MINUTE) points.shift();
    past.set(name, points);
  }
  for (const name of past.keys()) if (!names.has(name)) past.delete(name);
}

function newTrace() {
  const trace = at("wide").cloneNode(true);
  trace.removeAttribute("id");
  return trace;
}

// Sixty seconds from the left to the right, nothing at the bottom.
function drawTrace(trace, points, now) {
  const most = Math.max(...points.map((point) => point.in), 0);
  const least = Math.min(...points.map((point) => point.in), most);
  const [x, y] = [(t) => (60 - (now - t) / 1000).toFixed(2), (v) => (15.5 - (14 * v) / (most || 1)).toFixed(2)];
  let [line, area, before] = ["", "", null];
  for (const point of points) {
    const here = `${x(point.now)} ${y(point.in)}`;
    const joined = before !== null && point.now - before < HOLE * everySo();
    if (!joined && before !== null) area += `L${x(before)} 16Z`;
    line += (joined ? "L" : "M") + here;
    area += joined ? `L${here}` : `M${x(point.now)} 16L${here}`;
    before = point.now;
  }
  trace.querySelector(".line").setAttribute("d", line);
  trace.querySelector(".area").setAttribute("d", before === null ? "" : `${area}L${x(before)} 16Z`);
  trace.setAttribute("aria-label", `the last minute: ${pps(least)} to ${pps(most)} packets/s`);
}

// Relays: a row each, found again by name, so that who stands on one stays on it while others come and go.
const rows = new Map();
const filter = at("filter");

// A node of another version may know none.
const labelsOf = ({ labels = {} }) => Object.entries(labels).map(([key, value]) => `${key}=${value}`).join(", ");

function matches(relay, words) {
  const ends = [relay.status.input, ...relay.status.outputs].map((end) => end.at);
  const text = [relay.name, relay.status.state, relay.origin, relay.description ?? "", labelsOf(relay), ...ends].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

const address = (name) => `#relay/${encodeURIComponent(name)}`;

function rowOf(name) {
  let found = rows.get(name);
  if (!found) {
    const link = make("a", name);
    link.href = address(name);
    link.title = name;
    found = { row: newRow(), link, trace: newTrace() };
    found.row.addEventListener("click", ({ target }) => { if (!target.closest("a")) location.hash = address(name); });
    rows.set(name, found);
  }
  return found;
}

function showRelay({ name, status }, now) {
  const { row, link, trace } = rowOf(name);
  const { input, outputs } = status;
  const points = past.get(name) ?? [];
  const drops = points.at(-1)?.drops ?? 0;
  const isRising = points.some((point) => now - point.now < 10_000 && point.lost < points.at(-1).lost);
  drawTrace(trace, points, now);
  const age = input.last_packet_age_s;
  fillRow(row, heads(at("relays")), [
    link, state(status.state), pps(input.pps), mbit(input.bps), trace, pps(sum(outputs, (out) => out.pps)),
    mbit(sum(outputs, (out) => out.bps)), isRising ? `${count(drops)} rising` : count(drops),
    age === null ? "none yet" : span(age),
  ]);
  row.cells[7].classList.toggle("rising", isRising);
  row.classList.toggle("open", name === opened);
  return row;
}

function showRelays(now) {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const fitting = node.relays.filter((relay) => matches(relay, words));
  const wanted = fitting.slice(0, MOST_ROWS).map((relay) => showRelay(relay, now));
  const body = at("relays").tBodies[0];
  if (wanted.length !== body.rows.length || wanted.some((row, i) => body.rows[i] !== row)) {
    const stood = document.activeElement;
    body.replaceChildren(...wanted);
    if (stood !== document.activeElement && stood.isConnected) stood.focus({ preventScroll: true });
  }
  for (const [name, { row }] of rows) if (!row.isConnected) rows.delete(name);
  const states = Object.entries(node.status.relays).filter(([, n]) => n > 0).map(([word, n]) => `${count(n)} ${word}`);
  const all = node.relays.length;
  const shown = fitting.length < all ? `${count(fitting.length)} of ${count(all)}` : count(all);
  say(at("counts"), [shown, ...states].join(" · "));
  const rest = fitting.length - wanted.length;
  at("rest").hidden = all > 0 && fitting.length > 0 && rest === 0;
  const none = all === 0 ? "There are no relays yet: mcr relay add makes one." : "No relay fits the filter.";
  say(at("rest"), rest > 0 ? `${count(rest)} more: the filter finds them.` : none);
}

// The node.
function showNode() {
  const { ready, ...status } = node.status;
  const failing = ready.checks.filter((check) => !check.ok);
  const of = (verdict) => failing.filter((check) => check.verdict === verdict);
  const names = (checks) => checks.map((check) => check.name).join(", ");
  const [fault, drift, partial] = [of("fault"), of("drift"), of("partial")];
  const given = [[fault, "fault"], [drift, "drift"]].filter(([checks]) => checks.length)
    .map(([checks, word]) => `${word}: ${names(checks)}`);
  mark(at("health"), given.length ? given.join(", ") : "well", fault.length ? "bad" : drift.length ? "warn" : "good");
  say(at("ready"), (ready.status === "ok" ? "ready" : "not ready") + (partial.length ? `, partial: ${names(partial)}` : ""));
  const failed = at("failing");
  while (failed.children.length > failing.length) failed.lastElementChild.remove();
  failing.forEach(({ name, verdict, text }, i) => {
    const item = failed.children[i] ?? failed.appendChild(make("li", make("b"), make("span")));
    item.className = verdict === "fault" ? "bad" : "warn";
    say(item.firstChild, verdict ? `${verdict}: ${name}` : name);
    say(item.lastChild, text);
  });
  fillFacts("facts", [
    ["Role", status.role], ["Version", status.version], ["Up for", span(status.uptime_s)],
    ["Generation", count(status.generation)], ["Process", String(status.pid)],
    ["Configuration", status.config.file + (status.config.on_trial
      ? ` (on trial until ${status.config.on_trial.until})` : "") + (status.config.in_force ? "" : status.config.differs
      ? ` (differs from what is in force: a reload would ${status.config.differs.text})` : " (not in force as it is)")],
    ["State file", status.not_kept
      ? `${status.not_kept.file} has NOT what is in force since ${status.not_kept.since}: ${status.not_kept.problem}`
      : "has what is in force"],
  ]);
  const lane = (of) => {
    if (of.pid === null) return state("ended", "bad");
    if (of.heartbeat_age_ms >= 1000) return state("does not come round", "bad");
    return of.generation < status.generation ? state("behind", "warn") : state("runs", "good");
  };
  const socket = ({ link, queue, mode }) => `${link} queue ${queue} ${mode}`;
  fill("lanes", status.lanes.map((of) => [
    String(of.number), lane(of), of.core === null ? "any" : String(of.core), of.pid === null ? "none" : String(of.pid),
    `${span(of.heartbeat_age_ms / 1000)} ago`, count(of.generation), count(of.restarts),
    `${count(of.free_frames)} of ${count(of.frames)}`, of.sockets.map(socket).join(", ") || "none",
  ]));
  tell(given.length ? `The node: ${given.join(", ")}` : "The node is well.");
  document.title = `${fault.length ? "failing" : "well"} · ${location.host} · MCR`;
}

// Read aloud: what has changed for better or worse, not each second of it.
function tell(text) {
  say(at("told"), text);
}

// What the kernel and the card lost on a link: on the way in, and out. A node of another version may not tell.
function lost(losses = {}) {
  const of = (way) => sum(Object.keys(losses).filter((name) => name.startsWith(way)), (name) => losses[name]);
  return Object.keys(losses).length ? `${count(of("rx_"))}/${count(of("tx_"))}` : "";
}

function showLinks() {
  const use = (link) => [link.input && "input", link.output && "output"].filter(Boolean).join(", ") || "none";
  const mode = (link) => (link.zero_copy === null ? "none" : link.zero_copy ? "zero-copy" : "copy");
  fill("links", node.links.map((link) => [
    link.name, state(link.state), use(link), link.program ?? "none", mode(link), count(link.groups),
    lost(link.losses), `${link.rx_queues}/${link.tx_queues}`, count(link.mtu), link.addresses.join(", ") || "none",
  ]));
}

// One relay in detail. Its address is in the bar, so that it can be sent to somebody, and "back" closes it.
let opened = "";

function openFromAddress() {
  const encoded = location.hash.startsWith("#relay/") ? location.hash.slice("#relay/".length) : "";
  let name = "";
  try { name = decodeURIComponent(encoded); } catch { /* An address that somebody broke names nothing. */ }
  if (name === opened) return;
  const cameFrom = opened;
  opened = name;
  at("way").replaceChildren();
  at("main").classList.toggle("with-detail", opened !== "");
  at("detail").hidden = opened === "";
  say(at("detail-title"), opened);
  if (node.status) show();
  if (opened) at("detail-title").focus();
  else (rows.get(cameFrom)?.link ?? filter).focus();
  node.looks = 0; // Latency is wanted now.
  look();
}

function closeDetail() {
  history.pushState(null, "", location.pathname + location.search);
  openFromAddress();
}

// How an output differs from what comes in, as far as "to" does not say it.
function asWritten(output) {
  const said = ["interface", "group", "address", "port"];
  const differs = ([key, value]) => !said.includes(key) && value !== "keep" && value !== "link";
  return Object.entries(output ?? {}).filter(differs).map(([key, value]) => `${key.replace("_", " ")} ${value}`).join(", ");
}

function showDetail(now) {
  if (!opened) return;
  const relay = node.relays.find(({ name }) => name === opened);
  at("gone").hidden = relay !== undefined;
  at("inside").hidden = at("why").hidden = at("detail-state").hidden = relay === undefined;
  if (!relay) return;
  const { input, outputs, pending, warnings = [], state: word } = relay.status;
  mark(at("detail-state"), word);
  drawTrace(at("wide"), past.get(opened) ?? [], now);
  const sources = relay.input.sources ?? [];
  const known = [["Description", relay.description ?? ""], ["Labels", labelsOf(relay)]].filter(([, text]) => text !== "");
  fillFacts("input", [
    ...known,
    ["Input", input.at], ["Sources", sources.join(", ") || "any"], ["VLAN", String(relay.input.vlan)],
    ["Packets/s", pps(input.pps)], ["Mbit/s", mbit(input.bps)], ["Packets", count(input.packets)],
    ["Last packet", input.last_packet_age_s === null ? "none yet" : `${span(input.last_packet_age_s)} ago`],
    ["Silent after", relay.silence_after], ["Measured", relay.meters], ["Written in", relay.origin],
  ]);
  fill("pending", [...pending.map(({ part, text }) => [part, text]), ...warnings.map((text) => ["warning", text])], true);
  fill("outputs", outputs.map((out, i) => [
    `${out.at}\n${asWritten(relay.outputs[i])}`, pps(out.pps), mbit(out.bps), count(out.packets), count(dropsOf(out)),
  ]));
  const ends = [["input", input], ...outputs.map((out) => [out.at, out])];
  const reasons = ([where, { drops }]) => Object.entries(drops).map(([reason, n]) => [where, reason, count(n)]);
  fill("drops", ends.flatMap(reasons), true);
  showLatency();
  const heard = node.events.filter(({ fields }) => fields.relay === opened).slice(0, 5);
  fill("heard", heard.map((event) => [clock(event.time), state(event.level), event.text]), true);
}

// Lanes count latency, and they count it for all relays together: it stands in the metrics and not with a relay.
function readLatency(metrics) {
  const line = /^mcr_lane_latency_seconds_bucket\{lane="\d+",le="([^"]+)"\} (\S+)$/gm;
  const upTo = new Map();
  for (const [, le, n] of metrics.matchAll(line)) upTo.set(le, (upTo.get(le) ?? 0) + Number(n));
  let before = 0;
  node.latency = new Map();
  for (const [le, n] of upTo) {
    node.latency.set(le, n - before);
    before = n;
  }
}

function showLatency() {
  const buckets = [...node.latency];
  const all = sum(buckets, ([, n]) => n);
  const first = buckets.findIndex(([, n]) => n > 0);
  const last = buckets.findLastIndex(([, n]) => n > 0);
  const most = Math.max(...buckets.map(([, n]) => n), 1);
  const upTo = (le) => {
    if (le === "+Inf") return "more";
    const ns = Number(le) * 1e9;
    return ns < 1e3 ? `${Math.round(ns)} ns` : ns < 1e6 ? `${digits(ns / 1e3, 1)} µs` : `${digits(ns / 1e6, 1)} ms`;
  };
  const rows = all ? buckets.slice(first, last + 1) : [];
  fill("latency", rows.map(([le, n]) => [upTo(le), share(n / all, n / most), count(n)]), true);
  say(at("latency-note"), all
    ? "From the XDP program's stamp to the transmit ring, of all relays and lanes together since each lane began: lanes " +
      "do not tell relays apart here."
    : "No packet's way through a lane was timed yet.");
}

function share(part, length) {
  const bar = document.createElementNS(SVG, "svg");
  const rect = document.createElementNS(SVG, "rect");
  const percent = part > 0 && part < 0.001 ? "< 0.1 %" : `${digits(part * 100, 1)} %`;
  const size = { width: Math.max(length * 110, part > 0 ? 1 : 0), height: 9, rx: 2 };
  for (const [name, value] of Object.entries(size)) rect.setAttribute(name, value);
  bar.setAttribute("aria-hidden", "true");
  bar.append(rect);
  const made = make("span", bar, percent);
  made.className = "share";
  return made;
}

async function askWhy() {
  const [name, answer] = [opened, at("way")];
  answer.replaceChildren(make("p", "Looking at its link, for about a second …"));
  let found;
  try {
    const why = await ask(`api/v1/relays/${encodeURIComponent(name)}/why`);
    const step = ({ part, name: what, state: word, text, remedy }) => {
      const item = make("li", make("span"), ` ${part} ${what.replaceAll("_", " ")}${text && ": "}${text}`);
      mark(item.firstChild, word.replaceAll("_", " "), LOOKS[word]);
      if (remedy) item.append(make("span", remedy));
      item.lastElementChild.classList.toggle("remedy", Boolean(remedy));
      return item;
    };
    const verdict = make("strong");
    mark(verdict, why.verdict);
    // What is broken is read first; the whole way can be unfolded.
    const broken = why.steps.filter((one) => one.state === "broken").map(step);
    const summary = make("summary", `The whole way, ${count(why.steps.length)} steps`);
    const way = make("details", summary, make("ul", ...why.steps.map(step)));
    found = [make("p", verdict), make("ul", ...broken), ...why.warnings.map((text) => make("p", text)), way];
  } catch (error) {
    found = [make("p", `It was not answered why: ${error.message}`)];
  }
  if (name === opened) answer.replaceChildren(...found);
}

// Events, as the node sends them. A browser that lost the stream comes again by itself and names the last it saw.
let source = null;
let lastEvent = "";
let drawing = 0;

function follow() {
  source?.close();
  source = null;
  if (document.hidden) return; // There is room for so many who follow, and nobody looks.
  source = new EventSource(`api/v1/events?${lastEvent ? `after=${lastEvent}` : `last=${MOST_EVENTS}`}`);
  for (const name of EVENTS) source.addEventListener(name, hear);
  source.addEventListener("error", () => {
    // Refused with a status, or given up by the browser: only then it does not come again by itself.
    if (source?.readyState === EventSource.CLOSED) setTimeout(follow, PATIENCE);
  });
}

function hear(message) {
  const event = JSON.parse(message.data);
  if (event.id === lastEvent) return;
  lastEvent = event.id;
  node.events.unshift(event);
  node.events.length = Math.min(node.events.length, MOST_EVENTS);
  drawing ||= setTimeout(showEvents, 100); // Hundreds come at once when the stream begins.
}

// Local time, with the day if it is not today's.
function clock(time) {
  const day = (date) => date.toLocaleString("sv").slice(0, 10);
  const date = new Date(time);
  return day(date) === day(new Date()) ? date.toLocaleString("sv").slice(11) : date.toLocaleString("sv");
}

function showEvents() {
  drawing = 0;
  fill("events", node.events.map((event) => [clock(event.time), state(event.level), event.event, event.text]));
  node.events.forEach(({ level }, i) => { at("events").tBodies[0].rows[i].dataset.level = level; });
}

// Looking.
let timer = 0;
let turn = 0;

async function ask(path, as = "json") {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => null);
    throw new Error(`${answer.status} ${problem?.detail ?? answer.statusText}`);
  }
  return answer[as]();
}

async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  const [began, mine] = [performance.now(), ++turn];
  const seldom = node.looks % SELDOM === 0;
  try {
    const wanted = node.looks % everySo() === 0;
    const asked = [ask("api/v1/status"), wanted ? ask("api/v1/relays") : node];
    asked.push(seldom ? ask("api/v1/links") : node.links, seldom && opened ? ask("metrics", "text") : null);
    const [status, { relays }, links, metrics] = await Promise.all(asked);
    if (mine !== turn) return; // Another look has begun meanwhile, which goes on.
    Object.assign(node, { status, relays, links, answered: performance.now(), looks: node.looks + 1, wrong: "" });
    if (metrics !== null) readLatency(metrics);
    if (wanted) remember(performance.now());
  } catch (error) {
    node.wrong = /^\d/.test(error.message) ? ` (${error.message})` : ""; // What a browser says of a dead node helps nobody.
  } finally {
    // A node that is slow to answer is given a rest before it is asked again.
    if (mine === turn) timer = setTimeout(look, Math.max(LOOK / 4, LOOK - (performance.now() - began)));
  }
  if (mine === turn && node.answered >= began) show();
}

function show() {
  const now = performance.now();
  showNode();
  showRelays(now);
  showDetail(now);
  showLinks();
  showSilence();
}

function showSilence() {
  const silent = performance.now() - node.answered;
  const isSilent = silent > SILENCE && !document.hidden;
  at("silence").hidden = !isSilent;
  document.body.classList.toggle("stale", isSilent);
  if (!isSilent) return;
  const since = `no answer since ${Math.floor(silent / 1000)} s${node.wrong}`;
  say(at("silence"), `${since}: what is shown is from before; it goes on by itself`);
  mark(at("health"), "no answer", "off");
  say(at("ready"), "");
  document.title = `no answer · ${location.host} · MCR`;
  tell("The node does not answer.");
}

// Keys.
function move(by) {
  const links = [...at("relays").querySelectorAll("a")];
  const stands = links.indexOf(document.activeElement);
  if (stands < 0 && document.activeElement !== filter) return false;
  (stands + by < 0 ? filter : links[Math.min(stands + by, links.length - 1)])?.focus();
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isFilter = event.target === filter;
  if (event.key === "/" && !isFilter) {
    filter.focus();
    filter.select();
  } else if (event.key === "Escape" && isFilter && filter.value) {
    filter.value = "";
    filter.dispatchEvent(new Event("input"));
  } else if (event.key === "Escape" && opened) {
    closeDetail();
  } else if (event.key === "Enter" && isFilter) {
    at("relays").querySelector("a")?.click();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (!move(event.key === "ArrowDown" ? 1 : -1)) return;
  } else {
    return;
  }
  event.preventDefault();
});

for (const table of document.querySelectorAll("table")) {
  table.setAttribute("role", "table");
  for (const row of table.querySelectorAll("tr")) row.setAttribute("role", "row");
  for (const head of heads(table)) head.setAttribute("role", "columnheader");
}
filter.addEventListener("input", () => { if (node.status) showRelays(performance.now()); });
at("close").addEventListener("click", closeDetail);
at("why").addEventListener("click", askWhy);
at("grave").addEventListener("change", (event) => at("events").classList.toggle("grave", event.target.checked));
addEventListener("hashchange", openFromAddress);
addEventListener("popstate", openFromAddress);
document.addEventListener("visibilitychange", () => {
  node.answered = performance.now(); // Nobody asked meanwhile, so nobody was silent.
  look();
  follow();
});
setInterval(showSilence, 1000);
say(at("host"), location.host);
node.answered = performance.now();
openFromAddress();
if (!opened) look();
follow();
