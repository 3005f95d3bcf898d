"""A progress bar in terminals and notebooks, which leaves nothing behind."""

import sys
from types import SimpleNamespace

import pytest
from IPython.core.interactiveshell import InteractiveShell

from narrowlib.training.progress import in_notebook, progress_bar


def move(shown, total=4):
    with progress_bar(total, shown=shown) as bar:
        for epoch in range(1, total + 1):
            bar(epoch, 1 / epoch)


def test_in_terminals(capfd, monkeypatch):
    for shown in (None, True, False):
        move(shown)
        assert capfd.readouterr() == ("", "")  # this is no terminal
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    move(None)
    out, err = capfd.readouterr()
    assert out == "" and "epoch" in err and "loss" in err
    move(False)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def outputs(monkeypatch):
    """What a kernel's front end gets to see."""
    published = []

    class Publisher:
        def publish(self, data, metadata=None, *, transient=None, update=False, **kwargs):
            published.append((transient["display_id"], data, update))

    shell = SimpleNamespace(kernel=object(), display_pub=Publisher())
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr(InteractiveShell, "initialized", lambda: True)
    monkeypatch.setattr(InteractiveShell, "instance", lambda: shell)
    assert in_notebook()
    return published


def test_in_notebooks(outputs, capfd, monkeypatch):
    for shown in (None, False):
        move(shown)
    assert outputs == []
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # it is not needed
    move(True)
    assert len({display for display, _, _ in outputs}) == 1
    assert [update for _, _, update in outputs] == [False] + [True] * (len(outputs) - 1)
    first, last = outputs[0][1]["text/plain"], outputs[-2][1]["text/plain"]
    assert first.startswith("epoch 0/4") and "epoch 4/4" in last and "loss 0.25" in last
    assert outputs[-1][1] == {"text/plain": "", "text/html": ""}
    assert capfd.readouterr() == ("", "")
    with pytest.raises(KeyboardInterrupt), progress_bar(4, shown=True):
        raise KeyboardInterrupt
    assert outputs[-1][1]["text/plain"] == ""
