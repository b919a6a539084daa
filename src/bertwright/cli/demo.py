"""`bertwright demo`: the whole journey in a few minutes, on the documentation of the Python that runs it."""

import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from bertwright.cli.demo_corpus import write_corpus
from bertwright.cli.display import duration, evaluation_summary, training_display
from bertwright.cli.options import Flag
from bertwright.errors import InputError, Interrupted
from bertwright.families.presets import preset_architecture
from bertwright.training.config import PretrainConfig, PretrainResult

if TYPE_CHECKING:
    from bertwright.inference.results import FilledText

CORPUS, SHARDS, RUN, PICTURE = "corpus.txt", "shards", "run", "loss.png"
MARK = ".bertwright-demo"  # in the folders that a demo made: in no other is anything written anew
SMALLEST_VOCABULARY = 8  # what WordPiece needs: five special tokens and three pieces

SENTENCES = (
    "Raise a [MASK] if the argument is not a string.",
    "Return True if the file [MASK], and False otherwise.",
    "Return a [MASK] of all the names in the module.",
    "The default value of the argument is [MASK].",
    "This method is [MASK] when the connection is closed.",
)
SHOWN = 3  # candidates for each mask


def demo(
    *,
    out: Path = Path("bertwright-demo"),
    max_minutes: float = 3.0,
    model: str = "bert-mini",
    vocab_size: int = 4096,
    batch_size: int = 32,
    max_seq_length: int = 128,
    objective: str = "mlm",
    packages: Flag = False,
    seed: int = 0,
) -> None:
    """The whole journey in minutes, without network or download: text to tokenizer and shards, to a trained model, to filled masks.

    The text is the documentation of the Python that runs it: its help topics and the docstrings of its standard library.

    Args:
        out: folder to write; what an earlier demo left there is written anew.
        max_minutes: minutes of training.
        model: preset of the model's size.
        vocab_size: entries of the tokenizer.
        batch_size: sequences per update.
        max_seq_length: tokens a row.
        objective: mlm+nsp or mlm.
        packages: read the docstrings of the installed packages too.
        seed: of weights, order and masks.
    """
    started = time.monotonic()
    config = PretrainConfig(model=model, max_minutes=max_minutes, batch_size=batch_size, max_seq_length=max_seq_length, objective=objective, seed=seed)
    _check(config, vocab_size=vocab_size)
    _make_room(out)
    _say("1/4", f"corpus: the documentation of Python {sys.version.split()[0]}, read from its own files")
    size = write_corpus(out / CORPUS, packages=packages)
    print(f"{size.words:,} words in {size.documents:,} documents, {size.bytes / 1e6:.1f} MB: {out / CORPUS}")

    _say("2/4", "prepare: text to a tokenizer and token shards")
    _prepare(out, vocab_size=vocab_size, max_seq_length=max_seq_length, seed=seed)
    _forget_training(out)

    _say("3/4", f"pretrain: {model} from scratch for {max_minutes:g} minutes")
    before = _fill_untrained(out / SHARDS, model=model, seed=seed)
    result = _pretrain(out, config)

    _say("4/4", "fill masks: the same sentences before and after training")
    after = _fill_trained(result.run)
    Console().print(_side_by_side(before, after))
    print("\n".join(_closing(out, result, seconds=time.monotonic() - started)))


def _check(config: PretrainConfig, *, vocab_size: int) -> None:
    """Every mistake in the options, before anything is written. Raises InputError."""
    problems = config.problems()
    if vocab_size < SMALLEST_VOCABULARY:
        problems.append(f"vocab_size is {vocab_size}: it must be at least {SMALLEST_VOCABULARY}")
    try:
        limit = preset_architecture(config.model, vocab_size=max(vocab_size, SMALLEST_VOCABULARY)).max_length
    except InputError as error:
        problems += error.problems
    else:
        if limit is not None and config.max_seq_length > limit:
            problems.append(f"max_seq_length {config.max_seq_length} is longer than the model's {limit} positions: take {limit} or less")
    if problems:
        raise InputError(*problems)


def _say(step: str, what: str) -> None:
    print(f"\n[{step}] {what}", flush=True)


def _make_room(out: Path) -> None:
    """A place for the demo: a new folder, an empty one, or that of an earlier demo. Raises InputError for any other; removes nothing."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: give the demo another folder with --out")
    held = sorted(entry.name for entry in out.iterdir() if entry.name != MARK) if out.exists() else []
    ours = {CORPUS, SHARDS, RUN, PICTURE} if (out / MARK).is_file() else set()
    if others := [name for name in held if name not in ours and not (ours and name.startswith(f".{SHARDS}"))]:
        raise InputError(f"{out} holds what no demo wrote ({', '.join(others[:3])}): give the demo a folder of its own with --out")
    if held:
        print(f"{out} holds an earlier demo: it is written anew")
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).write_text("`bertwright demo` made this folder, and writes it anew when it is run again.\n", encoding="utf-8")


def _forget_training(out: Path) -> None:
    """Removes an earlier demo's run; its text and shards are replaced by then."""
    if (out / RUN).is_dir():
        shutil.rmtree(out / RUN)
    (out / PICTURE).unlink(missing_ok=True)


def _prepare(out: Path, *, vocab_size: int, max_seq_length: int, seed: int) -> None:
    from bertwright.data.prepare import PrepareConfig, prepare

    config = PrepareConfig(
        tokenizer_type="wordpiece",
        lowercase=True,
        vocab_size=vocab_size,
        documents="blank_line",
        max_seq_length=max_seq_length,
        seed=seed,
        overwrite=True,
    )
    report = prepare([str(out / CORPUS)], out=out / SHARDS, config=config)
    print("\n".join(report.lines()))


def _fill_untrained(shards: Path, *, model: str, seed: int) -> "list[FilledText]":
    """The sentences filled by a model of the right shape and random weights."""
    import torch

    from bertwright.architecture import MLM
    from bertwright.data.shards import TokenShards
    from bertwright.inference.predictor import Predictor
    from bertwright.models import Model
    from bertwright.text.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(TokenShards.open(shards).tokenizer_folder)
    torch.manual_seed(seed)
    untrained = Model(preset_architecture(model, vocab_size=tokenizer.vocab_size), (MLM,)).eval()
    return Predictor(model=untrained, tokenizer=tokenizer, checkpoint=shards).fill_masks(SENTENCES, top_k=SHOWN)


def _fill_trained(run: Path) -> "list[FilledText]":
    from bertwright.inference.predictor import load

    return load(run).fill_masks(SENTENCES, top_k=SHOWN)


def _pretrain(out: Path, config: PretrainConfig) -> PretrainResult:
    from bertwright.reports.figures import draw_run
    from bertwright.training.pretrain import pretrain

    try:
        with training_display() as show:
            result = pretrain(out / SHARDS, out=out / RUN, config=config, observers=(show,))
    except Interrupted as stopped:
        given = " ".join(f"--{name} {value}" for name, value in config.as_dict().items() if value != getattr(PretrainConfig(), name))
        command = f"bertwright pretrain {_quoted(out / SHARDS)} --out {_quoted(out / RUN)} {given}"
        message = f"stopped, what was trained is saved in {out / RUN}; to go on from there:\n  {command}"
        raise Interrupted(stopped.exit_code - 128, message) from None
    draw_run(result.run, path=out / PICTURE, title="bertwright demo")
    return result


def _side_by_side(before: "Sequence[FilledText]", after: "Sequence[FilledText]") -> Table:
    table = Table(box=None, padding=(0, 3, 1, 0))
    for heading, width in (("text", 34), ("before training", 18), ("after training", 20)):
        table.add_column(heading, min_width=width)
    for untrained, trained in zip(before, after, strict=True):
        table.add_row(_plain(untrained.text), _candidates(untrained), _candidates(trained))
    return table


def _candidates(filled: "FilledText") -> str:
    return "\n".join(_plain(f"{candidate.probability:6.1%} {candidate.token}") for candidate in filled.masks[0])


def _plain(text: str) -> str:
    """Rich reads [MASK] as markup unless it is told not to."""
    return text.replace("[", r"\[")


def _closing(out: Path, result: PretrainResult, *, seconds: float) -> list[str]:
    run = _quoted(out / RUN)
    return [
        *([f"at the end   {evaluation_summary(result.metrics)}"] if "eval_mlm_loss" in result.metrics else []),
        f"took         {duration(seconds)}, all in all",
        "",
        f"text         {out / CORPUS}",
        f"shards       {out / SHARDS}",
        f"run          {out / RUN}",
        f"checkpoint   {result.checkpoint}   (a Hugging Face folder)",
        f"loss curve   {out / PICTURE}",
        "",
        "next:",
        f"  bertwright predict {run} 'Return the [MASK] of the list.'",
        f"  bertwright predict {run} --mask 0.15 'Return a copy of the string with all letters in upper case.'",
        f"  bertwright evaluate {run} {_quoted(out / SHARDS)}",
        f"  bertwright tokenize {run} 'Tokenizers cut words into pieces.'",
        "and with your own text:",
        "  bertwright prepare YOUR_TEXT.txt --out shards",
        "  bertwright pretrain shards --out runs/a --max_minutes 10",
    ]


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
