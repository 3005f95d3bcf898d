"""What the figures show is read back from the axes and compared with the data."""

import jax
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest

import narrowlib as nl
from narrowlib import plots


@pytest.fixture(autouse=True)
def closed_figures():
    with plt.rc_context():
        yield
        plt.close("all")


def test_the_style_is_light_opaque_and_told_apart_without_colour():
    plots.book_style()
    assert plt.rcParams["savefig.facecolor"] == plt.rcParams["axes.facecolor"] == "white"
    styles = [(c["color"], str(c["linestyle"])) for c in plt.rcParams["axes.prop_cycle"]]
    assert len({style for _, style in styles}) == len(styles)


def test_a_mirrored_start_is_drawn_as_one_plain_area():
    data = nl.gaussian(jax.random.key(0), n=8, d=2)
    start = nl.mirrored_lecun(jax.random.key(1), d=2, m=8)
    ax = plots.plane(start, data.X, data.y)
    assert len(ax.collections) == 3  # the area and two kinds of points, no zero line
    filled = ax.collections[0]
    assert sum(path.vertices.size > 0 for path in filled.get_paths()) == 1


def test_the_points_of_the_plane_are_the_samples():
    data = nl.gaussian(jax.random.key(0), n=8, d=2)
    ax = plots.plane(nl.lecun(jax.random.key(1), d=2, m=5), data.X, data.y)
    plus, minus = (c.get_offsets() for c in ax.collections[-2:])
    np.testing.assert_allclose(plus, data.X[data.y > 0])
    np.testing.assert_allclose(minus, data.X[data.y < 0])


def test_loss_curves_start_at_step_one_on_logarithmic_axes():
    losses = np.array([1.0, 1e-3, 1e-9])
    ax = plots.loss_curves({"a": losses, "b": losses[:2]})
    assert ax.get_xscale() == ax.get_yscale() == "log"
    first, second = ax.get_lines()
    np.testing.assert_array_equal(first.get_xydata(), np.stack([[1, 2, 3], losses], axis=1))
    assert (
        first.get_linestyle() != second.get_linestyle() or first.get_color() != second.get_color()
    )


def test_ranks_and_predictions_stand_at_their_widths():
    ax = plots.rank_by_width({"x": {2: 3, 4: 6}}, samples=6, predicted={2: 3})
    level, ranks, predicted = ax.get_lines()
    assert list(level.get_ydata()) == [6, 6]
    np.testing.assert_array_equal(ranks.get_xydata(), [[2, 3], [4, 6]])
    np.testing.assert_array_equal(predicted.get_xydata(), [[2, 3]])
    assert list(ax.get_xticks()) == [2, 4]


def test_a_row_of_images_has_a_title_each():
    figure = plots.image_row(nl.digits(n=3).images, ["a", "b", "c"])
    assert [ax.get_title() for ax in figure.axes] == ["a", "b", "c"]
    with pytest.raises(ValueError):
        plots.image_row(nl.digits(n=3).images, ["a"])


def test_given_axes_are_drawn_on():
    figure, axes = plt.subplots(1, 2)
    data = nl.gaussian(jax.random.key(0), n=8, d=2)
    network = nl.lecun(jax.random.key(1), d=2, m=5)
    assert plots.plane(network, data.X, data.y, ax=axes[0]) is axes[0]
    assert plots.loss_curves({"a": [1.0]}, ax=axes[1]) is axes[1]
    assert figure.axes == list(axes)


def test_a_phase_diagram_mixes_verdicts_and_draws_the_staircase():
    sweep = nl.rank_sweep(
        jax.random.key(0), n=[2, 4, 6], d=2, m=[[2], [4]], draws=4, activation="relu"
    )
    ax = plots.phase_diagram(sweep)
    colours = np.array([matplotlib.colors.to_rgb(c) for c in plots.VERDICTS.values()])
    drawn = np.asarray(ax.images[0].get_array())
    for i, k in np.ndindex(2, 3):
        shares = [np.mean(sweep.verdict[i, k] == verdict) for verdict in plots.VERDICTS]
        np.testing.assert_allclose(drawn[i, k], shares @ colours, atol=1e-6)
    (staircase,) = ax.patches
    np.testing.assert_allclose(staircase.get_data().values, [0.5, 1.5])  # n <= 2, n <= 4
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2", "4", "6"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("samples n", "neurons m")


def test_a_long_axis_has_few_ticks():
    sweep = nl.rank_sweep(jax.random.key(0), n=np.arange(1, 12), d=2, m=[[2]], draws=1)
    ax = plots.phase_diagram(sweep)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["3", "6", "9"]


X, Y = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([1.0, -1.0])
NET = nl.Params(np.ones((3, 2)), np.ones(3))
SWEEP = nl.rank_sweep(jax.random.key(0), n=[2, 4], d=2, m=4, draws=1)


@pytest.mark.parametrize(
    "draw, says",
    [
        (lambda: plots.plane("net", X, Y), "params: got 'net'"),
        (
            lambda: plots.plane(nl.Params(np.ones((3, 4)), np.ones(3)), X, Y),
            "params: got W of shape",
        ),
        (lambda: plots.plane(nl.Params(NET.W, np.ones((3, 2))), X, Y), "and one output"),
        (lambda: plots.plane(NET, X[:, :1], Y), r"X: got shape \(2, 1\)"),
        (lambda: plots.plane(NET, X * np.nan, Y), "X: got 4 entries that are NaN"),
        (lambda: plots.plane(NET, X, Y[:1]), r"y: got shape \(1,\)"),
        (lambda: plots.plane(NET, X, [0.0, 1.0]), "y: got zeros. .* labels of either sign"),
        (lambda: plots.plane(NET, 0 * X, Y), "X: got zeros"),
        (lambda: plots.plane(NET, X, Y, ax=3), "ax: got 3. Pass Matplotlib axes"),
        (lambda: plots.plane(NET, X, Y, activation="sinus"), "activation: got 'sinus'"),
        (lambda: plots.loss_curves([1.0]), r"curves: got \[1.0\]. Pass a dictionary"),
        (lambda: plots.loss_curves({}), "curves: got {}"),
        (lambda: plots.loss_curves({"a": "low"}), r"curves\['a'\]: got 'low'"),
        (lambda: plots.loss_curves({"a": [[1.0]]}), r"curves\['a'\]: got shape \(1, 1\)"),
        (lambda: plots.rank_by_width({"a": {2: 3}}, samples=0), "samples: got 0"),
        (lambda: plots.rank_by_width({"a": 3}, samples=2), r"ranks\['a'\]: got 3"),
        (lambda: plots.rank_by_width({"a": {"w": 3}}, samples=2), "the width: got 'w'"),
        (lambda: plots.rank_by_width({"a": {2: "x"}}, samples=2), r"ranks\['a'\]\[2\]: got 'x'"),
        (lambda: plots.rank_by_width({"a": {2: 3}}, samples=2, predicted=[1]), "predicted: got"),
        (lambda: plots.image_row(X, ["a"]), r"images: got shape \(2, 2\)"),
        (lambda: plots.image_row(X[None], ["a", "b"]), "titles: got 2 of them. There are 1 images"),
        (lambda: plots.image_row(X[None], "a"), "titles: got 'a'. Pass a list"),
        (lambda: plots.phase_diagram(3), "sweep: got 3. Pass a RankSweep over a table"),
        (lambda: plots.phase_diagram(SWEEP), r"sweep: got cells \(2,\)"),
    ],
)
def test_what_cannot_be_drawn(draw, says):
    with pytest.raises(ValueError, match=says):
        draw()
    assert plt.get_fignums() == []  # no empty figure is left


def test_clear_meanings_are_drawn():
    ax = plots.plane((NET.W.tolist(), [1, 1, 1]), X.tolist(), [1, -1])
    assert len(ax.collections[-1].get_offsets()) == 1
    tiny = plots.loss_curves({"a": [1e-60, np.nan]}).get_lines()[0]
    assert tiny.get_ydata()[0] == 1e-60
    assert len(plots.image_row(X[None], ["one"]).axes) == 1


def test_a_disc_of_a_pair_has_the_losses_of_the_plane():
    X, y = np.array([[1.0, 0.2], [0.3, 1.0]]), np.array([1.0, -1.0])
    ax = plots.pair_disc(X, y, 0.5, zeta=0.1)
    filled = ax.collections[0]
    points = np.concatenate([path.vertices for path in filled.get_paths()])
    assert np.linalg.norm(points, axis=1).max() == pytest.approx(0.5)
    # on the border of a shade the loss is that of the border, up to the grid
    for level, path in list(zip(filled.levels, filled.get_paths(), strict=False))[3:20:4]:
        inside = path.vertices[np.linalg.norm(path.vertices, axis=1) < 0.45]
        inside = inside[np.linalg.norm(inside, axis=1) > 0.05]
        found = np.asarray(nl.plane_of_a_pair(inside, X, y, zeta=0.1).loss)
        step = filled.levels[1] - filled.levels[0]
        assert (abs(found - level) < 1.3 * step).all() and len(inside) > 0
    with pytest.raises(ValueError, match="radius"):
        plots.pair_disc(X, y, 0.0)
