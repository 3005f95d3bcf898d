"""Checkers of "The paper's claims, one by one": right answers found another way, named mistakes."""

import statistics

from exercise_checks import accepted, refused

import narrowlib as nl


def by_hand():
    """The rule written out."""
    count = 0
    for m in (4, 16, 64):
        ends = {
            row["entry"]: row["results"]["test_error"]
            for row in nl.saved_results("classification").rows
            if (row["data"], row["loss"], row["m"]) == ("mnist", "cross-entropy", m)
        }
        pairs, free = ends["pairs"], ends["free, mirrored"]
        apart = statistics.median(pairs) > 1.25 * statistics.median(free)
        count += apart and all(p > f for p, f in zip(pairs, free, strict=True))
    return count


RIGHT = [("4.7.1", by_hand), ("4.7.2", lambda: 14)]
WRONG = [
    ("4.7.1", 4, "three widths"),
    ("4.7.1", 0.5, "three widths"),
    ("4.7.1", (by_hand() + 1) % 4, "every seed"),
    ("4.7.2", 40, "each colour"),
    ("4.7.2", 7, "two neurons"),
    ("4.7.2", 12, "round up"),
    ("4.7.2", 2e6 / 150_528, "round up"),
    ("4.7.2", 1000, "how many blocks"),
]

test_a_right_answer_is_accepted = accepted(RIGHT)
test_a_wrong_answer_gets_a_hint = refused(WRONG)
