"""The two tests that every chapter's checkers have, made from lists of answers."""

import pytest

import narrowlib as nl


def accepted(right):
    """A test of rows (number, answer): an answer is made by a function when its test runs."""

    @pytest.mark.parametrize("number, answer", right)
    def test(number, answer):
        right = answer()
        for given in (right, tuple(right)) if isinstance(right, nl.Params) else (right,):
            verdict = nl.check(number, given)
            assert verdict and repr(verdict).startswith("Right."), verdict

    return test


def refused(wrong):
    """A test of rows (number, answer, part of the message)."""

    @pytest.mark.parametrize("number, answer, hint", wrong)
    def test(number, answer, hint):
        verdict = nl.check(number, answer)
        assert not verdict and hint in repr(verdict), verdict

    return test
