"""The live figure: its arithmetic beside the library's in a browser, and the page in a reader's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from book_build import ROOT
from test_pages import TOO_WIDE, outside

import narrowlib as nl

STATIC = ROOT / "book/_ext/static"
CLOSE = 1e-9
SEEDS = range(8)
SIZES = ((8, 6), (3, 4))  # samples and neurons


@pytest.fixture(scope="module")
def engine(browser):
    """A function that evaluates JavaScript on an empty page that has loaded the engine alone."""
    page = browser.new_page()
    page.add_script_tag(path=STATIC / "narrow.js")
    yield page.evaluate
    page.close()


@pytest.fixture(autouse=True)
def double_precision():
    """As in a browser."""
    with jax.enable_x64(True):
        yield


def problem(seed):
    """A random problem in the plane, some with equal points, as plain lists and as arrays."""
    rng = np.random.default_rng(seed)
    n, m = SIZES[seed % len(SIZES)]
    X, y = rng.normal(size=(n, 2)), rng.choice([-1.0, 1.0], n)
    if seed % 3 == 0:
        X[n // 2 :] = X[0]
    W, v = rng.normal(size=(m, 2)), rng.normal(size=m) * 10.0 ** rng.integers(-2, 2)
    return {"W": W, "v": v}, {"X": X, "y": y}


def plain(tree):
    """Arrays as the lists that a browser takes."""
    return jax.tree.map(lambda leaf: np.asarray(leaf).tolist(), tree)


def params_of(found):
    return nl.Params(jnp.asarray(found["W"], float), jnp.asarray(found["v"], float))


def near(found, expected, close=CLOSE):
    """Equal to `close`, in units of the largest entry where that is above 1."""
    expected = np.asarray(expected)
    unit = max(1.0, float(np.max(np.abs(expected), initial=0)))
    np.testing.assert_allclose(np.asarray(found), expected, rtol=0, atol=close * unit)


@pytest.mark.parametrize("seed", SEEDS)
def test_network_loss_gradient_and_gram_are_the_librarys(seed, engine):
    weights, data = problem(seed)
    params, (X, y) = params_of(weights), (data["X"], data["y"])
    found = engine(
        """([p, d]) => ({F: narrow.forward(p, d.X), loss: narrow.loss(p, d),
            gradient: narrow.gradient(p, d), gram: narrow.gram(narrow.linearize(p, d.X))})""",
        plain([weights, data]),
    )
    near(found["F"], nl.forward(params, X))
    near(found["loss"], nl.loss(params, X, y))
    gradient = jax.grad(nl.loss)(params, jnp.asarray(X), jnp.asarray(y))
    near(found["gradient"]["W"], gradient.W)
    near(found["gradient"]["v"], gradient.v)
    J = nl.jacobian(params, X)
    near(found["gram"], J @ J.T)


def cone_cases():
    """Output weights, ζ and κ: random ones, and points on edges, at ties and outside for sure."""
    rng = np.random.default_rng(0)
    for half in (1, 2, 3, 6):
        for zeta, kappa in ((0.0, 1.0), (0.1, 1.0), (0.1, 3.0), (0.5, 10.0), (0.0, 100.0)):
            for scale in (0.01, 1.0, 30.0):
                yield scale * rng.normal(size=2 * half), zeta, kappa
            edge = np.clip(np.full(half, max(zeta, 0.2)), None, 1e3)
            edge[0] = kappa * edge[-1]  # on the ratio's edge, or on the floor's
            yield np.concatenate([edge, -edge]), zeta, kappa
            yield np.full(2 * half, zeta), zeta, kappa
            yield np.concatenate([-edge, edge]), zeta, kappa
            yield np.zeros(2 * half), zeta, kappa


def test_the_cones_projection_is_the_librarys(engine):
    cases = list(cone_cases())
    found = engine(
        "all => all.map(([v, zeta, kappa]) => narrow.projectPairedCone(v, zeta, kappa))",
        plain(cases),
    )
    for (v, zeta, kappa), seen in zip(cases, found, strict=True):
        near(seen, nl.project_paired_cone(v, zeta=zeta, kappa=kappa), 1e-12)


@pytest.mark.parametrize("radius", [0.0, 1e-3, 0.5, 100.0])
def test_the_balls_projection_is_the_librarys(radius, engine):
    rng = np.random.default_rng(1)
    for _ in range(5):
        W, center = rng.normal(size=(2, 6, 2))
        for start in (W, center, center + radius * np.eye(6, 2) / np.sqrt(2)):  # outside, in, on
            found = engine(
                "([W, c, r]) => narrow.projectBall(W, c, r)", plain([start, center, radius])
            )
            near(found, nl.project_ball(start, center=center, radius=radius), 1e-12)


# Solvers: in the browser, and from the library.
STEPS = 50
GRADIENT = {
    "fixed": {"stepSize": 0.3},
    "fixed, ray": {"stepSize": 0.1, "rayScaling": True},
    "backtracking": {},
    "backtracking, ray": {"rayScaling": True},
}

RUN = """([name, options, p, d, set, steps]) => {
  set.radius = set.radius ?? Infinity;
  const solver = narrow[name](set, options);
  let state = solver.init(p, d);
  const losses = [];
  for (let k = 0; k < steps && state.code === "running"; k += 1) {
    state = solver.step(state, d);
    losses.push(state.loss);
  }
  return {losses, params: state.params, code: state.code, gradient: state.gradient,
          unitStep: narrow.unitStep(state, set)};
}"""


def start_of(seed):
    """A mirrored start, and every fourth time some other point that is projected first."""
    weights, _ = problem(seed)
    if seed % 4 == 1:
        return params_of(weights)
    m = len(weights["v"])
    return nl.mirrored_lecun(jax.random.key(seed), d=2, m=m, scale=[0.5, 1.0, 3.0][seed % 3])


def library(solver_of, radius, start, data, zeta, kappa):
    """The library's run of as many steps."""
    ball = nl.Free() if radius is None else nl.Ball(start["center"], radius=radius)
    constraint = nl.Product(W=ball, v=nl.PairedCone(zeta=zeta, kappa=kappa))
    return solver_of(constraint).run(
        start["params"], data["X"], data["y"], max_steps=STEPS, tol=0.0, throw=False
    )


def compare(engine, name, options, solver_of, radius, seed):
    """A run in both. Returns whether 50 steps agree to `CLOSE`.

    Some runs double each rounding error at each step: a step size at the edge of what is stable, a
    singular J. There the library, started 1e-13 aside, says how far apart two right answers lie.
    Close to the end of a run rounding decides whether a step is taken; we stop before.
    """
    _, data = problem(seed)
    params, zeta, kappa = start_of(seed), (0.01, 0.2)[seed % 2], (1.0, 3.0, 10.0)[seed % 3]
    settings = {"center": params.W, "zeta": zeta, "kappa": kappa}
    given = [*plain([{"W": params.W, "v": params.v}, data]), plain(settings) | {"radius": radius}]
    found = engine(RUN, [name, options, *given, STEPS])
    aside = jax.tree.map(lambda leaf: leaf * (1 + 1e-13), params)
    sol, other = (
        library(solver_of, radius, {"center": params.W, "params": p}, data, zeta, kappa)
        for p in (params, aside)
    )
    seen = [np.array(found["losses"]), *(s.stats["history"]["loss"] for s in (sol, other))]
    common = min(map(len, seen))
    seen = np.array([one[:common] for one in seen])
    if options.get("stepSize") is None and common > 1:  # rounding may reject a step
        stalls = seen[1, :-1] - seen[1, 1:] < 1e-7 * seen[1, :-1]
        common = 1 + int(np.argmax(stalls)) if stalls.any() else common
    apart = np.maximum.accumulate(np.abs(seen[1] - seen[2])[:common])
    assert np.all(np.abs(seen[0] - seen[1])[:common] <= np.maximum(CLOSE, 100 * apart))
    here, gradient = params_of(found["params"]), params_of(found["gradient"])
    constraint = nl.Product(
        W=nl.Free() if radius is None else nl.Ball(params.W, radius=radius),
        v=nl.PairedCone(zeta=zeta, kappa=kappa),
    )
    there = constraint.project(jax.tree.map(jnp.subtract, here, gradient))
    moved = jnp.hypot(*(jnp.linalg.norm(a - b) for a, b in zip(here, there, strict=True)))
    near(found["unitStep"], moved)
    if common < STEPS or apart[-1] > 1e-12:
        return False
    near(found["params"]["W"], sol.params.W)
    near(found["params"]["v"], sol.params.v)
    near(found["gradient"]["W"], sol.state.gradient.W)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("free", [False, True], ids=["ball", "free"])
@pytest.mark.parametrize("name", GRADIENT)
def test_projected_gradient_takes_the_librarys_steps(name, free, engine):
    ray, eta = "ray" in name, GRADIENT[name].get("stepSize", nl.Backtracking())

    def solver(C):
        return nl.ProjectedGradient(C, step_size=eta, ray_scaling=ray)

    radii = (None,) if free else (0.0, 0.05, 2.0)
    agree = [
        compare(engine, "projectedGradient", GRADIENT[name], solver, radius, seed)
        for radius in radii
        for seed in SEEDS
    ]
    assert sum(agree) >= len(SEEDS) / 2  # a ball of radius 0 ends most runs at once


@pytest.mark.slow
@pytest.mark.parametrize("free", [False, True], ids=["ball", "free"])
def test_gauss_newton_takes_the_librarys_steps(free, engine):
    for radius in (None,) if free else (0.05, 0.5, 2.0):
        for seed in SEEDS:
            compare(engine, "projectedGaussNewton", {}, nl.ProjectedGaussNewton, radius, seed)


def test_a_start_is_mirrored_and_has_the_variance_of_lecun(engine):
    W = np.array([engine("s => narrow.mirroredStart(s, 40, 2)", s)["W"] for s in range(50)])
    v = np.array(engine("narrow.mirroredStart(7, 40, 2)")["v"])
    assert np.array_equal(W[:, :20], W[:, 20:])
    np.testing.assert_allclose(v, np.repeat([1, -1], 20) * 2 / np.sqrt(40))
    assert abs(W.mean()) < 0.05 and abs(2 * W.var() - 1) < 0.1
    assert len(np.unique(W[:, 0, 0])) == 50


# The examples: what the page says of each, from all the seeds that it names.


@pytest.fixture(scope="module")
def parts(browser):
    """The same page with the parts of the figure: runs, and what is said of them."""
    page = browser.new_page()
    for name in ("narrow.js", "live_parts.js"):
        page.add_script_tag(path=STATIC / name)
    yield page.evaluate
    page.close()


FROM_ALL_SEEDS = """([name, changes, most]) => {
  const L = window.narrowLive, ends = [];
  for (let seed = 0; seed < 20; seed += 1) {
    const run = L.newRun({...L.DEFAULT, ...L.PRESETS[name][1], ...changes, seed});
    while (run.steps < most && L.verdict(run) === "") L.advance(run);
    ends.push([run.state.loss, run.steps, Math.max(...run.state.params.v)]);
  }
  return ends;
}"""


def ends(parts, name, most, **changes):
    """Losses, steps and largest output weights of an example from the seeds 0 to 19."""
    return np.array(parts(FROM_ALL_SEEDS, [name, changes, most])).T


def test_the_examples_show_what_they_say(parts):
    words = parts("Object.values(narrowLive.PRESETS).map(([, , said]) => said)")
    assert "fits from 15 of the seeds 0 to 19" in words[0] and "from all 20" in words[0]
    assert sum(ends(parts, "six", 300)[0] < 1e-20) == 15
    assert sum(ends(parts, "six", 300, m=8)[0] < 1e-20) == 20
    assert "between 0.12 and 0.21" in words[1] and "in 25 steps or fewer" in words[1]
    losses = ends(parts, "slow", 1000)[0]
    assert losses.min() > 0.12 and losses.max() < 0.21
    losses, steps, _ = ends(parts, "slow", 300, method="newton")
    assert losses.max() < 1e-20 and steps.max() <= 25
    assert "From none of the seeds 0 to 19" in words[2] and "beyond 10,000" in words[2]
    losses, _, v = ends(parts, "small", 300)
    assert losses.min() > 1e-6 and v.min() > 10_000


def test_the_answers_on_the_page_are_right(parts):
    assert ends(parts, "small", 300, m=8)[0].max() < 1e-20
    free = {"m": 8, "ball": False}
    assert ends(parts, "six", 100, **free, alpha=1)[0].min() > 1e-3
    assert ends(parts, "six", 100, **free, alpha=10)[0].max() < 1e-20
    X = [[1.0, 0.5], [-1.0, -0.5], [0.3, 1.2]]
    opposite = {"X": X, "y": [1, 1, -1], "m": 8}
    assert ends(parts, "six", 300, **opposite)[0].min() > 1 / 3 - 1e-9


# The page as a reader has it.


@pytest.fixture
def opened(site, browser):
    """A function that opens a page of the book; what it asks for and complains of is kept."""
    contexts = []

    def visit(name, width=1280, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.asked, page.complaints = [], []
        page.on("response", lambda response: page.asked.append(response))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda m: m.type == "error" and page.complaints.append(m.text))
        page.goto(f"{site}/book/{name}.html", wait_until="networkidle")
        return page

    yield visit
    for context in contexts:
        context.close()


def state(page, what):
    return page.evaluate(f"document.querySelector('.live-figure').live.run().{what}")


def point(page, k):
    return page.locator(".live-point").nth(k)


@pytest.mark.slow
def test_a_reader_runs_it_without_a_mouse(opened):
    page = opened("live")
    page.get_by_role("button", name="Step", exact=True).focus()
    page.keyboard.press("Enter")
    assert state(page, "steps") == 1
    page.get_by_role("button", name="Run", exact=True).focus()
    page.keyboard.press("Space")
    page.wait_for_function(
        "document.querySelector('.live-said').textContent.includes('zero up to rounding')"
    )
    assert page.get_by_role("button", name="Run", exact=True).count() == 1  # it has stopped
    said = page.locator("[aria-live=polite]").text_content()
    assert "8 of 8 labels right" in said and "farthest move of a neuron" in said
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert state(page, "steps") == 0
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.get_by_role("button", name="Put the ball back").count() == 1
    assert page.evaluate("document.querySelector('.live-figure').live.run().set.radius") == np.inf
    assert page.complaints == [] and outside([r.url for r in page.asked]) == []


@pytest.mark.slow
def test_points_are_moved_turned_added_and_removed_by_keys(opened):
    page = opened("live")
    first = point(page, 0)
    first.focus()
    assert "label plus 1, at −1.5, 1.2" in first.get_attribute("aria-label")
    for key in ("ArrowRight", "ArrowUp", "Shift+ArrowUp", "Enter"):
        page.keyboard.press(key)
    np.testing.assert_allclose(state(page, "setting.X")[0], [-1.4, 1.32])
    assert state(page, "setting.y")[0] == -1
    assert "label minus 1" in first.get_attribute("aria-label")
    page.keyboard.press("Delete")
    assert page.locator(".live-point").count() == 7
    assert page.evaluate("document.activeElement.classList.contains('live-point')")
    ring = "getComputedStyle(document.activeElement.querySelector('.live-halo')).stroke"
    assert page.evaluate(ring) != "none"  # the focus is seen
    page.get_by_role("button", name="Add a point").press("Enter")
    assert page.locator(".live-point").count() == 8
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Point 8")
    for _ in range(10):
        page.keyboard.press("Backspace")
    assert page.locator(".live-point").count() == 1  # the last one stays


@pytest.mark.slow
def test_points_are_moved_turned_and_added_by_mouse(opened):
    page = opened("live")
    box = page.locator(".live-points").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    np.testing.assert_allclose(state(page, "setting.X")[8], [0, 0], atol=0.02)
    point(page, 8).click()
    assert state(page, "setting.y")[8] == -1
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + box["height"] / 4, steps=4)
    page.mouse.up()
    np.testing.assert_allclose(state(page, "setting.X")[8], [1.3, 1.3], atol=0.05)
    assert state(page, "setting.y")[8] == -1  # a drag turns no label


@pytest.mark.slow
def test_settings_have_names_and_reach_the_run(opened):
    page = opened("live")
    for name, key, value in (
        ("Neurons m", "m", 8),
        ("Radius ε of the ball", "radius", 2),
        ("Scale α of the start", "alpha", 3),
    ):
        knob = page.get_by_label(name)
        knob.focus()
        page.keyboard.press("ArrowRight")
        assert state(page, f"setting.{key}") == value
        assert knob.get_attribute("aria-valuetext") == str(value)
    page.get_by_label("Method").select_option("fixed")
    assert page.get_by_role("slider", name="Fixed step size").is_enabled()
    page.get_by_label("Seed of the start").fill("7")
    page.keyboard.press("Enter")
    assert state(page, "setting.seed") == 7
    unnamed = page.locator(".live-figure :is(input, select, button, svg[role], .live-point)")
    names = unnamed.evaluate_all(
        "all => all.map(e => e.getAttribute('aria-label') || e.closest('label')?.textContent"
        " || e.textContent)"
    )
    assert all(name.strip() for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["armijo", "ray", "fixed", "newton"])
def test_this_run_in_python_gives_the_same_loss(method, opened, capsys):
    page = opened("live")
    page.get_by_label("Method").select_option(method)
    for _ in range(4):
        page.get_by_role("button", name="Step", exact=True).click()
    code = page.locator(".live-figure pre").text_content()
    assert 'jax.config.update("jax_enable_x64", True)' in code
    exec(code.replace('jax.config.update("jax_enable_x64", True)', ""), {})
    near(float(capsys.readouterr().out), state(page, "state.loss"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["live", "intro"])
def test_without_javascript_there_is_a_picture(name, opened):
    page = opened(name, java_script_enabled=False)
    picture = page.locator(".live-figure img")
    assert picture.is_visible() and len(picture.get_attribute("alt")) > 60
    assert name == "intro" or "needs JavaScript" in page.locator(".live-figure").text_content()


@pytest.mark.slow
def test_who_wants_no_motion_sees_none(opened):
    page = opened("intro", reduced_motion="reduce")
    assert page.get_by_role("button", name="Play").count() == 1
    before = state(page, "steps")
    page.wait_for_timeout(500)
    assert state(page, "steps") == before and state(page, "state.loss") < 1e-20
    page = opened("live", reduced_motion="reduce")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_timeout(200)
    assert state(page, "state.loss") < 1e-20  # no step is shown by itself


@pytest.mark.slow
def test_the_home_pages_picture_moves_and_stops(opened):
    page = opened("intro")
    page.wait_for_function("document.querySelector('.live-figure').live.run().steps > 20")
    page.get_by_role("button", name="Pause").click()
    steps = state(page, "steps")
    page.wait_for_timeout(300)
    assert state(page, "steps") == steps
    assert page.get_by_role("button", name="Play").count() == 1


@pytest.mark.slow
def test_the_home_page_weighs_less_than_a_megabyte(opened):
    page = opened("intro")
    weight = sum(len(r.body()) for r in page.asked if r.status == 200)
    assert 100_000 < weight < 1_000_000
    assert page.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("width, height", [(1280, 800), (390, 844)])
def test_the_first_screen_has_the_question_and_the_picture(width, height, opened):
    page = opened("intro", width, height)
    for what in ("article p >> nth=0", ".live-stage", ".live-show button"):
        box = page.locator(what).first.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= height
    assert page.evaluate(TOO_WIDE) <= 0
