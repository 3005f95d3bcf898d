"""No forged file passes a verifier, none makes one crash, and loading any of them is an error in
words. `forgery.py` has the kinds, `truth.py` says what is false; `benchmarks/forgeries.py` tries
ten times as many.
"""

import io
import json
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from forgery import KINDS, VERIFIERS, forge, loading, npy, outcome, packed, true_files
from truth import falsehoods

import narrowlib as nl

EACH = 30
MEGABYTE = 1 << 20


@pytest.fixture
def path(tmp_path):
    return tmp_path / "forged.npz"


def forgeries(name, path, seed=0):
    """Forgeries of a kind; some are fitted to what the verifier complains of."""

    def verify(data):
        path.write_bytes(data)
        return VERIFIERS["verifier"](str(path))

    for k in range(EACH):
        yield forge(name, np.random.default_rng([seed, [*KINDS].index(name), k]), verify)


def test_there_are_enough_of_them():
    assert len(KINDS) >= 25 and EACH * len(KINDS) >= 2000


@pytest.mark.parametrize("name", KINDS)
def test_no_forgery_passes(name, path):
    for forgery in forgeries(name, path):
        made = f"{forgery.kind} from {forgery.base}: {forgery.what}"
        with np.errstate(all="ignore"):
            found = outcome(forgery, path)
        assert not found.false, f"{made}: accepted by {found.accepted}: {found.false}"
        assert not found.crashes, f"{made}: {found.crashes}"
        assert found.loaded in ("loaded", "named"), f"{made}: {found.loaded}"


def test_the_oracle_has_nothing_against_true_files():
    wrong = {
        c.name: [f for f in falsehoods(c.arrays, c.header) if f.material] for c in true_files()
    }
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    "claim, factor",
    [
        ("residual", 0.9), ("sigma_min", 1.01), ("lipschitz", 0.999999), ("loss", 0.99),
        ("residual_bound", 0.5), ("loss_bound", 0.999999), ("stationarity_W", 0.99),
        ("stationarity_v", 0.99), ("multiplier", 1.01), ("ray", 1.01), ("distance", 0.999999),
        ("start_output", 0.99), ("guaranteed_radius", 100.0), ("violation", 0.5), ("h", 0.999999),
        ("radius", 0.999999), ("samples", 2),
    ],
)  # fmt: skip
def test_the_oracle_sees_a_claim_that_is_too_good(claim, factor):
    seen = tried = 0
    for true in true_files():
        value = true.claims.get(claim)
        if not isinstance(value, (int, float)) or abs(value) < 1e-3:
            continue
        if true.name.startswith("proof") or (claim[:13] == "stationarity_" and "outs" in true.name):
            continue  # a proof has room; outside of the set there is no normal cone
        lie = true.copy()
        lie.claims[claim] = value * factor
        tried += 1
        seen += claim in {found.claim for found in falsehoods(lie.arrays, lie.header)}
    assert seen == tried > 0


def test_the_oracle_sees_a_verdict_and_a_form_that_are_wrong():
    for true in true_files():
        lie = true.copy()
        lie.claims["verdict"] = "certain"
        assert "verdict" in {found.claim for found in falsehoods(lie.arrays, lie.header)}
        lie.arrays["junk"] = np.ones(1)
        assert [found.claim for found in falsehoods(lie.arrays, lie.header)] == ["form"]


# Paths, terminals and memory.


def strange_paths(folder):
    """Paths at which there is no file to be read."""
    (folder / "loop.npz").symlink_to(folder / "loop.npz")
    (folder / "null.npz").symlink_to("/dev/null")
    (folder / "zero.npz").symlink_to("/dev/zero")
    (folder / "folder.npz").mkdir()
    names = ("nowhere.npz", "loop.npz", "null.npz", "zero.npz", "folder.npz", "\udcff.npz",
             "x" * 5000, "a\0b", "σ/∞.npz")  # fmt: skip
    return ["", str(folder), *(f"{folder}/{name}" for name in names)]


def test_a_path_without_a_file_is_no_crash(tmp_path):
    for place in strange_paths(tmp_path):
        for name, verify in VERIFIERS.items():
            assert verify(place) != [], f"{name} accepts {place!r}"
        with pytest.raises((ValueError, OSError), match=r"^path: got "):
            nl.load_certificate(place)


def steering(true):
    """Files whose words would do something to a terminal."""
    escape = "σ \ud800 \x1b[2J\nok"
    verdict, activation, claim, array, sets = (true.copy() for _ in range(5))
    verdict.claims["verdict"] = activation.claims["activation"] = escape
    claim.claims[escape] = 0.0
    array.arrays[escape.replace("\ud800", "")] = np.ones(1)
    sets.claims["sets" if "sets" in sets.claims else "h"] = {"W": escape, "v": escape}
    return verdict, activation, claim, array, sets


def run(name, path, monkeypatch, encoding):
    """The exit status and the words of a verifier's script, on a terminal of this encoding."""
    module, stream = getattr(nl, name), io.BytesIO()
    terminal = io.TextIOWrapper(stream, encoding=encoding, errors="strict")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", [f"{name}.py", path])
        patch.setattr(sys, "stdout", terminal)
        status = module.main()
        terminal.flush()
    return status, stream.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "latin-1", "koi8-r"])
@pytest.mark.parametrize("name", VERIFIERS)
def test_any_terminal_shows_the_finding(name, encoding, tmp_path, monkeypatch):
    for place in strange_paths(tmp_path):
        status, words = run(name, place, monkeypatch, encoding)
        assert status == 1 and words.startswith("rejected")
    for true in true_files():
        proof = true.header["kind"] == "existence proof"
        path = tmp_path / "true.npz"
        path.write_bytes(packed(true))
        status, words = run(name, str(path), monkeypatch, encoding)
        right = proof == (name == "proof_verifier")
        assert (status, words[:8]) == ((0, "accepted") if right else (1, "rejected"))
        for lie in steering(true):
            path.write_bytes(packed(lie))
            status, words = run(name, str(path), monkeypatch, encoding)
            assert status == 1 and words.startswith("rejected")
            # a file must not steer the terminal, nor add a line of its own
            assert "\x1b" not in words and "\nok" not in words


def bomb(path, true, name, size):
    """A true file with another array of zeros, or a long header: a megabyte at most."""
    large = np.zeros(size // 8) if name != "header" else np.array("{}" + " " * (size // 4))
    contents = {"header": np.array(json.dumps(true.header)), **true.arrays, name: large}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in contents.items():
            archive.writestr(f"{key}.npy", npy(value), compresslevel=1)
    assert path.stat().st_size < 4 * MEGABYTE


def peak(action):
    """The most memory that an action takes."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("base", ["kkt ball far None", "proof far tanh None"])
@pytest.mark.parametrize("name", ["junk", "header", "axis_W"])
def test_what_is_not_asked_for_is_not_unpacked(name, base, path):
    true = next(c for c in true_files() if c.name == base)
    bomb(path, true, name, 60 * MEGABYTE)
    for verify in VERIFIERS.values():
        assert peak(lambda verify=verify: verify(str(path))) < 10 * MEGABYTE
        assert verify(str(path)) != []
    assert loading(path) in ("named", "loaded")


def test_a_small_file_takes_no_gigabyte(path):
    true = next(c for c in true_files() if c.name == "kkt ball far None")
    bomb(path, true, "X", 640 * MEGABYTE)
    for verify in (*VERIFIERS.values(), loading):
        assert peak(lambda verify=verify: verify(path)) < 10 * MEGABYTE
    assert loading(path) == "named"
