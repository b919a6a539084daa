"""The commands in the order in which a user types them, on a small text and a tiny model."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bertwright
from bertwright.__main__ import main
from bertwright.architecture import MLM, NSP, POOLER, HeadKind
from bertwright.checkpoints.huggingface import save_model
from bertwright.cli import demo as demo_module
from bertwright.cli.demo_corpus import CorpusSize
from bertwright.cli.pretrain import closing_lines
from bertwright.data.shards import TokenShards
from bertwright.errors import InputError
from bertwright.families import family_of, preset
from bertwright.models import Model
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.config import PretrainResult

Call = Callable[..., tuple[int, str, str]]

SENTENCES = (
    "The keeper of the lamp walks to the harbour.",
    "A ship comes in from the cold sea at night.",
    "He lights the lamp when the wind is strong.",
    "The sailors see the light and steer for the harbour.",
    "Nobody in the town sleeps before the ship is safe.",
    "The wind falls and the morning is quiet.",
)


def small_text() -> str:
    documents = [" ".join(SENTENCES[(start + place) % len(SENTENCES)] for place in range(4)) for start in range(40)]
    return "\n\n".join(f"Day {number}. {text}" for number, text in enumerate(documents)) + "\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with notes.txt, shards and a run, made by the commands themselves."""
    place = tmp_path_factory.mktemp("journey")
    (place / "notes.txt").write_text(small_text(), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for words in (
            f"prepare {place}/notes.txt --out {place}/shards --lowercase --vocab_size 120 --validation_fraction 0.2",
            f"pretrain {place}/shards --out {place}/run --model bert-tiny --max_steps 3 --max-seq-length 32 --batch_size 4 --logging_steps 1",
        ):
            patch.setattr(sys, "argv", ["bertwright", *words.split()])
            assert main() == 0
    return place


def test_pretrain_leaves_a_run_with_its_loss_curve(place: Path) -> None:
    assert (place / "run" / "loss.png").stat().st_size > 5000
    assert (place / "run" / "checkpoints" / "step-000003" / "config.json").exists()


def test_the_same_command_again_says_that_it_is_finished(place: Path, call: Call) -> None:
    words = f"pretrain {place}/shards --out {place}/run --model bert-tiny --max_steps 3 --max_seq_length 32 --batch_size 4 --logging_steps 1 --json"
    code, out, err = call(*words.split())
    assert code == 0
    assert "finished" in err
    found = json.loads(out)
    assert found["run"] == f"{place}/run"
    assert found["metrics"]["eval_mlm_loss"] > 0


def test_pretrain_prints_a_plan_progress_and_commands_that_work(place: Path, call: Call, tmp_path: Path) -> None:
    run = tmp_path / "a run"
    code, out, _ = call("pretrain", str(place / "shards"), "--out", str(run), "--model", "bert-tiny", "--max_steps", "2", "--max_seq_length", "32")
    assert code == 0
    for said in ("parameters", "tokens", "budget       2 steps", "at the end   masked loss", "chance", str(run / "loss.png")):
        assert said in out
    commands = [shlex.split(line) for line in out.split("next:")[1].splitlines() if line.strip()]
    assert commands
    for program, *words in commands:
        assert program == "bertwright"
        code, out, err = call(*words)
        assert (code, bool(out)) == (0, True), err


def test_dry_run_prints_the_config_and_the_plan_and_trains_nothing(place: Path, call: Call, tmp_path: Path) -> None:
    code, out, _ = call("pretrain", str(place / "shards"), "--out", str(tmp_path / "run"), "--max_steps", "2", "--dry_run")
    assert code == 0
    assert "parameters" in out
    assert "mlm_probability: 0.15" in out
    assert not (tmp_path / "run").exists()


def test_predict_prints_candidates_and_the_text_filled(place: Path, call: Call) -> None:
    code, out, err = call("predict", f"{place}/run", "The [MASK] of the lamp.", "--top_k", "3")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "The [MASK] of the lamp."
    assert [line.strip().split()[0][-1] for line in lines[1:4]] == ["%"] * 3
    assert lines[4].startswith("filled:   The")
    assert "checkpoint: " in err


def test_predict_reads_files_and_standard_input_and_writes_json_lines(place: Path, call: Call, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\ufeffthe [MASK]\n\nthe [MASK] is [MASK]\r\n", encoding="utf-8")
    for words, stdin in (
        (("--file", str(tmp_path / "texts.txt")), None),
        (("-",), "the [MASK]\n\nthe [MASK] is [MASK]\n"),
        ((), "the [MASK]\n\nthe [MASK] is [MASK]\n"),
        (("the [MASK]", "the [MASK] is [MASK]"), None),
    ):
        code, out, _ = call("predict", f"{place}/run", *words, "--json", "--top_k", "2", stdin=stdin)
        assert code == 0
        found = [json.loads(line) for line in out.splitlines()]
        assert [(one["input"], len(one["masks"])) for one in found] == [("the [MASK]", 1), ("the [MASK] is [MASK]", 2)]
        assert set(found[0]["masks"][0][0]) == {"token", "text", "probability"}


def test_predict_masks_at_random_on_request(place: Path, call: Call) -> None:
    code, out, _ = call("predict", f"{place}/run", SENTENCES[0], "--mask", "0.3")
    assert code == 0
    assert "[MASK]" in out.splitlines()[0]
    assert f"original: {SENTENCES[0]}" in out
    assert "masks filled as in the original" in out


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (("no mask",), None, "--mask 0.15"),
        (("the [MASK]", "--file", "none.txt"), None, "none.txt: there is no such file"),
        (("-",), "fine [MASK]\nno mask\n", "standard input, line 2"),
        (("-",), "\n\n", "only blank lines or nothing"),
        (("the [MASK]", "--top_k", "0"), None, "top_k is 0"),
        (("the", "--mask", "2"), None, "mask is 2.0"),
    ],
)
def test_predict_says_what_is_wrong_with_a_text(place: Path, call: Call, words: tuple[str, ...], stdin: str | None, said: str) -> None:
    code, out, err = call("predict", f"{place}/run", *words, stdin=stdin)
    assert (code, out) == (2, "")
    assert said in err
    assert all(line.startswith(("error: ", "checkpoint: ")) for line in err.splitlines())


def test_evaluate_takes_shards_and_text(place: Path, call: Call) -> None:
    for text in ("shards", "notes.txt"):
        code, out, _ = call("evaluate", f"{place}/run", f"{place}/{text}", "--max_seq_length", "32", "--json")
        assert code == 0
        found = json.loads(out)
        keys = ("masked_loss", "masked_accuracy", "perplexity", "nsp_accuracy", "nsp_loss", "chance_loss", "unigram_entropy", "masked_tokens")
        assert set(keys) <= set(found)
        assert 0 < found["masked_loss"] < 2 * found["chance_loss"]


def test_evaluate_again_gives_the_same_numbers(place: Path, call: Call) -> None:
    first, second = (call("evaluate", f"{place}/run", f"{place}/shards", "--max_seq_length", "32")[1] for _ in range(2))
    assert first == second
    assert "chance" in first


def test_evaluate_names_every_number_that_cannot_stand(place: Path, call: Call) -> None:
    for length, said in (("4", "it must be at least 8"), ("513", "take 512 or less, or train it on with `bertwright pretrain --extend_positions 513`")):
        numbers = ("--max_seq_length", length, "--mlm_probability", "1", "--eval_samples", "0", "--batch_size", "0")
        code, out, err = call("evaluate", f"{place}/run", f"{place}/shards", *numbers)
        assert (code, out) == (2, "")
        problems = [line for line in err.splitlines() if line.startswith("error: ")]
        assert len(problems) == 4
        for name in (said, "mlm_probability is 1.0", "eval_samples is 0", "batch_size is 0"):
            assert any(name in problem for problem in problems)


def short_model(place: Path, folder: Path, *heads: HeadKind) -> Path:
    """A new model of 24 positions with the tokenizer of the run in `place`."""
    tokenizer = Tokenizer.load(place / "shards" / "tokenizer")
    tokenizer.save(folder)
    config = preset("bert-tiny", vocab_size=tokenizer.vocab_size, max_position_embeddings=24)
    save_model(Model(family_of(config).architecture(config), heads), folder, config=config)
    return folder


def test_evaluate_takes_rows_as_long_as_the_model_reads(place: Path, tmp_path: Path) -> None:
    found = bertwright.evaluate(short_model(place, tmp_path, MLM), place / "shards")
    assert found["masked_tokens"] > 0
    assert "nsp_accuracy" not in found


def test_evaluate_needs_a_head_to_measure(place: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no language-modelling head"):
        bertwright.evaluate(short_model(place, tmp_path, POOLER, NSP), place / "shards")


def test_evaluate_measures_masks_alone_where_the_text_has_no_pairs(place: Path, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("\n\n".join(SENTENCES), encoding="utf-8")
    found = bertwright.evaluate(place / "run", tmp_path / "lines.txt", max_seq_length=32)
    assert found["masked_tokens"] > 0
    assert "nsp_accuracy" not in found


def test_evaluate_refuses_shards_of_another_tokenizer(place: Path, call: Call, tmp_path: Path) -> None:
    assert call("prepare", f"{place}/notes.txt", "--out", f"{tmp_path}/other", "--vocab_size", "90")[0] == 0
    code, _, err = call("evaluate", f"{place}/run", f"{tmp_path}/other")
    assert code == 2
    assert "another tokenizer" in err
    assert f"--tokenizer {place}/run" in err


def test_prepare_takes_the_tokenizer_of_a_run(place: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(place))
    code, out, err = call("prepare", f"{place}/notes.txt", "--out", f"{tmp_path}/shards", "--tokenizer", "~/run")
    assert code == 0
    assert f"checkpoint: {place}/run/checkpoints/step-" in err
    assert f"bertwright pretrain {tmp_path}/shards --init_from '~/run' --out runs/b" in out
    bertwright.prepare(place / "notes.txt", out=tmp_path / "python", tokenizer=place / "run")
    assert len({TokenShards.open(folder).tokenizer_hash for folder in (place / "shards", tmp_path / "shards", tmp_path / "python")}) == 1


@pytest.mark.parametrize("dry", [(), ("--dry_run",)])
def test_a_missing_tokenizer_does_not_hide_the_other_mistakes(call: Call, tmp_path: Path, dry: tuple[str, ...]) -> None:
    words = ("prepare", f"{tmp_path}/none.txt", "--out", f"{tmp_path}/shards", "--tokenizer", f"{tmp_path}/absent", "--lowercase", *dry)
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 3
    for said in (f"{tmp_path}/absent does not exist", "lowercase is for training a tokenizer", "none.txt: no such file"):
        assert said in err


def test_a_dry_run_as_json_is_one_object(place: Path, call: Call, tmp_path: Path) -> None:
    for words, key, value in (
        (("prepare", f"{place}/notes.txt", "--lowercase"), "lowercase", True),
        (("pretrain", f"{place}/shards", "--max_steps", "7"), "max_steps", 7),
    ):
        code, out, err = call(*words, "--out", f"{tmp_path}/never", "--dry_run", "--json")
        assert code == 0
        found = json.loads(out)
        assert list(found) == ["config"]
        assert found["config"][key] == value
        assert err.startswith("# ")


def test_only_a_measured_checkpoint_is_called_the_best(tmp_path: Path) -> None:
    for metrics, said in (({"eval_loss": 2.0, "eval_mlm_loss": 2.0, "chance_loss": 4.0}, True), ({}, False)):
        result = PretrainResult(run=tmp_path, checkpoint=tmp_path / "checkpoints" / "step-000003", metrics=metrics)
        shown = "\n".join(closing_lines(result, picture=tmp_path / "loss.png", report=tmp_path / "report.html", shards=tmp_path))
        assert ("the best on validation" in shown) is said


def test_the_python_side_says_the_same(place: Path) -> None:
    predictor = bertwright.load(place / "run")
    assert predictor.fill_mask("the [MASK]").masks
    found = bertwright.evaluate(place / "run", place / "shards", max_seq_length=32)
    assert found["masked_tokens"] > 0
    with pytest.raises(InputError, match="did you mean learning_rate") as caught:
        bertwright.pretrain(place / "shards", out=place / "never", lerning_rate=1, batch_size=0)
    assert len(caught.value.problems) == 2
    with pytest.raises(AttributeError, match="no attribute 'serve'"):
        _ = bertwright.serve


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    def write(path: Path, *, packages: bool) -> CorpusSize:
        path.write_text(small_text(), encoding="utf-8")
        return CorpusSize(40, 1000, path.stat().st_size)

    monkeypatch.setattr(demo_module, "write_corpus", write)
    monkeypatch.chdir(tmp_path)
    return tmp_path


DEMO = ("demo", "--model", "bert-tiny", "--max_minutes", "0.02", "--max_seq_length", "32", "--vocab_size", "120", "--batch_size", "4")


def test_the_demo_goes_from_text_to_filled_masks_and_its_next_commands_work(small_demo: Path, call: Call) -> None:
    code, out, _ = call(*DEMO)
    assert code == 0
    assert sorted(path.name for path in (small_demo / "bertwright-demo").iterdir()) == [demo_module.MARK, "corpus.txt", "loss.png", "run", "shards"]
    for said in ("before training", "after training", "Raise a [MASK] if", "chance", "bertwright-demo/loss.png"):
        assert said in out
    lines = [line.strip() for line in out.split("next:")[1].splitlines() if line.strip().startswith("bertwright")]
    assert len(lines) == 6
    for line in lines[:4]:
        code, out, err = call(*shlex.split(line)[1:])
        assert (code, bool(out)) == (0, True), (line, err)


def test_a_second_demo_writes_its_own_folder_anew_and_says_so(small_demo: Path, call: Call) -> None:
    assert call(*DEMO)[0] == 0
    code, out, _ = call(*DEMO, "--seed", "1")  # the earlier run would refuse to go on with another seed
    assert code == 0
    assert "written anew" in out


@pytest.mark.parametrize("name", ["thesis/thesis.docx", "shards/shards.json", "run/notes.txt", "corpus.txt", ".shards-of-mine/a"])
def test_a_demo_touches_no_folder_that_it_did_not_make(small_demo: Path, call: Call, name: str) -> None:
    file = small_demo / "bertwright-demo" / name
    file.parent.mkdir(parents=True)
    file.write_text("years of work")
    code, out, err = call(*DEMO)
    assert (code, out) == (2, "")
    assert name.partition("/")[0] in err
    assert [path for path in (small_demo / "bertwright-demo").rglob("*") if path.is_file()] == [file]
    assert file.read_text() == "years of work"


def test_a_demo_touches_nothing_that_was_put_beside_an_earlier_one(small_demo: Path, call: Call) -> None:
    folder = small_demo / "bertwright-demo"
    (folder / "run").mkdir(parents=True)
    for name in (demo_module.MARK, "run/weights", "thesis.docx"):
        (folder / name).write_text("kept")
    code, _, err = call(*DEMO)
    assert code == 2
    assert "(thesis.docx)" in err
    assert (folder / "run" / "weights").exists()


def test_a_demo_with_mistakes_names_them_all(small_demo: Path, call: Call) -> None:
    code, out, err = call("demo", "--max_minutes", "0", "--model", "bert-minni", "--batch_size", "0", "--objective", "mlmm", "--vocab_size", "7")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 5
    assert "bert-mini" in err
    code, out, err = call("demo", "--max_seq_length", "513")
    assert (code, out) == (2, "")
    assert "513 is longer than the model's 512 positions" in err
    assert not (small_demo / "bertwright-demo").exists()


def test_a_demo_that_cannot_go_on_keeps_the_earlier_one(small_demo: Path, call: Call) -> None:
    assert call(*DEMO)[0] == 0
    code, _, err = call("demo", "--vocab_size", "100000")
    assert code == 2
    assert "larger than the text allows" in err
    assert call("predict", "bertwright-demo/run", "the [MASK]")[0] == 0
    assert (small_demo / "bertwright-demo" / "loss.png").exists()


def test_of_several_processes_only_the_first_speaks(place: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bertwright.training.pretrain.pretrain", lambda *_, **__: None)
    monkeypatch.setenv("RANK", "1")
    assert call("pretrain", f"{place}/shards", "--out", f"{place}/never") == (0, "", "")


def test_a_config_file_with_four_kinds_of_mistake_gets_a_line_for_each(place: Path, call: Call, tmp_path: Path) -> None:
    text = "lerning_rate: 1\nseed: many\nmax_steps: 4\nmax_minutes: 3\nmodel: bert-bas\n"
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    code, out, err = call("pretrain", f"{place}/shards", "--out", f"{tmp_path}/run", "--config", f"{tmp_path}/config.yaml")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 4
    for said in ("did you mean learning_rate?", "seed is 'many'", "max_steps and max_minutes are both given", "did you mean bert-base?"):
        assert said in err
    assert not (tmp_path / "run").exists()


def test_prepare_adds_what_a_dry_run_finds_to_the_config_files_mistakes(call: Call, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("lowercas: true\nvalidation_fraction: 2\n", encoding="utf-8")
    code, out, err = call("prepare", f"{tmp_path}/none.txt", "--out", f"{tmp_path}/shards", "--config", f"{tmp_path}/config.yaml")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 3
    for said in ("did you mean lowercase?", "validation_fraction is 2", "none.txt: no such file"):
        assert said in err


def test_a_config_file_of_unknown_keys_alone_does_not_hide_the_other_mistakes(call: Call, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("lerning_rate: 1\n", encoding="utf-8")
    code, _, err = call("pretrain", f"{tmp_path}/none", "--out", f"{tmp_path}/run", "--config", f"{tmp_path}/config.yaml")
    assert (code, len(err.splitlines())) == (2, 2)


def test_a_dry_runs_config_can_be_given_back(place: Path, call: Call, tmp_path: Path) -> None:
    words = ("pretrain", f"{place}/shards", "--out", f"{tmp_path}/run", "--max_seq_length", "32", "--dry_run")
    first = call(*words, "--max_steps", "7", "--optimizer", "adamw")
    assert first[0] == 0
    (tmp_path / "config.yaml").write_text(first[1], encoding="utf-8")
    second = call(*words, "--config", f"{tmp_path}/config.yaml")
    kept, again = ([line for line in found[1].splitlines() if "budget" not in line] for found in (first, second))
    assert again == kept
