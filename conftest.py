"""How the tests run: in float64, compiled quickly and once, the longest files first.

Tests compile much and compute little: the compiler is most of their time. So

- the tests of this process and the docstrings' examples compile without optimisations. Notebooks
  and other processes that tests start have them on: they see what readers see;
- all of them leave out XLA's fusion emitters, a slow part of the compiler that results do not need.
  A flag that an XLA does not know ends the process, so this one is only for the jaxlib in which it
  was tried: 0.12, for one, does not know it;
- all of them keep what they have compiled in `.cache/`, for each other and for the next run;
- notebooks' kernels have one thread: as many of them run at a time as there are cores.
"""

import gc
import json
import os
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent
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


def expected_seconds(items):
    """What each file takes, roughly: a notebook what it took when it was run, others by their mark.

    One file builds the book; the others that read it come when it is built.
    """
    notebooks = json.loads((ROOT / "book" / "status.json").read_text("utf-8"))["notebooks"]
    seconds, readers = {}, []
    for item in items:
        if item.path.suffix == ".ipynb":
            entry = notebooks.get(item.path.relative_to(ROOT).as_posix(), {})
            seconds[item.path] = entry.get("seconds", 30.0)
        elif "html" in getattr(item, "fixturenames", ()):
            readers.append(item.path)
            seconds[item.path] = 2000.0 if item.path == readers[0] else 500.0
        elif item.get_closest_marker("slow") and item.path not in readers:
            seconds[item.path] = 1000.0
    return seconds


def pytest_collection_modifyitems(items):
    """The longest files first, so that no process works alone at the end."""
    seconds = expected_seconds(items)
    items.sort(key=lambda item: -seconds.get(item.path, 0.0))


def pytest_runtest_teardown(item, nextitem):
    """What nobody needs any more goes: without this a process grows to gigabytes."""
    if item.get_closest_marker("slow") or nextitem is None or nextitem.path != item.path:
        jax.clear_caches()
        gc.collect()
