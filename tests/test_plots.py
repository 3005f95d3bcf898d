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
