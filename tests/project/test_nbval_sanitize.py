"""The comparison of stored with fresh outputs hides a machine's noise and no stale number."""

import re
from configparser import ConfigParser
from pathlib import Path

import pytest


def sanitize(text):
    """What nbval does with the file: its rules, one after the other."""
    config = ConfigParser()
    config.read(Path(__file__).parents[1] / "nbval_sanitize.cfg", encoding="utf-8")
    for name in config.sections():
        text = re.sub(config[name]["regex"], config[name]["replace"], text)
    return text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("loss 1.41421356", "loss 1.41421371"),
        ("0.00012345678", "0.00012345699"),
        ("-12.345678e-05", "-12.345699e-05"),
        ("residual 3.1e-27", "residual 8.874e-26"),
        ("took 41.2 s", "took 39.8 s"),
        ("<object at 0x7f00aa>", "<object at 0x7f00bb>"),
    ],
)
def test_noise_is_hidden(one, other):
    assert sanitize(one) == sanitize(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("loss 1.414", "loss 1.415"),
        ("0.0001234", "0.0001244"),
        ("rank 200 of 200", "rank 199 of 200"),
        ("residual 3.1e-07", "residual 3.1e-06"),
        ("residual 3.1e-27", "residual 3.1e-11"),
        ("width 60", "width 61"),
    ],
)
def test_a_stale_number_is_seen(one, other):
    assert sanitize(one) != sanitize(other)
