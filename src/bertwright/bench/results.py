"""What a bench found, as rows of a table and as a picture."""

from collections.abc import Sequence
from pathlib import Path

from bertwright.bench.bench import Training
from bertwright.bench.tables import spread
from bertwright.reports.drawing import colour, dashes, new_figure, save_png, styled

MB, GIGA = 10**6, 10**9


def table(done: Sequence[Training], *, until: Sequence[float]) -> tuple[list[str], list[list[str]]]:
    """A heading and a row for each contender: medians over its trainings, with the lowest and the highest where there are several.

    until: losses whose seconds are told, of the trainings that reached them. A rival's operations are those of our model of its shape, and the matrix rate of a
    shape is the best that any of its trainings found.
    """
    budgets = sorted({each.seconds for each in done})
    heading = ["", "tokens/s", "Gflop/s", "of the matrix rate", "data wait", "steady after, s", "peak memory, MB"]
    heading += [f"masked loss after {round(budget, 1):g} s" for budget in budgets] + [f"seconds to {loss:g}" for loss in until]
    rows = []
    for name in dict.fromkeys(each.contender for each in done):
        own = [each for each in done if each.contender == name]
        row = [name, spread([each.outcome.tokens_per_second for each in own], ",.0f")]
        alike = [each.outcome for each in done if each.model == own[0].model]
        counted, rate = max(each.operations_per_token for each in alike), max(each.matrix_rate for each in alike)
        row += [spread([each.outcome.tokens_per_second * counted / GIGA for each in own], ",.0f") if counted else ""]
        row += [spread([each.outcome.tokens_per_second * counted / rate for each in own], ".1%") if rate else ""]
        row += [spread([each.outcome.data_wait for each in own if each.outcome.data_wait is not None], ".1%")]
        row += [spread([each.outcome.steady_after for each in own if each.outcome.steady_after is not None], ".1f")]
        row.append(spread([each.outcome.peak_bytes / MB for each in own], ",.0f"))
        row += [spread([each.loss for each in own if each.seconds == budget], ".3f") for budget in budgets]
        row += [_reached(own, loss) for loss in until]
        rows.append(row)
    return heading, rows


def _reached(own: Sequence[Training], loss: float) -> str:
    """Seconds to a loss: of each seed the training that was there first."""
    found = [_first(own, seed, loss) for seed in dict.fromkeys(each.seed for each in own)]
    there = [seconds for seconds in found if seconds is not None]
    if len(there) == len(found):
        return spread(there, ".0f")
    return f"{len(there)} of {len(found)} seeds reached it" if there else "not reached"


def _first(own: Sequence[Training], seed: int, loss: float) -> float | None:
    return min((seconds for each in own if each.seed == seed and (seconds := each.outcome.seconds_to(loss)) is not None), default=None)


def draw(done: Sequence[Training], path: Path) -> None:
    """Loss against seconds, a line for each training; contenders by colour."""
    names = list(dict.fromkeys(each.contender for each in done))
    told: set[str] = set()
    with styled():
        figure, axes = new_figure(7, 4)
        for each in done:
            number = names.index(each.contender)
            label = each.contender if each.contender not in told else None
            told.add(each.contender)
            points = [(point.seconds, point.loss) for point in each.outcome.points]
            axes.plot(*zip(*points, strict=True), dashes(number), color=colour(number), label=label, marker="o", markersize=3, alpha=0.8)
        axes.set(xlabel="seconds of training", ylabel="held-out masked loss, nats", title="Loss against seconds", xlim=(0, None))
        axes.legend(fontsize=8)
        save_png(figure, path)
