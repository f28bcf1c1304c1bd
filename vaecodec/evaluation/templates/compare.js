"use strict";
const $ = id => document.getElementById(id);
const stage = $("stage"), divider = $("divider");
const panes = [...stage.querySelectorAll(".pane")];
const images = panes.map(pane => pane.querySelector("img"));
const [W, H] = [() => images[0].naturalWidth, () => images[0].naturalHeight];
const FLICKER_MS = 800, MAX_ZOOM = 32, STEP = 1.25;
// u, v: the picture's point in the middle of a pane; scale: CSS pixels a picture pixel, 0 for fit.
const state = { mode: "slide", first: 1, second: 2, shown: 1, split: 0.5, u: 0, v: 0, scale: 0 };
let timer = 0, held = false;

const ratio = () => window.devicePixelRatio || 1;
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const paneSize = () => {
  const box = panes[state.first].getBoundingClientRect();
  return [box.width, box.height];
};

function fitScale() {
  const [w, h] = paneSize(), scale = Math.min(w / W(), h / H()), whole = 1 / ratio();
  return scale >= whole && scale < 1.25 * whole ? whole : Math.min(scale, MAX_ZOOM / ratio());
}

// The left and the right edge of what is seen of the picture, in the stage's pixels.
function visible() {
  const [w] = paneSize(), scale = state.scale || fitScale(), left = w / 2 - state.u * scale;
  return [Math.max(0, left), Math.min(w, left + W() * scale)];
}

function draw() {
  const [w, h] = paneSize(), fit = fitScale(), scale = state.scale || fit, dpr = ratio();
  const half = [w / 2 / scale, h / 2 / scale];
  state.u = half[0] * 2 >= W() ? W() / 2 : clamp(state.u, half[0], W() - half[0]);
  state.v = half[1] * 2 >= H() ? H() / 2 : clamp(state.v, half[1], H() - half[1]);
  const snap = value => Math.round(value * dpr) / dpr;
  const style = `left:${snap(w / 2 - state.u * scale)}px;top:${snap(h / 2 - state.v * scale)}px;` +
    `width:${W() * scale}px;height:${H() * scale}px`;
  const difference = $("difference").checked, times = $("times").value;
  stage.className = state.mode;
  stage.classList.toggle("zoomed", scale > fit * 1.001);
  stage.classList.toggle("pixels", scale * dpr >= 2);
  const [left, right] = visible(), x = left + state.split * (right - left);
  panes.forEach((pane, i) => {
    for (const image of pane.querySelectorAll("img")) image.style.cssText = style;
    const seen = difference && i > 0 && times === "map";  // the original is shown as it is
    const differs = difference && i > 0 && !seen;
    pane.classList.toggle("difference", differs);
    pane.classList.toggle("seen", seen);
    pane.firstElementChild.style.filter = differs ? `brightness(${times})` : "";
    const on = held ? i === 0 : state.mode === "side" || (state.mode === "flicker" ?
      i === state.shown : i === state.first || i === state.second);
    pane.classList.toggle("off", !on);
    pane.classList.toggle("second", i === state.second && state.first !== state.second);
    const above = state.mode === "slide" && i === state.first && i !== state.second && !held;
    pane.style.clipPath = above ? `inset(0 ${w - x}px 0 0)` : "";
    pane.style.zIndex = above ? 1 : 0;
    const caption = pane.querySelector("figcaption");
    caption.dataset.label ||= caption.textContent;
    caption.textContent = caption.dataset.label +
      (differs ? ` \u00b7 difference \u00d7 ${times}` : seen ? " \u00b7 what is seen" : "");
  });
  divider.style.left = `${x}px`;
  divider.style.zIndex = 2;
  divider.setAttribute("aria-valuenow", Math.round(100 * state.split));
  divider.setAttribute("aria-valuetext", `${Math.round(100 * state.split)} % ` +
    `${panes[state.first].dataset.name}, the rest ${panes[state.second].dataset.name}`);
  $("percent").textContent = `${Math.round(100 * scale * dpr)} %`;
  $("first").value = state.first;
  $("second").value = state.second;
  $("times").hidden = !difference;
  $("legend").hidden = !difference || times !== "map";
  $("play").hidden = state.mode !== "flicker";
  $("play").textContent = timer ? "Pause" : "Play";
  document.querySelector(".pair").hidden = state.mode === "side";
  document.querySelector(`input[value=${state.mode}]`).checked = true;
}

// x, y: from the middle of the pane, in CSS pixels; that point stays where it is.
function zoomTo(scale, x = 0, y = 0) {
  const fit = fitScale(), before = state.scale || fit;
  scale = clamp(scale, fit, Math.max(fit, MAX_ZOOM / ratio()));
  state.u += x / before - x / scale;
  state.v += y / before - y / scale;
  state.scale = scale <= fit * 1.001 ? 0 : scale;
  draw();
}
const zoomBy = (factor, x, y) => zoomTo((state.scale || fitScale()) * factor, x, y);

function moveBy(x, y) {
  const scale = state.scale || fitScale();
  state.u -= x / scale;
  state.v -= y / scale;
  draw();
}

function splitAt(clientX) {
  const [left, right] = visible(), x = clientX - stage.getBoundingClientRect().left;
  state.split = clamp((x - left) / (right - left), 0, 1);
  draw();
}

function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(other, FLICKER_MS) : 0;
  draw();
}
function other() {
  state.shown = state.shown === state.first ? state.second : state.first;
  draw();
}
function setMode(mode) {
  state.mode = mode;
  state.shown = state.first;
  play(mode === "flicker" && !matchMedia("(prefers-reduced-motion: reduce)").matches);
}
function choose(first, second) {
  Object.assign(state, { first, second, shown: first });
  draw();
}

// Where a pointer is: from the middle of the pane under it.
function inPane(event) {
  const pane = state.mode === "side" ? panes.find(p => {
    const b = p.getBoundingClientRect();
    return event.clientX >= b.left && event.clientX <= b.right && event.clientY >= b.top &&
      event.clientY <= b.bottom;
  }) || panes[0] : panes[state.first];
  const box = pane.getBoundingClientRect();
  return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
}

const pointers = new Map();
let moved = 0, onDivider = false, lastTap = { time: 0, x: 0, y: 0 };

stage.addEventListener("pointerdown", event => {
  if (event.button) return;
  onDivider = event.target === divider;
  stage.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  if (pointers.size === 1) moved = 0;
  if (onDivider) divider.focus({ preventScroll: true });
  stage.classList.add("dragging");
});

stage.addEventListener("pointermove", event => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const others = [...pointers.values()].filter(p => p.pointerId !== event.pointerId);
  const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY;
  moved += Math.abs(dx) + Math.abs(dy);
  pointers.set(event.pointerId, event);
  if (others.length) {
    const span = p => Math.hypot(p.clientX - others[0].clientX, p.clientY - others[0].clientY);
    const [x, y] = inPane(event), [ox, oy] = inPane(others[0]);
    moveBy(dx / 2, dy / 2);
    zoomBy(span(event) / Math.max(span(before), 1), (x + ox) / 2, (y + oy) / 2);
  } else if (onDivider || (state.mode === "slide" && !state.scale)) splitAt(event.clientX);
  else moveBy(dx, dy);
});

for (const kind of ["pointerup", "pointercancel"]) stage.addEventListener(kind, event => {
  if (!pointers.delete(event.pointerId) || pointers.size) return;
  stage.classList.remove("dragging");
  if (kind === "pointercancel" || moved > 8) return;
  const tap = { time: event.timeStamp, x: event.clientX, y: event.clientY };
  const near = Math.hypot(tap.x - lastTap.x, tap.y - lastTap.y) < 30;
  if (near && tap.time - lastTap.time < 350) {
    const [x, y] = inPane(event);
    if (state.scale) zoomTo(0); else zoomTo(Math.max(4 / ratio(), 2 * fitScale()), x, y);
    lastTap = { time: 0, x: 0, y: 0 };
    return;
  }
  lastTap = tap;
  if (state.mode === "flicker") { play(false); other(); }
});

stage.addEventListener("wheel", event => {
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 20 : 1;
  zoomBy(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), ...inPane(event));
}, { passive: false });

const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

divider.addEventListener("keydown", event => {
  const arrow = arrows[event.key], step = event.shiftKey ? 0.1 : 0.01;
  const by = arrow ? (arrow[0] - arrow[1]) * step :
    { PageUp: 0.1, PageDown: -0.1, Home: -1, End: 1 }[event.key];
  if (by === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  state.split = clamp(state.split + by, 0, 1);
  event.preventDefault();
  event.stopPropagation();
  draw();
});

const keys = {
  s: () => setMode("slide"), f: () => setMode("flicker"), b: () => setMode("side"),
  d: () => { $("difference").checked = !$("difference").checked; draw(); },
  x: () => choose(state.second, state.first),
  o: () => { held = true; draw(); },
  "+": () => zoomBy(STEP), "=": () => zoomBy(STEP), "-": () => zoomBy(1 / STEP),
  0: () => zoomTo(0), 1: () => zoomTo(1 / ratio()),
  " ": () => {
    if (state.mode === "flicker") { play(false); other(); } else choose(state.second, state.first);
  },
};
// Anywhere on the page, but for the keys that a control has a use for itself.
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("select")) return;
  if (event.target.closest("input, button") && /^( |Enter|Arrow.*)$/.test(event.key)) return;
  const arrow = arrows[event.key], action = keys[event.key.toLowerCase()];
  if (arrow && state.scale) moveBy(-60 * arrow[0], -60 * arrow[1]);
  else if (arrow && arrow[0] && state.mode === "slide") {
    state.split = clamp(state.split + 0.01 * arrow[0], 0, 1);
    draw();
  } else if (action) action();
  else return;
  event.preventDefault();
});
const release = () => { if (held) { held = false; draw(); } };
document.addEventListener("keyup", event => { if (event.key.toLowerCase() === "o") release(); });
window.addEventListener("blur", release);

for (const input of document.querySelectorAll("input[name=mode]"))
  input.addEventListener("change", () => setMode(input.value));
$("first").addEventListener("change", e => choose(+e.target.value, state.second));
$("second").addEventListener("change", e => choose(state.first, +e.target.value));
$("difference").addEventListener("change", draw);
$("times").addEventListener("change", draw);
$("play").addEventListener("click", () => play(!timer));
$("in").addEventListener("click", () => zoomBy(STEP));
$("out").addEventListener("click", () => zoomBy(1 / STEP));
$("fit").addEventListener("click", () => zoomTo(0));
new ResizeObserver(draw).observe(stage);

Promise.all([...stage.querySelectorAll("img")].map(image => image.decode())).then(() => {
  panes.forEach((pane, i) => {
    const under = new Image();
    under.src = images[0].src;
    under.className = "under";
    under.alt = "";
    under.draggable = false;
    pane.firstElementChild.append(under);
    for (const id of ["first", "second"]) $(id).add(new Option(pane.dataset.name, i));
  });
  [state.u, state.v] = [W() / 2, H() / 2];
  draw();
  document.documentElement.dataset.ready = "";
});
