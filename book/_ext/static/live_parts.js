/* The parts of the live figure: a run, its words and its three pictures. live.js joins them. */
"use strict";

(function () {
  const RANGE = 2.6, SIZE = 400, GRID = 72, MOST_POINTS = 16, MOST_STEPS = 20000;
  const LISTS = {
    m: [2, 4, 6, 8, 10, 12, 14, 16],
    alpha: [0.1, 0.3, 1, 3, 10, 30],
    radius: [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
    zeta: [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1],
    kappa: [1, 1.5, 2, 3, 5, 10, 30, 100],
    stepSize: [0.01, 0.03, 0.1, 0.3, 1, 3],
  };
  const METHODS = {
    armijo: "Projected gradient, step size searched",
    ray: "Projected gradient, searched, with ray scaling",
    fixed: "Projected gradient, fixed step size",
    newton: "Projected Gauss–Newton",
  };
  const SCATTERED = {
    X: [[-1.5, 1.2], [-0.4, 1.6], [0.9, 1.1], [1.7, 0.3],
        [0.6, -0.5], [1.2, -1.5], [-0.7, -1.1], [-1.6, -0.4]],
    y: [1, -1, 1, 1, -1, 1, -1, 1],
  };
  const DEFAULT = {
    ...SCATTERED, m: 6, seed: 0, alpha: 1, radius: 1, zeta: 0.01, kappa: 10,
    method: "newton", stepSize: 0.3, ball: true,
  };
  /* name, what is changed of the default, what to see; a test runs each from several seeds */
  const PRESETS = {
    six: ["Eight points, six neurons", {},
      "Six neurons have twelve hidden weights for eight labels, but at the start each neuron " +
      "looks like its twin, and the rank is 6. Gauss–Newton fits from 15 of the seeds 0 to 19. " +
      "With eight neurons it fits from all 20."],
    slow: ["Labels on which gradient descent is slow", { m: 8, method: "armijo" },
      "After 1,000 steps the loss is still between 0.12 and 0.21, from each of the seeds 0 to 19. " +
      "Change the method to Gauss–Newton: from the same starts it fits in 25 steps or fewer."],
    small: ["A ball that is too small", { radius: 0.05 },
      "Six neurons may hardly leave their starts, and the output weights grow beyond 10,000 to " +
      "make up for it. From none of the seeds 0 to 19 is there a fit. Widen the ball to 1, or " +
      "take eight neurons."],
  };

  /* ---- a run: the problem, the solver's state, and what has been seen of it ---- */

  function solverOf(setting, set) {
    if (setting.method === "newton") return narrow.projectedGaussNewton(set);
    const stepSize = setting.method === "fixed" ? setting.stepSize : "backtracking";
    return narrow.projectedGradient(set, { stepSize, rayScaling: setting.method === "ray" });
  }

  function newRun(setting) {
    const run = { setting: { ...setting }, losses: [], paths: [], steps: 0 };
    run.start = narrow.mirroredStart(setting.seed, setting.m, setting.alpha);
    run.paths = run.start.W.map((w) => [w]);
    restart(run, run.start);
    run.losses.push(run.state.loss);
    return run;
  }

  /* The solver begins anew at these weights: something about the problem has changed. */
  function restart(run, params) {
    const { setting } = run;
    run.data = { X: setting.X, y: setting.y };
    run.set = {
      center: run.start.W, radius: setting.ball ? setting.radius : Infinity,
      zeta: setting.zeta, kappa: setting.kappa,
    };
    run.solver = solverOf(setting, run.set);
    run.state = run.solver.init(params, run.data);
  }

  function advance(run) {
    run.state = run.solver.step(run.state, run.data);
    run.steps += 1;
    run.losses.push(run.state.loss);
    run.state.params.W.forEach((w, j) => run.paths[j].push(w));
  }

  /* Why a run ends, in words; "" while it goes on. */
  function verdict(run) {
    const { state, set, setting } = run;
    if (setting.method === "newton" && set.radius === 0)
      return "Gauss–Newton needs a ball with a radius above 0.";
    if (state.loss < 1e-26) return "The loss is zero up to rounding.";
    if (state.code === "non_finite") return "The loss is no number any more: the step is too long.";
    if (state.code === "rounding") return "Rounding ends the run.";
    if (state.code !== "running") return "No step lowers the loss further: the run ends here.";
    if (narrow.unitStep(state, set) < 1e-10)
      return "A KKT point: a projected step leads nowhere.";
    if (run.steps >= MOST_STEPS) return `${MOST_STEPS} steps: we stop looking.`;
    return "";
  }

  const length = (a) => Math.hypot(...a);
  const moves = ({ state, start }) =>
    state.params.W.map((w, j) => length(w.map((x, k) => x - start.W[j][k])));
  const right = ({ state, data }) =>
    state.residual.filter((r, i) => (r + data.y[i]) * data.y[i] > 0).length;

  /* ---- numbers as text ---- */

  const UP = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷",
               8: "⁸", 9: "⁹" };
  const power = (k) => (k === 0 ? "1" : `10${[...String(k)].map((c) => UP[c]).join("")}`);
  const signed = (x, digits = 1) => x.toFixed(digits).replace("-", "−");

  function number(x) {
    if (x === 0) return "0";
    if (!Number.isFinite(x)) return "not a number";
    if (Math.abs(x) >= 0.01 && Math.abs(x) < 1e4) return String(Number(x.toPrecision(2)));
    const [digits, exponent] = x.toExponential(1).split("e");
    return `${digits} · ${power(Number(exponent))}`;
  }

  /* ---- the page's elements ---- */

  const SVG = "http://www.w3.org/2000/svg";

  function make(name, attributes = {}, ...children) {
    const drawn = ["svg", "g", "path", "circle", "line", "text", "rect", "polyline"];
    const e = drawn.includes(name)
      ? document.createElementNS(SVG, name)
      : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    e.append(...children);
    return e;
  }

  const button = (text, onclick) => {
    const e = make("button", { type: "button" }, text);
    e.addEventListener("click", onclick);
    return e;
  };

  const still = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const toX = (x, range) => (SIZE / 2) * (1 + x / range);
  const toY = (y, range) => (SIZE / 2) * (1 - y / range);

  /* A colour of the style sheet, "r g b". */
  const colour = (host, name) =>
    getComputedStyle(host).getPropertyValue(name).trim().split(/\s+/).map(Number);

  /* ---- the three pictures ---- */

  function planeOf(host) {
    const canvas = make("canvas", { width: GRID, height: GRID, "aria-hidden": "true" });
    const svg = make("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, class: "live-points" });
    const context = canvas.getContext("2d");
    const places = Array.from({ length: GRID }, (_, k) => RANGE * ((2 * k + 1) / GRID - 1));
    const grid = places.flatMap((y) => places.map((x) => [x, -y]));

    function paint(params) {
      const paper = colour(host, "--live-paper");
      const ink = { 1: colour(host, "--live-plus"), "-1": colour(host, "--live-minus") };
      const image = context.createImageData(GRID, GRID);
      narrow.forward(params, grid).forEach((F, i) => {
        const share = Math.abs(F) < 1e-9 ? 0 : 0.25 + 0.75 * Math.min(1, Math.abs(F));
        const full = ink[F > 0 ? 1 : -1];
        for (let c = 0; c < 3; c += 1)
          image.data[4 * i + c] = paper[c] + share * (full[c] - paper[c]);
        image.data[4 * i + 3] = 255;
      });
      context.putImageData(image, 0, 0);
    }

    return { canvas, svg, paint, box: make("div", { class: "live-plane" }, canvas, svg) };
  }

  /* A plus or a circle, with a light edge so that it shows on every colour. */
  function mark(label) {
    const shape = (kind) =>
      label > 0
        ? make("path", { d: "M-9 0H9M0 -9V9", class: kind })
        : make("circle", { r: 8, class: kind });
    return make("g", {}, make("circle", { r: 17, class: "live-halo" }),
                shape("live-edge"), shape("live-sign"));
  }

  function weightsOf() {
    const svg = make("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", class: "live-weights" });

    function draw(run) {
      const { state, start, set, paths } = run;
      const half = start.W.length / 2;
      const ball = Number.isFinite(set.radius) ? set.radius : 0;
      const reach = Math.max(
        1.5, ...state.params.W.flat().map(Math.abs),
        ...start.W.flat().map((x) => Math.abs(x) + Math.min(ball, 4))
      );
      const range = 1.5 * 1.3 ** Math.ceil(Math.log(reach / 1.45) / Math.log(1.3));
      const parts = [
        make("line", { x1: 0, x2: SIZE, y1: SIZE / 2, y2: SIZE / 2, class: "live-axis" }),
        make("line", { y1: 0, y2: SIZE, x1: SIZE / 2, x2: SIZE / 2, class: "live-axis" }),
        make("text", { x: SIZE - 6, y: SIZE / 2 - 6, "text-anchor": "end" },
             `w₁ = ${signed(range)}`),
        make("text", { x: SIZE / 2 + 6, y: 16 }, `w₂ = ${signed(range)}`),
      ];
      if (set.radius !== Infinity)
        for (const w of start.W.slice(0, half))
          parts.push(make("circle", {
            cx: toX(w[0], range), cy: toY(w[1], range),
            r: (SIZE / 2) * (set.radius / range), class: "live-ball",
          }));
      paths.forEach((path) => {
        const every = Math.ceil(path.length / 300);
        const kept = path.filter((_, k) => k % every === 0 || k === path.length - 1);
        const points = kept.map((w) => `${toX(w[0], range)},${toY(w[1], range)}`).join(" ");
        parts.push(make("polyline", { points, class: "live-path" }));
      });
      state.params.W.forEach((w, j) => {
        const [cx, cy] = [toX(w[0], range), toY(w[1], range)];
        const kind = j < half ? "live-neuron" : "live-neuron live-twin";
        parts.push(make("circle", { cx, cy, r: j < half ? 5 : 7, class: kind }));
      });
      svg.replaceChildren(...parts);
      const inside = set.radius === Infinity ? "no ball" : `balls of radius ${set.radius}`;
      svg.setAttribute("aria-label",
        `The ${2 * half} neurons as points of the plane of weights, with their paths; ${inside}. ` +
        `Farthest move ${number(Math.max(...moves(run)))}.`);
    }

    return { svg, draw };
  }

  function curveOf() {
    const [high, left, below] = [220, 58, 28];
    const svg = make("svg", { role: "img", class: "live-curve" });

    function draw({ losses }) {
      const wide = Math.max(280, svg.clientWidth || 720); // a unit is a pixel
      svg.setAttribute("viewBox", `0 0 ${wide} ${high}`);
      const shown = losses.filter((x) => x > 0 && Number.isFinite(x));
      const least = Math.min(1e-4, ...shown), most = Math.max(1, ...shown);
      const bottom = Math.max(-34, 4 * Math.floor(Math.log10(least) / 4));
      const top = 2 * Math.ceil(Math.log10(most) / 2);
      const last = Math.max(10, losses.length - 1);
      const x = (k) => left + ((wide - left - 14) * k) / last;
      const y = (e) => 12 + ((high - below - 12) * (top - e)) / (top - bottom);
      const parts = [];
      const apart = Math.max(1, Math.ceil((top - bottom) / 5));
      for (let e = top; e >= bottom; e -= apart)
        parts.push(
          make("line", { x1: left, x2: wide - 14, y1: y(e), y2: y(e), class: "live-axis" }),
          make("text", { x: left - 8, y: y(e) + 5, "text-anchor": "end" }, power(e))
        );
      parts.push(
        make("text", { x: left, y: high - 6 }, "step 0"),
        make("text", { x: wide - 14, y: high - 6, "text-anchor": "end" }, String(last))
      );
      const every = Math.ceil(losses.length / 700);
      const points = losses
        .map((l, k) => [k, l])
        .filter(([k, l]) => Number.isFinite(l) && (k % every === 0 || k === losses.length - 1))
        .map(([k, l]) => `${x(k)},${y(Math.max(bottom, Math.log10(l)))}`);
      parts.push(make("polyline", { points: points.join(" "), class: "live-loss" }));
      svg.replaceChildren(...parts);
      svg.setAttribute("aria-label",
        `The loss on a logarithmic axis, from ${number(losses[0])} at the start to ` +
        `${number(losses[losses.length - 1])} after ${losses.length - 1} steps.`);
    }

    return { svg, draw };
  }

  /* ---- playing: steps by the clock, and a way to stop ---- */

  /* `tick(now)` is called a frame as long as it returns true. */
  function clock(tick, changed) {
    let on = false;
    const turn = (now) => {
      if (!on) return;
      if (tick(now)) requestAnimationFrame(turn);
      else set(false);
    };
    function set(value) {
      if (on === value) return;
      on = value;
      changed(on);
      if (on) requestAnimationFrame(turn);
    }
    return { set, running: () => on };
  }

  /* Gradient steps come faster as the run goes on; a Gauss–Newton step can be watched. */
  function pace(run, now, last) {
    if (run.setting.method === "newton") return now - last > 350 ? 1 : 0;
    return Math.min(20, 1 + Math.floor(run.steps / 60));
  }

  function onTheme(redraw) {
    new MutationObserver(redraw).observe(document.documentElement, {
      attributes: true, attributeFilter: ["data-theme"],
    });
  }

  window.narrowLive = {
    DEFAULT, PRESETS, LISTS, METHODS, RANGE, MOST_POINTS, newRun, restart, advance, verdict, moves,
    right, number, signed, make, button, still, toX, toY, planeOf, mark, weightsOf, curveOf, clock,
    pace, onTheme,
  };
})();
