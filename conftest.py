"""How the tests run: in float64, compiled quickly and once, the longest files first.

Tests compile much and compute little: the compiler is most of their time. So

- the tests of this process and the docstrings' examples compile without optimisations. Notebooks
  and other processes that tests start have them on: they see what readers see;
- all of them leave out XLA's fusion emitters, a slow part of the compiler that results do not need.
  A flag that an XLA does not know ends the process, so this one is only for the jaxlib in which it
  was tried: 0.12, for one, does not know it;
- all of them keep what they have compiled in `.cache/`, for each other and for the next run;
- a claim that fails in a notebook raises, where it would report to a reader and go on;
- notebooks' kernels have one thread: as many of them run at a time as there are cores.

`tests/seconds.json` says which tests take longer than half a second, all their cases together.
With `--quick` they are left out; `--record-seconds` measures them again.
"""

import collections
import ctypes
import gc
import json
import math
import os
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SECONDS = ROOT / "tests" / "seconds.json"
LONG = 0.5  # second
MUCH = 1e9  # bytes
WITH_FUSION_FLAG = ("0.10.2",)  # jaxlib
CACHE = {
    "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def with_flag(flags: str, flag: str) -> str:
    """The flags and one more, unless it is there: a worker inherits those of its parent."""
    return flags if flag in flags.split() else f"{flags} {flag}".strip()


for name, value in CACHE.items():
    os.environ.setdefault(name, value)
os.environ["NARROWLIB_STRICT"] = "1"  # a claim of the book that fails is a failing test
os.environ.setdefault("NPROC", "1")  # the threads of XLA's pool
# What two processes write at once, or one that was killed, is read as damaged and compiled anew.
os.environ.setdefault("PYTHONWARNINGS", "ignore:Error reading persistent compilation cache entry")
FLAGS = os.environ.get("XLA_FLAGS", "")
if version("jaxlib") in WITH_FUSION_FLAG:
    FLAGS = with_flag(FLAGS, "--xla_cpu_use_fusion_emitters=false")

import jax  # noqa: E402 (it reads the variables)

jax.config.update("jax_enable_x64", True)
os.environ["XLA_FLAGS"] = with_flag(FLAGS, "--xla_backend_optimization_level=0")
jax.devices()  # reads the flags
os.environ["XLA_FLAGS"] = FLAGS  # of the processes to come


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="leave out tests of over half a second")
    parser.addoption(
        "--record-seconds", action="store_true", help=f"write {SECONDS.relative_to(ROOT)} anew"
    )


def test_function(nodeid):
    """A test without its case: what the file of seconds lists."""
    return nodeid.partition("[")[0]


def expected_seconds(items, long_tests):
    """What each file takes, roughly: a notebook what it took when it was run, others as recorded.

    One file builds the book; the others that read it come when it is built, and nobody waits.
    """
    notebooks = json.loads((ROOT / "book" / "status.json").read_text("utf-8"))["notebooks"]
    seconds, readers = collections.Counter(), []
    for name, taken in long_tests.items():
        seconds[ROOT / name.partition("::")[0]] += taken
    for item in items:
        if item.path.suffix == ".ipynb":
            entry = notebooks.get(item.path.relative_to(ROOT).as_posix(), {})
            seconds[item.path] = entry.get("seconds", 30.0)
        elif "html" in getattr(item, "fixturenames", ()) and item.path not in readers:
            readers.append(item.path)
            seconds[item.path] = 2000.0 if item.path == readers[0] else 20.0
    return seconds


def pytest_collection_modifyitems(config, items):
    """The longest files first, so that no process works alone at the end."""
    long_tests = json.loads(SECONDS.read_text("utf-8"))
    if config.getoption("quick"):
        left_out = {
            item
            for item in items
            if item.get_closest_marker("slow") or test_function(item.nodeid) in long_tests
        }
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]
    seconds = expected_seconds(items, long_tests)
    items.sort(key=lambda item: -seconds[item.path])


measured = collections.Counter()


def pytest_runtest_logreport(report):
    if not report.nodeid.partition("::")[0].endswith(".ipynb"):
        measured[test_function(report.nodeid)] += report.duration


def pytest_sessionfinish(session):
    """The process that the others report to writes what they took."""
    config = session.config
    if config.getoption("record_seconds") and not hasattr(config, "workerinput"):
        known = json.loads(SECONDS.read_text("utf-8"))
        known = {k: v for k, v in known.items() if k not in measured} | measured
        found = {k: round(v, 1) for k, v in sorted(known.items()) if v > LONG}
        SECONDS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def resident():
    """The bytes that this process holds; infinite where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    except OSError:
        return math.inf
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def give_back():
    """What was freed goes back to the system, where its allocator can be asked to do so."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim:
        trim(0)


def pytest_runtest_teardown(item, nextitem):
    """What nobody needs any more goes before a process grows to gigabytes."""
    if (nextitem is None or nextitem.path != item.path) and resident() > MUCH:
        jax.clear_caches()
        gc.collect()
        give_back()
