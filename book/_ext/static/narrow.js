/* The network, its constraint and two solvers of narrowlib, for tanh, one output and d inputs.

   This file draws nothing and reads no page: live.js does. Everything is double precision, and the
   steps are those of `ProjectedGradient` and `ProjectedGaussNewton`, in the library's units:
   tests/browser/test_live_figure.py compares them with the library in a browser.

   params = {W: [[…], …], v: […]}, rows j and j + m/2 of W a pair; data = {X: [[…], …], y: […]};
   set = {center: W₀, radius: ε, or Infinity for no ball, zeta: ζ, kappa: κ}. Nothing is changed in
   place. */
"use strict";

(function () {
  const EPS = Number.EPSILON;
  const sum = (a) => a.reduce((total, x) => total + x, 0);
  const dot = (a, b) => a.reduce((total, x, i) => total + x * b[i], 0);
  const square = (a) => dot(a, a);
  const add = (a, b, c = 1) => a.map((x, i) => x + c * b[i]);
  const scaled = (a, c) => a.map((x) => c * x);
  const addRows = (A, B, c = 1) => A.map((row, j) => add(row, B[j], c));
  const scaledRows = (A, c) => A.map((row) => scaled(row, c));
  const squareRows = (A) => sum(A.map(square));
  const dotRows = (A, B) => sum(A.map((row, j) => dot(row, B[j])));

  /* ---- the network: F = σ(X Wᵀ) v ---- */

  /* σ and σ′ at all pre-activations, one row a neuron, and the outputs. */
  function linearize({ W, v }, X) {
    const phi = W.map((w) => X.map((x) => Math.tanh(dot(w, x))));
    const slope = phi.map((row) => row.map((t) => 1 - t * t));
    return { X, v, phi, slope, outputs: X.map((_, i) => sum(phi.map((row, j) => row[i] * v[j]))) };
  }

  const forward = (params, X) => linearize(params, X).outputs;
  const halfMeanSquare = (r) => square(r) / (2 * r.length);
  const loss = (params, { X, y }) => halfMeanSquare(add(forward(params, X), y, -1));

  /* J vec Δ and Jᵀ r, J the Jacobian of the outputs in the hidden weights. */
  const jvp = ({ X, v, slope }, delta) =>
    X.map((x, i) => sum(delta.map((row, j) => v[j] * slope[j][i] * dot(row, x))));
  const vjp = ({ X, v, slope }, r) =>
    slope.map((row, j) =>
      X[0].map((_, k) => v[j] * sum(X.map((x, i) => row[i] * r[i] * x[k])))
    );

  function gradientAt(at, r) {
    const n = r.length;
    return { W: scaledRows(vjp(at, r), 1 / n), v: at.phi.map((row) => dot(row, r) / n) };
  }

  function gradient(params, { X, y }) {
    const at = linearize(params, X);
    return gradientAt(at, add(at.outputs, y, -1));
  }

  /* J Jᵀ = (X Xᵀ) ∘ (B Bᵀ), where B has the entries v_j σ′(w_j · x_i). */
  function gram({ X, v, slope }) {
    const B = X.map((_, i) => slope.map((row, j) => v[j] * row[i]));
    return X.map((x, i) => X.map((z, k) => dot(x, z) * dot(B[i], B[k])));
  }

  /* ---- the feasible set ---- */

  /* The nearest W with ‖W − W₀‖ ≤ ε, the length over all neurons. */
  function projectBall(W, center, radius) {
    const delta = addRows(W, center, -1);
    const size = Math.sqrt(squareRows(delta));
    return size <= radius ? W : addRows(center, delta, radius / size);
  }

  /* The nearest v = (u; −u) with ζ ≤ u_j and max u ≤ κ min u.

     The average of each pair is left to be projected: to clip u to [t, κt], with the t ≥ ζ that
     minimises Σ (t − u_j)₊² + Σ (u_j − κt)₊². Half its slope, g, never falls and is linear between
     the u_j and u_j/κ. */
  function projectPairedCone(v, zeta, kappa) {
    const half = v.length / 2;
    const u = v.slice(0, half).map((x, j) => (x - v[half + j]) / 2);
    const g = (t) =>
      sum(u.map((x) => Math.max(t - x, 0) - kappa * Math.max(x - kappa * t, 0)));
    const breaks = [...u, ...u.map((x) => x / kappa)].sort((a, b) => a - b);
    const last = breaks.find((t) => g(t) >= 0) ?? breaks[breaks.length - 1];
    const low = u.filter((x) => x < last);
    const high = u.filter((x) => x / kappa >= last);
    const pieces = low.length + kappa * kappa * high.length;
    let t = pieces > 0 ? (sum(low) + kappa * sum(high)) / pieces : last;
    t = Math.max(g(last) === 0 ? last : t, zeta);
    const clipped = u.map((x) => Math.min(Math.max(x, t), kappa * t));
    return [...clipped, ...scaled(clipped, -1)];
  }

  function project({ W, v }, set) {
    return {
      W: projectBall(W, set.center, set.radius),
      v: projectPairedCone(v, set.zeta, set.kappa),
    };
  }

  /* ---- what both solvers keep ---- */

  /* A state at feasible weights; `code` says "running", or why no step is possible. */
  function at(params, data, more) {
    const here = linearize(params, data.X);
    const residual = add(here.outputs, data.y, -1);
    return {
      params,
      residual,
      loss: halfMeanSquare(residual),
      gradient: gradientAt(here, residual),
      numSteps: 0,
      code: "running",
      ...more,
    };
  }

  /* How far a step of size 1 moves the weights: zero at KKT points, and there only. */
  function unitStep(state, set) {
    const there = project(
      { W: addRows(state.params.W, state.gradient.W, -1),
        v: add(state.params.v, state.gradient.v, -1) },
      set
    );
    const dW = squareRows(addRows(there.W, state.params.W, -1));
    return Math.sqrt(dW + square(add(there.v, state.params.v, -1)));
  }

  /* ---- projected gradient ---- */

  const BACKTRACKING = { initial: 1, shrink: 0.5, grow: 2, decrease: 1e-4, maxTrials: 60 };

  /* stepSize: a number, or "backtracking" for Armijo's rule along the projection arc.
     rayScaling: after each step, v is scaled to the least loss on its ray. */
  function projectedGradient(set, { stepSize = "backtracking", rayScaling = false } = {}) {
    const rule = BACKTRACKING;
    const searches = stepSize === "backtracking";

    function init(params, data) {
      return at(project(params, set), data, { stepSize: searches ? rule.initial : stepSize });
    }

    function trial({ params, gradient }, eta, scale) {
      const W = addRows(params.W, gradient.W, -eta / scale);
      return project({ W, v: add(params.v, gradient.v, -eta) }, set);
    }

    function search(state, data, scale) {
      let eta = state.numSteps > 0 ? state.stepSize * rule.grow : rule.initial;
      for (let trials = 1; ; trials += 1, eta *= rule.shrink) {
        const params = trial(state, eta, scale);
        const movedW = squareRows(addRows(params.W, state.params.W, -1));
        const movedV = square(add(params.v, state.params.v, -1));
        const predicted = (scale * movedW + movedV) / eta;
        const enough = loss(params, data) <= state.loss - rule.decrease * predicted;
        if (predicted > 0 && enough) return { eta, params };
        if (trials >= rule.maxTrials) return { eta, params: null };
      }
    }

    function ray(params, data) {
      const { outputs: F, phi } = linearize(params, data.X);
      // twins that cancel leave rounding alone, which is no direction
      const noise = (params.v.length + data.X[0].length) * Number.EPSILON;
      if (square(F) <= noise ** 2 * sum(phi.map(square)) * square(params.v)) return params;
      const half = params.v.length / 2;
      const u = params.v.slice(0, half).map((x, j) => (x - params.v[half + j]) / 2);
      const alpha = Math.max(dot(F, data.y) / square(F), set.zeta / Math.min(...u));
      return Number.isFinite(alpha) ? { W: params.W, v: scaled(params.v, alpha) } : params;
    }

    function step(state, data) {
      const mean = square(state.params.v) / state.params.v.length;
      const scale = rayScaling && mean > 0 ? mean : 1;
      let { eta, params } = searches
        ? search(state, data, scale)
        : { eta: stepSize, params: trial(state, stepSize, scale) };
      if (params === null) return { ...state, stepSize: eta, code: "step_too_small" };
      if (rayScaling) params = ray(params, data);
      const after = at(params, data, { stepSize: eta, numSteps: state.numSteps + 1 });
      return Number.isFinite(after.loss) ? after : { ...state, code: "non_finite" };
    }

    return { init, step };
  }

  /* ---- projected Gauss–Newton ---- */

  const SHORTEST = 1 / 3, LONGEST = 2, FILL = 0.9, NEAR_FLOOR = 100, DAMPING = 1e-3;

  /* (K + λI)⁻¹ b for each of the right-hand sides, by Cholesky; NaN where K + λI is not positive. */
  function solveShifted(K, shift, sides) {
    const L = K.map((row) => row.map(() => 0));
    for (let i = 0; i < K.length; i += 1) {
      for (let k = 0; k <= i; k += 1) {
        const rest = K[i][k] + (i === k ? shift : 0) - dot(L[i].slice(0, k), L[k].slice(0, k));
        L[i][k] = i === k ? Math.sqrt(rest) : rest / L[k][k];
      }
    }
    return sides.map((b) => {
      const z = [];
      for (let i = 0; i < b.length; i += 1) z[i] = (b[i] - dot(L[i].slice(0, i), z)) / L[i][i];
      for (let i = b.length - 1; i >= 0; i -= 1) {
        for (let k = i + 1; k < b.length; k += 1) z[i] -= L[k][i] * z[k];
        z[i] /= L[i][i];
      }
      return z;
    });
  }

  /* One ball as trust region; where a step does not fit, v grows along its ray and makes room. */
  function projectedGaussNewton(set) {
    const free = set.radius === Infinity;

    function init(params, data) {
      const start = project(params, set);
      const K = gram(linearize(start, data.X));
      const damping = (DAMPING * sum(K.map((row, i) => row[i]))) / K.length;
      return at(start, data, { damping, growth: LONGEST });
    }

    /* Where a step at damping λ leads, what it promises of ‖r‖², and v's factor. */
    function attempt({ params, residual: r }, here, damping) {
      const K = gram(here);
      const shift = Math.max(damping, EPS * sum(K.map((row, i) => row[i])));
      const delta = addRows(params.W, set.center, -1);
      const q = add(here.outputs, jvp(here, delta), -1);
      const [byR, byQ] = solveShifted(K, shift, [scaled(r, -1), scaled(q, -1)]);
      const promise = (a) => square(r) - square(scaled(add(byR, byQ, a), shift));
      if (free) {
        const W = addRows(params.W, vjp(here, byR));
        return { params: { W, v: params.v }, promised: promise(0), shift, ray: 1 };
      }
      const goal = addRows(delta, vjp(here, byR));
      const each = vjp(here, byQ);
      const radius = set.radius;
      let a = 0;
      if (!(squareRows(goal) <= radius ** 2)) {
        // ‖goal + a·each‖² = c² (1 + a)²: A a² + 2 B a + C = 0 with C > 0 outside the ball
        const c = FILL * radius;
        const A = squareRows(each) - c * c;
        const C = squareRows(goal) - c * c;
        const B = dotRows(goal, each) - c * c;
        const root = Math.sqrt(Math.max(B * B - A * C, 0));
        a = B < 0 ? C / (root - B) : -(root + B) / A;
      }
      const moved = scaledRows(addRows(goal, each, a), 1 / (1 + a));
      const possible = a >= 0 && squareRows(moved) <= radius ** 2;
      return {
        params: {
          W: projectBall(addRows(set.center, moved), set.center, radius),
          v: scaled(params.v, 1 + a),
        },
        promised: possible ? promise(a) : Infinity,
        shift,
        ray: 1 + a,
      };
    }

    function step(state, data) {
      const here = linearize(state.params, data.X);
      const found = attempt(state, here, state.damping);
      const before = square(state.residual);
      const after = at(found.params, data, { numSteps: state.numSteps + 1, growth: LONGEST });
      const left = square(after.residual);
      const gain = (before - left) / found.promised;
      if (gain > 0 && left < before) {
        const calm = Math.max(SHORTEST, 1 - (2 * gain - 1) ** 3);
        return { ...after, damping: (found.shift * calm * found.ray ** 2 * left) / before };
      }
      const terms = data.X.map((_, i) =>
        sum(here.phi.map((row, j) => Math.abs(row[i] * state.params.v[j])))
      );
      const floor = EPS * Math.sqrt(square(terms));
      const size = Math.sqrt(before);
      const hopeless = !(found.promised > EPS * before) || size <= floor;
      const why = size <= NEAR_FLOOR * floor ? "rounding" : "step_too_small";
      return {
        ...state,
        damping: found.shift * state.growth,
        growth: LONGEST * state.growth,
        numSteps: state.numSteps + 1,
        code: hopeless ? why : "running",
      };
    }

    return { init, step };
  }

  /* ---- a start: rows (U; U) and v = (u; −u), so that F = 0 ---- */

  function random(seed) {
    let a = seed >>> 0;
    return () => {
      a = (a + 0x6d2b79f5) | 0;
      let t = Math.imul(a ^ (a >>> 15), 1 | a);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  function normal(next) {
    return Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  }

  function mirroredStart(seed, m, alpha, d = 2) {
    const next = random(seed);
    const rows = Array.from({ length: m / 2 }, () =>
      Array.from({ length: d }, () => normal(next) / Math.sqrt(d))
    );
    const u = rows.map(() => alpha / Math.sqrt(m));
    return { W: [...rows, ...rows].map((row) => [...row]), v: [...u, ...scaled(u, -1)] };
  }

  window.narrow = {
    linearize, forward, loss, gradient, jvp, gram, projectBall, projectPairedCone, project, unitStep,
    projectedGradient, projectedGaussNewton, solveShifted, mirroredStart, random, normal,
  };
})();
