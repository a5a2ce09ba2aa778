"use strict";

// Data -> what a hover or a key shows: a node's ancestors and descendants, what a step holds.

const data = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");

// Tooltip ------------------------------------------------------------------------------------

function line(kind, ...texts) {
  const div = document.createElement("div");
  div.className = kind;
  for (const text of texts) {
    const span = document.createElement("span");
    span.textContent = text;
    div.append(span);
  }
  return div;
}

function show(title, lines, x, y) {
  const name = document.createElement("b");
  name.textContent = title;
  tip.replaceChildren(name, ...lines);
  tip.hidden = false;
  const width = tip.offsetWidth;
  const height = tip.offsetHeight;
  const left = x + 16 + width > innerWidth - 8 ? x - 16 - width : x + 16;
  const top = y + 16 + height > innerHeight - 8 ? y - 16 - height : y + 16;
  tip.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
  tip.style.top = `${Math.max(8, top)}px`;
}

function hide() {
  tip.hidden = true;
}

// Stage graph --------------------------------------------------------------------------------

const graph = document.getElementById("graph");
const nodes = [...graph.querySelectorAll(".node")];
const edges = [...graph.querySelectorAll(".edge")];
const before = data.graph.nodes.map(() => []);
const after = data.graph.nodes.map(() => []);
for (const [from, to] of data.graph.edges) {
  after[from].push(to);
  before[to].push(from);
}

function reach(start, next) {
  const found = new Set([start]);
  for (const node of found) for (const other of next[node]) found.add(other);
  return found;
}

function trace(number) {
  const up = reach(number, before);
  const down = reach(number, after);
  graph.classList.add("tracing");
  nodes.forEach((node, i) => node.classList.toggle("on", up.has(i) || down.has(i)));
  for (const edge of edges) {
    const from = Number(edge.dataset.from);
    const to = Number(edge.dataset.to);
    edge.classList.toggle("on", (up.has(from) && up.has(to)) || (down.has(from) && down.has(to)));
  }
}

function untrace() {
  graph.classList.remove("tracing");
  hide();
}

function describe(number, x, y) {
  const { title, lines } = data.graph.nodes[number];
  trace(number);
  show(title, lines.map((text) => line("", text)), x, y);
}

nodes.forEach((node, number) => {
  node.addEventListener("pointermove", (event) => describe(number, event.clientX, event.clientY));
  node.addEventListener("pointerleave", untrace);
  node.addEventListener("focus", () => {
    const box = node.getBoundingClientRect();
    describe(number, box.left + box.width / 2, box.bottom - 8);
  });
  node.addEventListener("blur", untrace);
});

const canvas = document.getElementById("canvas");
const fit = document.getElementById("fit");
fit.hidden = canvas.scrollWidth <= canvas.clientWidth;
fit.addEventListener("click", () => {
  const pressed = canvas.classList.toggle("fit");
  fit.setAttribute("aria-pressed", String(pressed));
});

// Memory timeline ----------------------------------------------------------------------------

const timeline = document.getElementById("timeline");
const { runs, tensors, usages, steps, peak } = data.memory;
let current = peak;

function stepTitle([first, count, step]) {
  const of = `step ${step.toLocaleString("en")} of ${steps.toLocaleString("en")}`;
  const last = first + count - 1;
  return count > 1 ? `${of}, the most of ${first.toLocaleString("en")}–${last.toLocaleString("en")}` : of;
}

function stepLines(run) {
  const usage = usages[run[4]];
  const lines = [line("", tensors[run[3]]), line("", usage.method), line("", usage.does)];
  for (const [name, size] of usage.held) lines.push(line("row held", `holds ${name}`, size));
  if (!usage.held.length) lines.push(line("row", "holds nothing between sweeps", ""));
  if (usage.scratch) lines.push(line("row", "histograms and scratch", usage.scratch));
  lines.push(line("row", "tile buffers", usage.tiles), line("row sum", "in memory", usage.total));
  return lines;
}

function point(index, y) {
  current = Math.max(0, Math.min(runs.length - 1, index));
  const run = runs[current];
  const [first, count] = run;
  document.getElementById("cursor").setAttribute("d", `M${first - 1} 0H${first - 1 + count}V220H${first - 1}Z`);
  const box = timeline.getBoundingClientRect();
  const x = box.left + ((first - 1 + count / 2) / steps) * box.width;
  const lines = stepLines(run);
  show(stepTitle(run), lines, x, y ?? box.top + 40);
  timeline.setAttribute("aria-valuenow", String(current + 1));
  const words = lines.map((item) => [...item.children].map((part) => part.textContent).join(" "));
  timeline.setAttribute("aria-valuetext", [stepTitle(run), ...words].join(", "));
}

function unpoint() {
  document.getElementById("cursor").setAttribute("d", "");
  hide();
}

function leap(key) {
  const far = Math.max(1, Math.round(runs.length / 20));
  const places = {
    ArrowLeft: current - 1,
    ArrowDown: current - 1,
    ArrowRight: current + 1,
    ArrowUp: current + 1,
    PageDown: current - far,
    PageUp: current + far,
    Home: 0,
    End: runs.length - 1,
    p: peak,
    P: peak,
  };
  return places[key];
}

if (timeline) {
  timeline.addEventListener("pointermove", (event) => {
    const box = timeline.getBoundingClientRect();
    const step = Math.floor(((event.clientX - box.left) / box.width) * steps);
    point(Math.floor(step / runs[0][1]), event.clientY);
  });
  timeline.addEventListener("pointerleave", unpoint);
  timeline.addEventListener("focus", () => point(current));
  timeline.addEventListener("blur", unpoint);
  timeline.addEventListener("keydown", (event) => {
    const place = leap(event.key);
    if (place === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    point(place);
  });
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  untrace();
  unpoint();
});
