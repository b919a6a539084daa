"""How far a long answer is: a line on a terminal's standard error, nothing anywhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def counting(what: str, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """Gives what is to be told how many more are done."""
    if not shown:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} {task.description}, {task.fields[rate]:,.0f} a second"), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        task = progress.add_task(what, total=None, rate=0.0)

        def passed(count: int) -> None:
            now = progress.tasks[0]
            progress.update(task, advance=count, rate=(now.completed + count) / max(now.elapsed or 0.0, 1e-3))

        yield passed
