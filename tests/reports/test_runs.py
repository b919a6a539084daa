"""The pages of pre-training, of a prepared text, of several runs; and the command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertwright.cli.app import run as run_command
from bertwright.errors import InputError
from bertwright.reports.curves import Curve, Panel, draw_panels
from bertwright.reports.page import write_comparison, write_report
from bertwright.reports.reading import read_run
from bertwright.reports.wording import interval, number, seconds, size, ticks

Ask = Callable[[Path], Any]


@pytest.fixture
def pretraining(tmp_path: Path, folder_of: Any) -> Path:
    rows: list[dict[str, Any]] = []
    for step in range(1, 61):
        rates = {"learning_rate": 1e-3, "grad_norm": 1.5, "tokens_per_second": 9000.0, "seconds": float(step), "tokens": step * 100}
        rows.append({"step": step, "kind": "train", "loss": 9 - step / 20, "mlm_loss": 8 - step / 20, "nsp_loss": 0.7, **rates})
        if step % 20 == 0:
            held_out = {"eval_mlm_loss": 8 - step / 20, "eval_mlm_accuracy": step / 100, "eval_nsp_accuracy": 0.6, "eval_perplexity": 99.5}
            rows.append({"step": step, "kind": "evaluate", "eval_loss": 8 - step / 20, **held_out, "chance_loss": 9.01, "unigram_entropy": 6.3})
    samples = [
        {
            "step": step,
            "text": "the capital of [MASK]",
            "original": "the capital of france",
            "filled": ["the" if step < 40 else "france"],
            "masks": 1,
            "right": step // 40,
        }
        for step in range(20, 61, 20)
    ]
    folder = folder_of(tmp_path / "pre").config(model="bert-mini", objective="mlm+nsp").lines("metrics.jsonl", rows).lines("samples.jsonl", samples)
    path: Path = folder.path
    return path


def test_a_pre_training_shows_its_curves_and_the_masks_it_filled(pretraining: Path, ask: Ask) -> None:
    page = ask(write_report(pretraining))
    for section in ("Result", "Curves", "Masks it fills", "Time and memory", "How to load it"):
        assert section in page.texts
    for said in ("chance 9.01", "60.0%", "99.50", "the capital of [MASK]", "france (1 of 1 right)", "pre-training of bert-mini", "fill-mask"):
        assert said in page.text, said
    names = {path.stem for path in (pretraining / "figures").iterdir()}
    assert {"masked_loss", "next_sentence_loss", "learning_rate", "gradient_norm", "throughput", "eval_mlm_accuracy"} <= names


def test_a_training_on_replaced_tokens_is_held_against_saying_none(tmp_path: Path, folder_of: Any, ask: Ask) -> None:
    rows: list[dict[str, Any]] = [{"step": step, "kind": "train", "loss": 27.0, "mlm_loss": 6.5, "rtd_loss": 20.5, "replaced": 0.125} for step in (1, 2)]
    rows += [{"step": 2, "kind": "evaluate", "eval_mlm_loss": 6.25, "eval_rtd_loss": 0.4, "eval_rtd_accuracy": 0.8625}]
    folder = folder_of(tmp_path / "rtd").config(model="electra-mini", objective="rtd").lines("metrics.jsonl", rows)
    page = ask(write_report(folder.path))
    for said in ("replaced tokens told", "86.2%", "87.5% are not replaced", "the generator's", "Replaced-token loss (nats)", "always the same answer 0.377"):
        assert said in page.text, said
    assert "20.5" not in page.text, "the logged loss has the objective's weight in it"


@pytest.mark.usefixtures("without_pictures")
def test_a_loss_that_is_of_no_tokens_is_not_called_a_masked_one(tmp_path: Path, folder_of: Any, ask: Ask) -> None:
    rows: list[dict[str, Any]] = [{"step": step, "kind": "train", "loss": 2.0, "contrastive_loss": 2.0} for step in (1, 2)]
    held_out = {"eval_loss": 3.625, "eval_contrastive_loss": 3.625, "eval_contrastive_accuracy": 0.5, "chance_loss": 9.01, "unigram_entropy": 6.3}
    folder = (
        folder_of(tmp_path / "simcse")
        .config(model="bert-mini", objective="contrastive")
        .lines("metrics.jsonl", [*rows, {"step": 2, "kind": "evaluate", **held_out}])
    )
    page = ask(write_report(folder.path))
    assert {"loss, held out", "3.625", "Loss (nats)"} <= {text.strip() for text in page.texts}
    assert "9.01" not in page.text.partition("Time and memory")[0], "chance is that of a token"


def test_what_is_forgotten_of_another_text_stands_in_a_table_and_a_curve(tmp_path: Path, folder_of: Any, ask: Ask) -> None:
    rows: list[dict[str, Any]] = []
    for step in (0, 10, 20):
        losses = {"eval_loss": 4 - step / 10, "eval_mlm_loss": 4 - step / 10, "eval_general_loss": 3 + step / 40, "eval_general_mlm_loss": 3 + step / 40}
        rows += [{"step": step, "kind": "evaluate", **losses}, {"step": step + 1, "kind": "train", "loss": 4.0, "mlm_loss": 4.0, "seconds": 1.0, "tokens": 9}]
    folder = folder_of(tmp_path / "on").config(model="bert-mini", objective="mlm", also_evaluate=["corpora/general"]).lines("metrics.jsonl", rows)
    page = ask(write_report(folder.path))
    for said in ("forgotten", "general", "4.000 (step 0)", "2.000 (step 20)", "-2.000", "3.000 (step 0)", "+0.500"):
        assert said in page.text, said
    assert (tmp_path / "on" / "figures" / "texts_loss.png").exists()


CORPUS = {
    "files": 2,
    "bytes": 11_918_829,
    "documents": 600,
    "sentences": 79_975,
    "tokens": 2_473_209,
    "validation_documents": 60,
    "validation_tokens": 250_255,
    "held_out": "the validation files",
    "reason": "documents by heading",
    "tokenizer": "wordpiece",
    "vocab_size": 8192,
    "unknown_rate": 0.024,
    "sentence_lengths": {"min": 1.0, "p10": 10.0, "median": 28.0, "p90": 53.0, "p99": 93.0, "max": 370.0, "mean": 30.9},
    "duplicates": 3,
    "rows": {"max_seq_length": 128, "truncated": 0.139, "padding": 0.013},
    "nsp_possible": True,
    "text": {"invisible_characters": 36, "blank_rows": 0},
    "notes": ["36 invisible characters were removed"],
    "warnings": ["2.4% of the tokens are unknown, <unk> of the text among them"],
}


def test_a_prepared_text_shows_its_corpus_report(tmp_path: Path, folder_of: Any, ask: Ask) -> None:
    shards = {"splits": {"train": {"documents": 600, "sentences": 9, "tokens": 7}}, "options": {"inputs": ["a.txt"], "seed": 0}}
    folder = folder_of(tmp_path / "shards").json("corpus.json", CORPUS).json("shards.json", shards)
    page = ask(write_report(folder.path))
    for said in ("2,473,209", "<unk> of the text", "documents by heading", "13.9%", "invisible characters", "bertwright pretrain"):
        assert said in page.text, said
    assert (folder.path / "figures" / "sentence_lengths.png").exists()
    (folder.path / "corpus.json").unlink()
    assert "corpus.json is missing" in ask(write_report(folder.path)).text


def test_new_vocabulary_and_chinese_words_stand_in_the_report(tmp_path: Path, folder_of: Any, ask: Ask) -> None:
    told = {"entries": ["corbel", "太史公"], "tokens": 900, "tokens_before": 1000}
    folder = (
        folder_of(tmp_path / "shards").json("corpus.json", {**CORPUS, "new_vocabulary": told, "words": 1234, "segmenter": "rjieba"}).json("shards.json", {})
    )
    page = ask(write_report(folder.path))
    for said in ("new vocabulary", "10.0%", "corbel, 太史公", "1,234, those of Chinese found by rjieba"):
        assert said in page.text, said


@pytest.fixture
def pair(tmp_path: Path, folder_of: Any, metrics_of: Any, results_of: Any) -> list[Path]:
    """Two runs that differ in their learning rate and in what they reached."""
    runs = []
    for name, rate, value in (("one", 1e-5, 0.81), ("two", 3e-5, 0.85)):
        folder = folder_of(tmp_path / name).config(checkpoint="bert-mini", train="train.csv", task="classify", learning_rate=rate, seed=0, out=name)
        folder.lines("metrics.jsonl", metrics_of(steps=30)).json("results.json", results_of(["a", "b"], values={"accuracy": value, "perplexity": 2 - value}))
        runs.append(folder.path)
    return runs


def test_runs_are_laid_side_by_side_with_their_differences_only(pair: list[Path], tmp_path: Path, ask: Ask) -> None:
    page = ask(write_comparison(pair, out=tmp_path / "both.html"))
    for said in ("2 runs side by side", "one", "two", "0.8100", "0.8500, 0.820 to 0.878", "learning_rate", "1e-05", "3e-05"):
        assert said in page.text, said
    assert not {"seed", "out", "checkpoint"} & set(page.texts)
    assert len(page.named("strong")) == 4, "the best accuracy and the least perplexity, of both splits"
    assert (tmp_path / "both_figures" / "runs_eval_accuracy.png").exists()


def test_runs_that_do_not_compare_are_warned_of(pair: list[Path], tmp_path: Path, ask: Ask) -> None:
    found = json.loads((pair[1] / "results.json").read_text(encoding="utf-8"))
    found["splits"]["test"]["rows"] = 119
    (pair[1] / "results.json").write_text(json.dumps(found), encoding="utf-8")
    (pair[1] / "config.yaml").write_text("train: other.csv\n", encoding="utf-8")
    page = ask(write_comparison(pair, out=tmp_path / "both.html"))
    assert "the test rows are not the same" in page.text
    assert "different train: other.csv, train.csv" in page.text


def test_runs_of_different_kinds_are_refused(pair: list[Path], pretraining: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="runs of one kind can be laid side by side"):
        write_comparison([pair[0], pretraining], out=tmp_path / "both.html")


def test_runs_of_one_name_are_told_apart_by_the_folder_above(tmp_path: Path, folder_of: Any, results_of: Any, ask: Ask) -> None:
    runs = [folder_of(tmp_path / name / "run").json("results.json", results_of(["a"])).path for name in ("x", "y")]
    assert {"x/run", "y/run"} <= set(ask(write_comparison(runs, out=tmp_path / "both.html")).texts)


def test_pre_trainings_are_compared_by_their_last_evaluation(pretraining: Path, tmp_path: Path, ask: Ask) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "metrics.jsonl").write_text((pretraining / "metrics.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    page = ask(write_comparison([pretraining, other], out=tmp_path / "both.html"))
    assert page.texts.count("5") == 4


def test_a_sweep_shows_mean_and_spread_and_its_runs(pair: list[Path], tmp_path: Path, folder_of: Any, ask: Ask) -> None:
    def spread(mean: float) -> dict[str, Any]:
        return {"validation": {"accuracy": {"mean": mean, "std": 0.012, "n": 3}}}

    runs = [{"name": run.name, "folder": run.name, "values": {}, "metrics": {}} for run in pair]
    summary = [{"values": {"learning_rate": 1e-5}, "metrics": spread(0.81)}, {"values": {"learning_rate": 3e-5}, "metrics": spread(0.85)}]
    sweep = {"keys": {"learning_rate": [1e-5, 3e-5]}, "metric": "accuracy", "runs": [*runs, {"name": "gone", "folder": "gone"}], "summary": summary}
    folder_of(tmp_path).json("sweep.json", sweep)
    page = ask(write_report(tmp_path))
    for said in ("0.8500 ± 0.012", "learning_rate 1e-05, validation", "does not exist", "Differences in the settings"):
        assert said in page.text, said
    assert read_run(tmp_path).kind == "sweep"


@pytest.mark.usefixtures("without_pictures")
def test_the_page_of_a_run_in_a_sweep_names_the_sweep_too(tmp_path: Path, run_of: Callable[..., Path], ask: Ask) -> None:
    page = ask(write_report(run_of(tmp_path / "emotion" / "seed=0", ["a", "b"], count=6), examples=0))
    assert page.texts.count("emotion/seed=0") == 1


def test_the_ticks_of_a_curve_say_where_they_stand(tmp_path: Path) -> None:
    curve = Curve(name="validation", points=[(1, 0.8965), (2, 0.9098)])
    (drawn,) = draw_panels([Panel(name="f1", title="F1", curves=[curve])], figures=tmp_path)
    assert ">0.9075</text>" in drawn.svg
    (flat,) = draw_panels([Panel(name="f1", title="F1", curves=[Curve(name="validation", points=[(1, 0.0), (2, 0.0)])])], figures=tmp_path)
    assert ">0.04</text>" in flat.svg


@pytest.mark.parametrize(
    ("low", "high", "texts"), [(0, 1.04, ["0", "0.25", "0.5", "0.75", "1"]), (-0.3, 1, ["0", "0.5", "1"]), (0, 5200, ["0", "2,000", "4,000"])]
)
def test_an_axis_has_round_numbers_where_they_belong(low: float, high: float, texts: list[str]) -> None:
    found = ticks(low, high)
    assert [text for _, text in found] == texts
    assert [place for place, _ in found] == pytest.approx([(float(text.replace(",", "")) - low) / (high - low) for text in texts])


def test_the_command_writes_a_page_and_names_it(pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_command(["report", str(pair[0]), "--examples", "0"])
    assert capsys.readouterr().out == f"{pair[0] / 'report.html'}\n"
    run_command(["report", *map(str, pair), "--out", str(tmp_path / "both.html")])
    assert capsys.readouterr().out == f"{tmp_path / 'both.html'}\n"
    with pytest.raises(InputError) as wrong:
        run_command(["report", *map(str, pair), "--examples", "-1"])
    assert [problem.split(":")[0] for problem in wrong.value.problems] == ["examples is -1", "2 runs side by side need a page to be written to"]
    with pytest.raises(InputError, match=r"is no page: give the name of an \.html file"):
        run_command(["report", str(pair[0]), "--out", str(tmp_path)])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.8421, "0.8421"),
        (18.0, "18"),
        (5e-5, "5.00e-05"),
        (1234567, "1,234,567"),
        (1.5e-14, "0"),
        (None, "–"),
        (float("nan"), "–"),
        (12.3456, "12.35"),
        (-0.5, "-0.5000"),
    ],
)
def test_numbers_have_four_figures(value: Any, shown: str) -> None:
    assert number(value) == shown


def test_times_sizes_and_intervals_are_said_as_a_person_would() -> None:
    assert [seconds(value) for value in (3.21, 93.4, 7260.0, None)] == ["3.2 s", "1 min 33 s", "2 h 1 min", "–"]
    assert [size(value) for value in (512, 2048, 5 * 2**20, 3 * 2**30)] == ["512 bytes", "2.0 KiB", "5.0 MiB", "3.0 GiB"]
    assert [interval(ends) for ends in ([0.1, 0.25], [None, 1.0], None, [1])] == ["0.100 to 0.250", "", "", ""]
