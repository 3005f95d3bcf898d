"""A progress bar for long runs: on standard error in terminals, as an output in notebooks."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

Move = Callable[[int, float], None]
WIDTH = 30
SECONDS = 0.1  # between two updates in a notebook


@contextlib.contextmanager
def progress_bar(total: int, *, shown: bool | None) -> Iterator[Move]:
    """A function that moves the bar to an epoch and shows the loss; the bar goes at the end.

    With `None` it is shown on terminals, with `True` in notebooks too.
    """
    if shown is False:
        yield lambda epoch, loss: None
    elif in_notebook():
        with _notebook_bar(total) if shown else contextlib.nullcontext(_nothing) as move:
            yield move
    else:
        with _terminal_bar(total) as move:
            yield move


def _nothing(epoch: int, loss: float) -> None:
    """Show nothing."""


def in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook."""
    shell = sys.modules.get("IPython")  # whoever runs in a kernel has imported it
    return shell is not None and hasattr(shell.get_ipython(), "kernel")


@contextlib.contextmanager
def _notebook_bar(total: int) -> Iterator[Move]:
    """One output, written anew, and empty in the end; no widgets."""
    from IPython.display import display, update_display

    began = written = time.monotonic()

    def bundle(text: str) -> dict[str, str]:
        return {"text/plain": text, "text/html": f"<pre>{text}</pre>" if text else ""}

    handle: Any = display(bundle(_line(0, total, None, 0.0)), raw=True, display_id=True)

    def move(epoch: int, loss: float) -> None:
        nonlocal written
        if (now := time.monotonic()) - written > SECONDS or epoch == total:
            written = now
            text = _line(epoch, total, loss, now - began)
            update_display(bundle(text), raw=True, display_id=handle.display_id)

    try:
        yield move
    finally:
        update_display(bundle(""), raw=True, display_id=handle.display_id)


def _line(epoch: int, total: int, loss: float | None, seconds: float) -> str:
    bar = "█" * (WIDTH * epoch // total)
    left = f", {seconds * (total - epoch) / epoch:.0f} s left" if epoch else ""
    end = "" if loss is None else f"loss {loss:.3g}{left}"
    return f"epoch {epoch}/{total} {bar:░<{WIDTH}} {end}"


@contextlib.contextmanager
def _terminal_bar(total: int) -> Iterator[Move]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("epoch {task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=total, loss="…")

        def move(epoch: int, loss: float) -> None:
            bar.update(task, completed=epoch, loss=f"{loss:.3g}")

        yield move
