"""A progress bar for long runs, on standard error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(total: int, *, shown: bool | None) -> Iterator[Callable[[int, float], None]]:
    """A function that moves the bar to an epoch and shows the loss; the bar goes at the end.

    With `None` it is shown on terminals, with `True` in notebooks too.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("epoch {task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    able = console.is_terminal or (bool(shown) and console.is_jupyter)
    hidden = shown is False or not able
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=total, loss="…")

        def move(epoch: int, loss: float) -> None:
            bar.update(task, completed=epoch, loss=f"{loss:.3g}")

        yield move
