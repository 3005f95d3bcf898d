"""Runs dealt out to the devices of a host, against one device: a process with three of them."""

import json
import subprocess
import sys
import textwrap

import pytest

import narrowlib as nl

SCRIPT = """
import json
import jax
jax.config.update("jax_num_cpu_devices", 3)
jax.config.update("jax_enable_x64", True)
import narrowlib as nl

def run(key, step_size, m=4):
    keys = jax.random.split(key)
    data = nl.gaussian(keys[0], n=12, d=4)
    start = nl.mirrored_lecun(keys[1], d=4, m=m)
    solver = nl.ProjectedGradient(nl.Product(W=nl.Ball(start.W, 0.5), v=nl.Pairs()), step_size)
    sol = solver.run(start, data.X, data.y, max_steps=20, throw=False, tol=0.0)
    return {"loss": sol.stats["loss"]}

def entrant(key, *, entry, step_size):
    return run(key, step_size)

grid = {"step_size": [0.1, 0.5]}
found = {}
for name, devices in {"all": None, "one": jax.devices()[1:2], "two": jax.devices()[::2]}.items():
    table = nl.sweep(run, seeds=range(5), over=grid, static={"m": [4, 6]}, chunk=3, devices=devices)
    rows = nl.race(entrant, {"GD": grid}, tuning=[0, 1], reporting=[2, 3, 4], devices=devices)
    found[name] = [table["seed"].tolist(), table["loss"].tolist(), rows.rows[0]["results"]["loss"]]
print(json.dumps(found))
"""


def test_devices_change_nothing():
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert len(found["one"][1]) == 2 * 2 * 5 and len(set(found["one"][1])) == 20
    for name in ("all", "two"):
        for one, other in zip(found["one"], found[name], strict=True):
            assert other == pytest.approx(one, rel=1e-3 if one is found["one"][2] else 1e-10)


@pytest.mark.parametrize("devices", ["cpu", [], [0], "twice"])
def test_other_devices_are_refused(devices):
    import jax

    devices = 2 * jax.devices()[:1] if devices == "twice" else devices
    with pytest.raises(ValueError, match=r"devices: got .*\. Pass "):
        nl.sweep(lambda key: {"x": 0.0}, seeds=[0], devices=devices)
