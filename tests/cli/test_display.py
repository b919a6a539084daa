"""What is shown of a training, on a terminal and off it."""

import io

from rich.console import Console

from bertwright.cli.display import LivePanel, PlainLines, duration, plain_lines, training_display
from bertwright.training.events import Event

PLAN = Event(
    "plan",
    0,
    {
        "model": "4 layers x 256, 4 heads, vocabulary 4096",
        "parameters": 4_300_000,
        "objective": "mlm+nsp",
        "train_tokens": 372_512,
        "samples_per_epoch": 3_201,
        "batch_size": 32,
        "micro_batch_size": 32,
        "optimizer": "muon, learning rate 0.003, Muon 0.006",
        "start": "neighbours",
        "device": "CPU",
        "budget": "3 minutes",
        "steps": 412,
        "epochs": 4.1,
        "memory_bytes": 216_000_000,
        "expected_seconds": 180.0,
    },
)
TRAIN = Event("train", 40, {"loss": 6.5, "mlm_loss": 5.8, "nsp_loss": 0.7, "tokens_per_second": 12_345.6, "fraction": 0.25, "seconds_left": 125.2})
EVALUATE = Event("evaluate", 40, {"eval_mlm_loss": 5.75, "chance_loss": 8.318, "unigram_entropy": 6.227, "eval_mlm_accuracy": 0.1234, "eval_nsp_accuracy": 0.5})
SAVE = Event("save", 40, {"folder": "step-000040", "best": 1})

FINETUNE_PLAN = Event(
    "plan",
    0,
    {
        **{key: PLAN.values[key] for key in ("model", "parameters", "micro_batch_size", "optimizer", "start", "device", "memory_bytes")},
        "task": "classify",
        "labels": 6,
        "metric": "accuracy",
        "rows": 16_000,
        "validation_rows": 2_000,
        "test_rows": 0,
        "tokens_per_epoch": 355_000,
        "batch_size": 32,
        "budget": "3 epochs",
        "steps": 1_500,
        "epochs": 3.0,
        "expected_seconds": 95.0,
    },
)
FINETUNE_TRAIN = Event("train", 500, {"loss": 0.51234, "epoch": 1, "accuracy": 0.8125, "tokens_per_second": 12_345.6, "fraction": 0.4, "seconds_left": 60.0})
METRICS = {"accuracy": 0.912, "balanced_accuracy": 0.8801, "f1_macro": 0.87654, "f1_weighted": 0.9, "f1_micro": 0.912, "precision_macro": 0.9, "mcc": 0.88}
FINETUNE_EVALUATE = Event("evaluate", 500, {"eval_loss": 0.3049, **{f"eval_{name}": value for name, value in METRICS.items()}})


def test_lines_of_a_fine_tuning_read_well() -> None:
    stream = io.StringIO()
    with training_display(stream) as show:
        for event in (FINETUNE_PLAN, FINETUNE_TRAIN, FINETUNE_EVALUATE, Event("result", 500, {"split": "test", **METRICS})):
            show(event)
    lines = stream.getvalue().splitlines()
    assert lines[1:3] == [
        "task         classify, 6 labels; the best checkpoint by accuracy",
        "data         16,000 rows of 355,000 tokens, 2,000 to validate",
    ]
    assert "budget       3 epochs: about 1,500 steps, 3.0 epochs, 1:35" in lines
    assert lines[-3:] == [
        "step    500   epoch 2/3   loss 0.512   accuracy 81.2%   12,346 tokens/s   1:00 left",
        "step    500   validation: loss 0.3049   accuracy 0.9120   balanced accuracy 0.8801   f1 macro 0.8765   f1 weighted 0.9000",
        "test         accuracy 0.9120   balanced accuracy 0.8801   f1 macro 0.8765   f1 weighted 0.9000   f1 micro 0.9120",
    ]


def test_the_last_step_of_the_last_epoch_is_no_epoch_more() -> None:
    assert "epoch 3/3" in plain_lines(Event("train", 1500, {**FINETUNE_TRAIN.values, "epoch": 3}), plan=FINETUNE_PLAN.values)[0]
    assert "epoch" not in plain_lines(TRAIN, plan=PLAN.values)[0]


def test_moments_are_not_shown() -> None:
    for kind in ("train_begin", "train_end", "epoch_begin", "epoch_end", "batch_begin", "batch_end"):
        assert plain_lines(Event(kind, 3, {"seconds": 1.0, "loss": 1.0})) == []


def test_the_live_panel_of_a_fine_tuning_shows_the_metrics_that_find_room_and_marks_the_best() -> None:
    def shown(width: int) -> list[str]:
        stream = io.StringIO()
        console = Console(file=stream, width=width, force_terminal=True, color_system=None)
        panel = LivePanel(console)
        for event in (FINETUNE_TRAIN, FINETUNE_EVALUATE, Event("save", 500, {"folder": "step-000500", "best": 1})):
            panel(event)
        panel.plan = FINETUNE_PLAN.values
        panel(Event("evaluate", 1000, {**FINETUNE_EVALUATE.values, "eval_accuracy": 0.9}))
        console.print(panel)
        return stream.getvalue().splitlines()

    narrow, wide = shown(70), shown(200)
    assert any("epoch 2/3   loss 0.512   accuracy 81.2%   12,346 tokens/s" in line for line in wide)
    (heading,) = [line for line in narrow if "step " in line and "epoch" not in line]
    assert heading.split("  ")[-1] != "..."
    assert [words for words in ("loss", "accuracy", "balanced accuracy", "f1 macro") if words not in heading] == []
    assert "mcc" not in heading
    assert "…" not in "".join(narrow)
    assert any("mcc" in line for line in wide)
    assert any(line.split()[:3] == ["*", "500", "0.3049"] for line in narrow)
    assert any(line.split()[:3] == ["1000", "0.3049", "0.9000"] for line in narrow)


def test_the_live_panel_begins_anew_with_each_of_several_runs() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=True, color_system=None)
    panel = LivePanel(console)
    for event in (FINETUNE_PLAN, FINETUNE_TRAIN, FINETUNE_EVALUATE, SAVE, Event("note", 0, {"text": "run 2 of 4"}), FINETUNE_PLAN):
        panel(event)
    stream.truncate(0)
    console.print(panel)
    assert "the first steps" in stream.getvalue()
    assert "0.9120" not in stream.getvalue()
    assert "saved" not in stream.getvalue()


def test_plain_lines_read_well() -> None:
    assert plain_lines(TRAIN) == ["step     40   loss 6.500 (masked 5.800, next sentence 0.700)   12,346 tokens/s   2:05 left"]
    replaced = Event("train", 40, {"loss": 26.0, "mlm_loss": 6.5, "rtd_loss": 19.5, "replaced": 0.13})
    assert plain_lines(replaced)[0].startswith("step     40   loss 26.000 (masked 6.500, replaced tokens 19.500)")
    assert plain_lines(EVALUATE) == [
        "step     40   validation: masked loss 5.750 (chance 8.32, word frequencies alone 6.23)   accuracy 12.3%   next sentence 50.0%"
    ]
    assert plain_lines(SAVE) == ["step     40   saved step-000040, the best so far"]
    assert plain_lines(Event("note", 0, {"text": "going on from step-000040"})) == ["going on from step-000040"]


def test_the_plan_says_parameters_tokens_budget_and_memory() -> None:
    text = "\n".join(plain_lines(PLAN))
    for said in ("4.3 M parameters", "372,512 tokens", "3,201 samples an epoch", "3 minutes: about 412 steps, 4.1 epochs, 3:00", "216 MB"):
        assert said in text


def test_plain_lines_of_training_do_not_flood_but_evaluations_all_show() -> None:
    stream = io.StringIO()
    show = PlainLines(stream)
    for event in (TRAIN, TRAIN, EVALUATE, TRAIN, EVALUATE):
        show(event)
    lines = stream.getvalue().splitlines()
    assert len([line for line in lines if "left" in line]) == 1
    assert len([line for line in lines if "validation" in line]) == 2


def test_a_stream_that_is_no_terminal_gets_plain_lines_without_escapes() -> None:
    stream = io.StringIO()
    with training_display(stream) as show:
        for event in (PLAN, TRAIN, EVALUATE, SAVE):
            show(event)
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 8 + 3


def test_the_live_panel_shows_loss_chance_rate_and_time_left() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=True, color_system=None)
    panel = LivePanel(console)
    console.print(panel)
    for event in (PLAN, TRAIN, EVALUATE, SAVE):
        panel(event)
    console.print(panel)
    shown = stream.getvalue()
    said = ["25%", "step 40", "loss 6.500", "12,346 tokens/s", "2:05 left", "saved step-000040"]
    said += ["validation loss", "5.750", "chance", "8.32", "6.23", "50.0%"]
    assert [words for words in said if words not in shown] == []
    assert max(map(len, shown.splitlines())) < 80


def test_a_terminal_gets_the_live_panel() -> None:
    stream = io.StringIO()
    with training_display(stream, live=True) as show:
        assert isinstance(show, LivePanel)
        show(TRAIN)


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0, 42.4, 59.6, 185, 3723)] == ["0:00", "0:42", "1:00", "3:05", "1:02:03"]
