"""A table: by rows, by columns, chosen rows, saved; unknown names are refused everywhere."""

import datetime
import json
import pathlib
import re
import sys
import types

import jax
import numpy as np
import pytest

import narrowlib as nl

ROWS = [
    {"m": 4, "entry": "GD", "loss": [0.5, None], "ok": True, "best": 0.5},
    {"m": 8, "entry": "GD", "loss": [0.25, 0.75], "ok": False, "best": None},
    {"m": 8, "entry": "Adam", "loss": [0.125, 1.0], "ok": True, "best": 2, "extra": {"a": 1}},
]
TABLE = nl.Table(ROWS, {"date": "2026-02-03"})
SWEEP = nl.sweep(lambda key, x: {"y": 2 * x}, seeds=[0], over={"x": [1.0, 2.0]})
RACE = nl.race(lambda key, entry, x: {"loss": x}, {"A": {"x": [1.0]}}, tuning=[0], reporting=[1])
SAVED = nl.saved_results("kkt_points")


def test_it_is_a_sequence_of_rows():
    assert len(TABLE) == 3 and list(TABLE) == ROWS and TABLE[-1] == ROWS[2]
    (row,) = TABLE.where(entry="Adam")
    assert row == ROWS[2]
    part = TABLE[1:]
    assert part.rows == ROWS[1:] and part.provenance == TABLE.provenance
    assert repr(part) == "Table of 2 rows: m, entry, loss, ok, best, extra"
    with pytest.raises(IndexError, match=r"row: got 3\. The table has 3 rows\."):
        TABLE[3]
    with pytest.raises(ValueError, match=r"row or column: got 1\.5\. Pass a number"):
        TABLE[1.5]


def test_columns_are_arrays_of_numbers_where_they_can():
    m, loss = TABLE["m"], TABLE["loss"]
    assert m.dtype == np.int64 and m.tolist() == [4, 8, 8]
    np.testing.assert_array_equal(loss, [[0.5, np.nan], [0.25, 0.75], [0.125, 1.0]])
    np.testing.assert_array_equal(TABLE["best"], [0.5, np.nan, 2.0])
    assert TABLE["ok"].dtype == bool and (TABLE["entry"] == "GD").sum() == 2
    assert TABLE["extra"].tolist() == [None, None, {"a": 1}]
    assert list(TABLE.columns) == ["m", "entry", "loss", "ok", "best", "extra"]
    ragged = nl.Table([{"c": [1, 2]}, {"c": [3]}, {"c": None}], {})
    assert ragged["c"].tolist() == [[1, 2], [3], None]
    huge = nl.Table([{"c": 10**30}, {"c": 1}], {})
    assert huge["c"].tolist() == [10**30, 1]


def test_where_has_one_meaning():
    assert TABLE.where(m=np.int64(8), ok=True).rows == [ROWS[2]]
    assert TABLE.where(loss=np.array([0.25, 0.75])).rows == [ROWS[1]]
    assert len(TABLE.where(extra=None)) == 2  # as in the column
    none = TABLE.where(m=5)
    assert not none and none["loss"].shape == (0,) and not none.where(entry="GD")
    assert TABLE.where().rows == ROWS
    assert type(SAVED.where(m=4)) is nl.SavedResults and type(SWEEP.where(x=1.0)) is nl.Sweep
    assert SWEEP.where(x=2.0)["y"].tolist() == [4.0]


@pytest.mark.parametrize(
    "table", [TABLE, SWEEP, RACE, SAVED], ids=["own", "sweep", "race", "saved"]
)
def test_an_unknown_name_is_refused(table):
    known = ", ".join(table.names)
    for refused, argument in (
        (lambda: table.where(radus=1), "where"), (lambda: table["radus"], "column"),
        (lambda: table.where(**{table.names[0]: -1}).where(radus=1), "where"),
    ):  # fmt: skip
        with pytest.raises(ValueError) as caught:
            refused()
        assert str(caught.value) == f"{argument}: got ['radus']. The columns are {known}."


def test_a_saved_table_is_json(tmp_path):
    table = nl.Table(
        [{"x": np.float32(0.5), "y": np.array([1.0, np.nan])}, {"x": -np.inf, "y": (1, 2)}],
        {
            "commit": np.str_("abc"), "day": datetime.date(2026, 2, 3), "n": np.int16(7),
            "file": pathlib.PurePosixPath("data/x.npz"), "seeds": range(3),
            "key": jax.numpy.ones(2),
            "then": np.datetime64("2026-02-03"), "none": None, "deep": {"on": np.bool_(True)},
        },
    )  # fmt: skip
    saved = json.loads(table.save(tmp_path / "t.json").read_text())
    assert saved["rows"] == [{"x": 0.5, "y": [1.0, None]}, {"x": None, "y": [1, 2]}]
    assert saved["provenance"] == {
        "commit": "abc", "day": "2026-02-03", "n": 7, "file": "data/x.npz", "seeds": [0, 1, 2],
        "key": [1.0, 1.0], "then": "2026-02-03", "none": None, "deep": {"on": True},
    }  # fmt: skip
    assert saved["provenance"] == table.provenance
    results = json.loads(SAVED[:2].save(tmp_path / "r.json").read_text())
    assert list(results) == ["name", "record", "rows", "provenance"]
    assert results["record"] == SAVED.record and results["rows"] == SAVED.rows[:2]


@pytest.mark.parametrize(
    "about, says",
    [
        ({"run": print}, r"provenance\['run'\]: got <built-in function print>"),
        ({"set": {1, 2}}, r"provenance\['set'\]: got \{1, 2\}"),
        ({"x": {"y": [1, np.nan]}}, r"provenance\['x'\]\['y'\]: got nan"),
        ({3: "x"}, "provenance: got the key 3"),
        ({"z": 1j}, r"provenance\['z'\]: got 1j"),
        ({"z": np.array([1j])}, r"provenance\['z'\]: got an array of complex128"),
        ({"key": jax.random.key(0)}, r"provenance\['key'\]: got an array of key"),
        ("words", "provenance: got 'words'"),
    ],
)
def test_what_json_cannot_hold_is_refused(about, says):
    with pytest.raises(ValueError, match=says):
        nl.Table([], about)


@pytest.mark.parametrize("rows", [3, "ab", [1], {"x": [1]}, [{"x": print}], [{1: 2}], None])
def test_rows_that_are_none(rows):
    with pytest.raises(ValueError, match=r"^rows.*: got "):
        nl.Table(rows, {})


def test_pandas_reads_it_where_there_is_one(monkeypatch):
    class Frame:
        def __init__(self, rows, columns):
            self.rows, self.columns, self.attrs = rows, columns, {}

    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=Frame))
    frame = TABLE.to_pandas()
    assert frame.rows == ROWS and frame.columns == list(TABLE.names)
    assert frame.attrs == {"provenance": {"date": "2026-02-03"}}
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match="to_pandas needs pandas: pip install pandas"):
        TABLE.to_pandas()


def test_a_notebook_shows_a_short_table_to_three_digits():
    page = nl.Table([{"a<b": 0.123456, "n": 12}, {"a<b": None, "n": 2}], {})._repr_html_()
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    assert cells == [["a&lt;b", "n"], ["0.123", "12"], ["", "2"]]
    assert nl.Table([{"n": k} for k in range(25)], {})._repr_html_() is None
