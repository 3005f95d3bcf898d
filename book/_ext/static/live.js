/* The live figure: what narrow.js computes, as live_parts.js draws it, and a reader changes it.

   `<div class="live-figure">` becomes the whole figure, and with the class `live-show` a picture
   that plays by itself. What stands in the element before is for readers without JavaScript.
   Nothing is loaded from anywhere. */
"use strict";

(function () {
  const L = window.narrowLive;
  const { make, button, number, signed } = L;

  /* ---- the figure to play with ---- */

  function figure(host) {
    const plane = L.planeOf(host), weights = L.weightsOf(), curve = L.curveOf();
    const said = make("p", { class: "live-said", "aria-live": "polite" });
    const seen = make("dl", { class: "live-seen" });
    const preset = make("p", { class: "live-preset" });
    const code = make("pre", { tabindex: 0, "aria-label": "This run in Python" });
    const inputs = {};
    let run, marks = [], last = 0, atLast = 0;

    const player = L.clock((now) => {
      const count = L.pace(run, now, last);
      if (count > 0) last = now;
      steps(L.still() ? 500 : count);
      if (now - atLast > 4000) { atLast = now; say(); }
      return L.verdict(run) === "";
    }, (on) => {
      go.textContent = on ? "Pause" : "Run";
      if (!on) tell();
    });

    const step = button("Step", () => { player.set(false); steps(1); tell(); });
    const go = button("Run", () => player.set(!player.running()));
    const reset = button("Reset", () => { begin(run.setting); tell(); });
    const ball = button("", () => {
      run.setting.ball = !run.setting.ball;
      changed();
    });
    const add = button("Add a point", () => addPoint([-2 + 0.4 * (marks.length % 11), 0.2], true));

    /* Takes steps, and draws what came of them. */
    function steps(count) {
      for (let k = 0; k < count && L.verdict(run) === ""; k += 1) L.advance(run);
      draw();
    }

    function begin(setting) {
      player.set(false);
      run = L.newRun(setting);
      draw();
    }

    /* The problem is another one; the network goes on from where it stands. */
    function changed() {
      L.restart(run, run.state.params);
      draw();
      if (!player.running()) tell();
    }

    /* ---- words ---- */

    function say() {
      const verdict = L.verdict(run);
      said.textContent =
        `Step ${run.steps}: loss ${number(run.state.loss)}, ` +
        `${L.right(run)} of ${run.data.y.length} labels right, ` +
        `farthest move of a neuron ${number(Math.max(...L.moves(run)))}. ${verdict}`;
    }

    /* All that is not needed while the picture moves. */
    function tell() {
      say();
      nameMarks();
      code.textContent = python();
    }

    function numbers() {
      const { state, set } = run;
      const all = Math.hypot(...L.moves(run));
      const v = state.params.v.slice(0, state.params.v.length / 2);
      const rows = {
        "step": String(run.steps),
        "loss": number(state.loss),
        "labels right": `${L.right(run)} of ${run.data.y.length}`,
        "farthest move of a neuron": number(Math.max(...L.moves(run))),
        "‖W − W₀‖": number(all) + (set.radius === Infinity ? "" : ` of ${set.radius}`),
        "output weights": `${number(Math.min(...v))} to ${number(Math.max(...v))}`,
      };
      seen.replaceChildren(...Object.entries(rows).map(([name, value]) =>
        make("div", {}, make("dt", {}, name), make("dd", {}, value))));
    }

    /* The same problem for the library. */
    function python() {
      const { setting, start, set } = run;
      const list = (a) => JSON.stringify(a);
      const W = set.radius === Infinity ? "nl.Free()" : `nl.Ball(start.W, radius=${set.radius})`;
      const solver = {
        armijo: "nl.ProjectedGradient(C)",
        ray: "nl.ProjectedGradient(C, ray_scaling=True)",
        fixed: `nl.ProjectedGradient(C, step_size=${setting.stepSize})`,
        newton: "nl.ProjectedGaussNewton(C)",
      }[setting.method];
      return [
        "import jax", "", 'jax.config.update("jax_enable_x64", True)',
        "import jax.numpy as jnp", "import narrowlib as nl", "",
        `X = jnp.array(${list(setting.X)}, float)`,
        `y = jnp.array(${list(setting.y)}, float)`,
        `start = nl.Params(W=jnp.array(${list(start.W)}), v=jnp.array(${list(start.v)}))`,
        `C = nl.Product(W=${W}, v=nl.PairedCone(zeta=${set.zeta}, kappa=${set.kappa}))`,
        `solver = ${solver}`,
        `sol = solver.run(start, X, y, max_steps=${Math.max(run.steps, 1)}, tol=0.0, throw=False)`,
        'print(sol.stats["loss"])',
      ].join("\n");
    }

    /* ---- drawing ---- */

    function draw() {
      plane.paint(run.state.params);
      weights.draw(run);
      curve.draw(run);
      numbers();
      drawMarks();
      ball.textContent = run.setting.ball ? "Take the ball away" : "Put the ball back";
      inputs.stepSize.disabled = run.setting.method !== "fixed";
      inputs.radius.disabled = !run.setting.ball;
      add.disabled = run.data.y.length >= L.MOST_POINTS;
    }

    function drawMarks() {
      const { X, y } = run.data;
      while (marks.length > X.length) marks.pop().remove();
      while (marks.length < X.length) marks.push(newMark(marks.length));
      marks.forEach((e, k) => {
        if (e.dataset.label !== String(y[k])) {
          e.dataset.label = y[k];
          e.replaceChildren(...L.mark(y[k]).children);
        }
        const [x, z] = [L.toX(X[k][0], L.RANGE), L.toY(X[k][1], L.RANGE)];
        e.setAttribute("transform", `translate(${x} ${z})`);
      });
    }

    function nameMarks() {
      const { X, y } = run.data;
      marks.forEach((e, k) => e.setAttribute("aria-label",
        `Point ${k + 1}: label ${y[k] > 0 ? "plus" : "minus"} 1, ` +
        `at ${signed(X[k][0])}, ${signed(X[k][1])}; ` +
        `the network says ${signed(run.state.residual[k] + y[k], 2)}`));
    }

    /* ---- points: by mouse, finger or key ---- */

    function setPoints(X, y) {
      Object.assign(run.setting, { X, y });
      changed();
    }

    const within = (x) => Math.max(-L.RANGE, Math.min(L.RANGE, x));
    const replaced = (list, k, item) => list.map((old, i) => (i === k ? item : old));
    const rounded = (x) => Math.round(100 * within(x)) / 100;

    function addPoint(at, focus) {
      const { X, y } = run.setting;
      if (X.length >= L.MOST_POINTS) return;
      setPoints([...X, at.map(rounded)], [...y, 1]);
      if (focus) marks[marks.length - 1].focus();
    }

    function removePoint(k) {
      const { X, y } = run.setting;
      if (X.length === 1) return;
      setPoints(X.filter((_, i) => i !== k), y.filter((_, i) => i !== k));
      marks[Math.min(k, marks.length - 1)].focus();
    }

    const toggle = (k) =>
      setPoints(run.setting.X, replaced(run.setting.y, k, -run.setting.y[k]));
    const moveTo = (k, at) =>
      setPoints(replaced(run.setting.X, k, at.map(rounded)), run.setting.y);

    function placeOf(event) {
      const box = plane.svg.getBoundingClientRect();
      return [
        L.RANGE * ((2 * (event.clientX - box.left)) / box.width - 1),
        L.RANGE * (1 - (2 * (event.clientY - box.top)) / box.height),
      ];
    }

    const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

    function newMark(k) {
      const e = make("g", { class: "live-point", tabindex: 0, role: "button" });
      let from = null, dragged = false;
      e.addEventListener("pointerdown", (event) => {
        from = [event.clientX, event.clientY];
        dragged = false;
        e.setPointerCapture(event.pointerId);
      });
      e.addEventListener("pointermove", (event) => {
        if (from === null) return;
        dragged ||= Math.hypot(event.clientX - from[0], event.clientY - from[1]) > 4;
        if (dragged) moveTo(k, placeOf(event));
      });
      e.addEventListener("pointerup", () => {
        if (from !== null && !dragged) toggle(k);
        from = null;
      });
      e.addEventListener("pointercancel", () => { from = null; });
      e.addEventListener("keydown", (event) => {
        const size = event.shiftKey ? 0.02 : 0.1;
        const arrow = ARROWS[event.key];
        if (arrow) moveTo(k, run.setting.X[k].map((x, i) => x + size * arrow[i]));
        else if (event.key === "Enter" || event.key === " ") toggle(k);
        else if (event.key === "Delete" || event.key === "Backspace") removePoint(k);
        else return;
        event.preventDefault();
      });
      plane.svg.append(e);
      return e;
    }

    plane.svg.addEventListener("click", (event) => {
      if (event.target === plane.svg) addPoint(placeOf(event), false);
    });

    /* ---- the settings ---- */

    function slider(key, label, anew) {
      const list = L.LISTS[key];
      const output = make("output");
      const input = make("input", { type: "range", min: 0, max: list.length - 1, step: 1 });
      inputs[key] = input;
      input.show = () => {
        const value = run.setting[key];
        input.value = list.indexOf(value);
        output.textContent = value;
        input.setAttribute("aria-valuetext", String(value));
      };
      input.addEventListener("input", () => {
        run.setting[key] = list[Number(input.value)];
        input.show();
        apply(anew);
      });
      return make("label", {}, make("span", {}, label), input, output);
    }

    function apply(anew) {
      preset.textContent = "";
      if (!anew) return changed();
      begin(run.setting);
      tell();
    }

    const method = make("select", {}, ...Object.entries(L.METHODS).map(([value, text]) =>
      make("option", { value }, text)));
    method.addEventListener("change", () => {
      run.setting.method = method.value;
      apply(false);
    });
    const seed = make("input", { type: "number", min: 0, max: 999, step: 1 });
    seed.addEventListener("change", () => {
      run.setting.seed = Math.max(0, Math.min(999, Math.round(Number(seed.value)) || 0));
      seed.value = run.setting.seed;
      apply(true);
    });

    function load(key) {
      const [, setting, words] = L.PRESETS[key];
      begin({ ...L.DEFAULT, ...setting });
      preset.textContent = words;
      method.value = run.setting.method;
      seed.value = run.setting.seed;
      for (const key of Object.keys(L.LISTS)) inputs[key].show();
      tell();
    }

    const settings = make("div", { class: "live-settings" },
      make("label", { class: "live-wide" }, make("span", {}, "Method"), method),
      slider("m", "Neurons m", true),
      make("label", {}, make("span", {}, "Seed of the start"), seed),
      slider("alpha", "Scale α of the start", true),
      slider("radius", "Radius ε of the ball", false),
      slider("zeta", "ζ: least output weight", false),
      slider("kappa", "κ: largest ratio of two", false),
      slider("stepSize", "Fixed step size", false));
    const keys = make("p", { class: "live-keys", id: "live-keys" },
      "Click in the plane to add a point, on a point to change its label; drag it to move it. ",
      "By keyboard: Tab to a point, arrow keys to move it (with Shift: by less), Enter to change ",
      "its label, Delete to remove it.");
    plane.svg.setAttribute("role", "application");
    plane.svg.setAttribute("aria-label", "The plane with its points");
    plane.svg.setAttribute("aria-describedby", "live-keys");

    const panel = (title, ...children) =>
      make("div", { class: "live-panel" }, make("p", { class: "live-title" }, title), ...children);
    host.replaceChildren(
      make("div", { class: "live-presets", role: "group", "aria-label": "Examples" },
        ...Object.keys(L.PRESETS).map((key) => button(L.PRESETS[key][0], () => load(key)))),
      preset,
      make("div", { class: "live-stage" },
        panel("The plane, coloured by F", plane.box),
        panel("The neurons and their balls", weights.svg)),
      make("div", { class: "live-buttons", role: "group", "aria-label": "The run" },
        go, step, reset, ball, add),
      seen, said,
      panel("The loss", curve.svg),
      settings, keys,
      make("details", {}, make("summary", {}, "This run in Python"), code)
    );
    L.onTheme(() => plane.paint(run.state.params));
    load("six");
    new ResizeObserver(() => curve.draw(run)).observe(host);
    host.live = { run: () => run, load, playing: player.running };
  }

  /* ---- the picture that plays by itself ---- */

  const SHOW = {
    X: [0, 1, 2, 3, 4, 5, 6, 7].map((k) => {
      const turn = 0.3 + (2 * Math.PI * k) / 8.6;
      return [1.6 * Math.cos(turn), 1.6 * Math.sin(turn)];
    }),
    y: [1, 1, -1, 1, -1, -1, 1, -1],
    m: 8, alpha: 1, radius: 1, zeta: 0.01, kappa: 10, method: "ray", ball: true,
  };
  const SEEDS = [3, 1, 0], FIRST_STEPS = 300, REST = 5000;

  /* Projected gradient for a while, then Gauss–Newton to the end. */
  function advanceShow(run) {
    if (run.steps === FIRST_STEPS) {
      run.setting.method = "newton";
      L.restart(run, run.state.params);
    }
    L.advance(run);
  }

  function show(host) {
    const plane = L.planeOf(host), weights = L.weightsOf();
    const words = make("span", { class: "live-words" });
    let run, turn = 0, ended = 0, last = 0;
    plane.svg.setAttribute("role", "img");
    plane.svg.setAttribute("aria-label",
      "Eight points in the plane with labels plus and minus; the plane is coloured by what eight " +
      "neurons say, and at the end each point lies in its colour.");

    function begin() {
      run = L.newRun({ ...SHOW, seed: SEEDS[turn % SEEDS.length] });
      ended = 0;
      draw();
    }

    function draw() {
      plane.paint(run.state.params);
      weights.draw(run);
      words.textContent = `step ${run.steps}, loss ${number(run.state.loss)}`;
    }

    const player = L.clock((now) => {
      if (ended > 0) {
        if (now - ended > REST) { turn += 1; begin(); }
        return true;
      }
      const count = run.setting.method === "newton"
        ? L.pace(run, now, last)
        : now - last > 30 ? 1 + Math.floor(run.steps / 80) : 0;
      if (count === 0) return true;
      last = now;
      for (let k = 0; k < count && L.verdict(run) === ""; k += 1) advanceShow(run);
      draw();
      if (L.verdict(run) !== "") ended = now;
      return true;
    }, (on) => { pause.textContent = on ? "Pause" : "Play"; });
    const pause = button("Play", () => player.set(!player.running()));

    run = L.newRun({ ...SHOW, seed: SEEDS[0] });
    SHOW.X.forEach((x, k) => {
      const e = L.mark(SHOW.y[k]);
      e.setAttribute("transform", `translate(${L.toX(x[0], L.RANGE)} ${L.toY(x[1], L.RANGE)})`);
      plane.svg.append(e);
    });
    host.replaceChildren(
      make("div", { class: "live-stage" }, plane.box, weights.svg),
      make("div", { class: "live-buttons" }, pause, words));
    L.onTheme(() => plane.paint(run.state.params));
    host.live = { run: () => run, playing: player.running };
    if (L.still()) {
      while (L.verdict(run) === "") advanceShow(run);
      ended = -1;
      draw();
      ended = 1; // Play begins with the next start
    } else {
      draw();
      player.set(true);
    }
  }

  function all() {
    for (const host of document.querySelectorAll(".live-figure"))
      (host.classList.contains("live-show") ? show : figure)(host);
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", all);
  else all();
})();
