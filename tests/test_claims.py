"""`nl.claim`: a tick with the margin, a report where it fails, an error where one is asked for."""

import numpy as np
import pytest

import narrowlib as nl


@pytest.fixture
def reader(monkeypatch):
    """A reader's machine: claims report."""
    monkeypatch.setenv("NARROWLIB_STRICT", "0")


def shown(capsys):
    return capsys.readouterr().out.splitlines()


def test_values_and_margins_are_shown(capsys):
    loss, stats = 4e-21, {"steps": 12}
    with nl.claim("fit", "fast"):
        assert loss < 1e-20 and stats["steps"] <= 24
        assert loss > -3.0
    assert shown(capsys) == [
        "✓ fit, fast",
        "    loss = 4e-21 < 1e-20    margin: 2.5 times",
        "    stats['steps'] = 12 ≤ 24    margin: 2 times",
        "    loss = 4e-21 > -3.0    margin: 3",
    ]


def test_the_worst_of_many_is_shown(capsys):
    errors, bounds = np.array([1e-9, 4e-9]), np.array([1e-8, 8e-9])
    with nl.claim("all"):
        assert all(error < 1e-7 for error in errors)
        assert np.all(errors < bounds) and (errors <= bounds).all()
        assert all(bound > error for error, bound in zip(errors, bounds, strict=True))
    lines = shown(capsys)
    assert lines[1] == "    error = 4e-09 < 1e-07    margin: 25 times"
    assert [line.rpartition("margin: ")[2] for line in lines[2:]] == ["2 times"] * 3


def test_equal_values_and_words_have_no_margin(capsys):
    rank, verdict = 5, "proved"
    with nl.claim("rank"):
        assert rank == 5 and verdict in ("proved", "exists")
        assert rank <= 5
    assert shown(capsys)[1:] == [
        "    rank = 5 = 5",
        "    verdict = proved in ('proved', 'exists')",
        "    rank = 5 ≤ 5    margin: none",
    ]


def test_nothing_dear_is_computed_twice(capsys):
    called = []

    def dear(x):
        called.append(x)
        return x

    with nl.claim("once"):
        assert dear(2) < 3
        assert (y := dear(4)) < 5
    assert called == [2, 4] and y == 4
    assert shown(capsys) == ["✓ once"]


def test_a_failing_claim_reports_and_the_program_goes_on(capsys, reader):
    with nl.claim("kkt-plane"):
        for residual in (1e-9, 3e-7, 1e-9):
            assert residual < 1e-8, "the residual is too large"
        raise RuntimeError("the rest is left out")
    lines = shown(capsys)
    assert lines[:3] == [
        "✗ kkt-plane",
        "    expected residual < 1e-08",
        "    seen     residual = 3e-07 < 1e-08: fails",
    ]
    assert lines[3] == "    the residual is too large" and "Going on." in lines[4]


def test_nan_fails_and_is_shown(capsys, reader):
    loss = float("nan")
    with nl.claim("finite"):
        assert loss < 1
    assert shown(capsys)[2] == "    seen     loss = nan < 1: fails"


@pytest.mark.parametrize("error", [ValueError, NameError, KeyboardInterrupt])
def test_other_errors_are_raised_always(reader, error):
    with pytest.raises(error), nl.claim("x"):
        raise error


def test_strict_raises():
    """The tests themselves run strictly, and so do the notebooks that they run."""
    with pytest.raises(AssertionError), nl.claim("x"):
        assert 1 > 2


def test_code_that_cannot_be_read_is_checked_all_the_same(capsys, reader):
    code = "with nl.claim('x'):\n    assert a < 1"
    exec(code, {"nl": nl, "a": 0})
    exec(code, {"nl": nl, "a": 2})
    lines = shown(capsys)
    assert lines[:2] == ["✓ x", "✗ x"] and "Going on." in lines[2]


@pytest.mark.parametrize("names", [(), ("",), ("  ",), (3,), ("a", None)])
def test_a_claim_has_a_name(names):
    with pytest.raises(ValueError, match="names: got"):
        nl.claim(*names)
