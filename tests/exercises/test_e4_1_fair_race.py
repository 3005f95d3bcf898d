"""Checkers of "A fair race": right answers found another way, named mistakes."""

import itertools

import numpy as np
from exercise_checks import accepted, refused


def share(a, b):
    """How often the best of all tries, each equally likely, is one of the last b."""
    return sum(best >= a for best in range(a + b)) / (a + b)


def expected_best(k, cells=200_000):
    """∫ (1 − t)^k dt, by the midpoint rule."""
    t = (np.arange(cells) + 0.5) / cells
    return np.mean((1 - t) ** k)


def seeds(comparisons, level):
    """By counting the patterns of signs with nothing but wins."""
    for k in itertools.count(1):
        patterns = itertools.product([0, 1], repeat=k)
        if comparisons * sum(map(all, patterns)) / 2**k <= level:
            return k


def rule(a, b):
    a, b = (np.where(np.isnan(x), np.inf, x) for x in (a, b))
    for name, low, high in (("a", a, b), ("b", b, a)):
        if np.all(low < high) and np.median(high) > 2 * np.median(low):
            return name
    return "none"


def only_medians(a, b):
    ratio = np.median(np.nan_to_num(b, nan=np.inf)) / np.median(np.nan_to_num(a, nan=np.inf))
    return "a" if ratio > 2 else "b" if ratio < 0.5 else "none"


def only_signs(a, b):
    a, b = np.nan_to_num(a, nan=np.inf), np.nan_to_num(b, nan=np.inf)
    return "a" if (a < b).all() else "b" if (b < a).all() else "none"


def one_sided(a, b):
    return "a" if rule(a, b) == "a" else "none"


def survivors(a, b):
    there = np.isfinite(a) & np.isfinite(b)
    return rule(a[there], b[there])


def sorted_pairs(a, b):
    return rule(np.sort(a), np.sort(b))


def unpaired(a, b):
    if np.nanmax(np.nan_to_num(a, nan=np.inf)) < np.nanmin(b):
        return rule(a, b)
    return rule(a, b) if len(set(a)) == 5 else "none"


RIGHT = [
    ("4.1.1", lambda: share(4, 12)),
    ("4.1.2", lambda: expected_best(4) / expected_best(24)),
    ("4.1.3", lambda: seeds(6, 0.01)),
    ("4.1.4", lambda: rule),
    ("4.1.5", lambda: {6, 5, 3, 2}),
    ("4.1.5", lambda: [2, 3, 5, 6]),
]
WRONG = [
    ("4.1.1", 0.25, "the other one"),
    ("4.1.1", 3, "at most 1"),
    ("4.1.1", 0.5, "numbers of tries"),
    ("4.1.1", 12 / 13, "not one"),
    ("4.1.1", 1 / 13, "not one"),
    ("4.1.1", 0.9, "whose"),
    ("4.1.2", 0.2, "Upside down"),
    ("4.1.2", 6, "exactly"),
    ("4.1.2", 0.16, "difference"),
    ("4.1.2", 2, "1/(k + 1)"),
    ("4.1.3", 7, "six"),
    ("4.1.3", 11, "one direction"),
    ("4.1.3", 9, "Round up"),
    ("4.1.3", 5, "add up"),
    ("4.1.4", lambda a: "a", "raised TypeError"),
    ("4.1.4", lambda a, b: True, "has to return"),
    ("4.1.4", one_sided, "other one may win"),
    ("4.1.4", only_signs, "factor of 2"),
    ("4.1.4", only_medians, "every seed"),
    ("4.1.4", survivors, "counts as lost"),
    ("4.1.4", sorted_pairs, "every seed"),
    ("4.1.4", unpaired, "same seed"),
    ("4.1.4", lambda a, b: "none", "wrong for"),
    ("4.1.5", set(range(1, 8)), "Not all"),
    ("4.1.5", {1, 2, 3}, "1 of yours is fair"),
    ("4.1.5", {2, 3, 5}, "1 more to find"),
    ("4.1.5", {0, 2}, "from 1 to 7"),
    ("4.1.5", {2.5, 3}, "from 1 to 7"),
    ("4.1.5", set(), "from 1 to 7"),
    ("4.1.5", 4, "numbers of the unfair"),
]


test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
