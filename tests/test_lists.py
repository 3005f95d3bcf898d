"""Lists, dictionaries and arrays of the host: what passes, and what is refused in words."""

import jax.numpy as jnp
import numpy as np
import pytest

from narrowlib._lists import check_list, check_mapping, check_numbers


@pytest.mark.parametrize("values", [[1, 2], (1, 2), range(1, 3), np.array([1, 2])])
def test_what_holds_values_in_order_is_a_list(values):
    assert check_list("seeds", values) == [1, 2]


def test_lists_that_are_too_short_or_none():
    assert check_list("seeds", (k for k in (3,))) == [3]
    for values, says in (
        ([], "got nothing. Pass at least two"), ([1], "got 1 of them. Pass at least two"),
        ("ab", "got 'ab'. Pass a list"), (b"ab", "Pass a list"), (7, "got 7. Pass a list"),
        (None, "got None"), ({1: 2}, "Pass a list"), ({1, 2}, "Pass a list"),
        (np.array(3), "got an array of int64"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"seeds: .*{says}"):
            check_list("seeds", values, least=2)


def test_numbers_are_double_whatever_holds_them():
    for x in ([1, 2], jnp.array([1, 2], jnp.float16), np.array([1, 2], ">f4")):
        array = check_numbers("x", x, 1)
        assert type(array) is np.ndarray and array.dtype == float and array.tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"x: got shape \(2,\). Pass an array with 2 axes"):
        check_numbers("x", [1, 2], 2)
    with pytest.raises(ValueError, match="x: got 'ab'"):
        check_numbers("x", "ab", 1)


def test_dictionaries():
    assert check_mapping("d", {"a": 1}) == {"a": 1}
    for wrong in ({}, [1], None):
        with pytest.raises(ValueError, match=r"d: got .* Pass a dictionary with at least one"):
            check_mapping("d", wrong)
