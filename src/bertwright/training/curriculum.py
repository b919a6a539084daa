"""What a run reads and in which order: texts in their shares, rows in stages of length, updates that grow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np

from bertwright.data import keys as draws
from bertwright.data.mixture import BLOCK, Mixture
from bertwright.data.samples import Source, Vocabulary
from bertwright.data.shards import TokenShards
from bertwright.data.stages import Stage, Staged
from bertwright.data.stream import SampleStream, Stream
from bertwright.errors import InputError
from bertwright.objectives.objective import Objective
from bertwright.training.config import PretrainConfig
from bertwright.training.course import Course, ramp_over_samples, ramp_over_steps, stage_samples
from bertwright.training.schedule import Budget, budget_of
from bertwright.training.shares import shares_of, whole
from bertwright.training.texts import Text, texts_beside

# Samples that tell how many tokens one of them has in the mean: within a percent, where a tenth are shorter.
SAMPLED = 512
LEAST_ROW = 8


@dataclass(frozen=True)
class Curriculum:
    """stream: the run's samples in their order; course: how many of them each update takes; samples, tokens: how many the budget is in all, None under
    minutes; tokens are those of whole rows, save of a budget in tokens.
    """

    stream: SampleStream
    course: Course
    budget: Budget
    samples: float | None = None
    tokens: float | None = None


def stages_of(config: PretrainConfig) -> list[tuple[int, float]]:
    """Tokens a row and share of the tokens of each stage. Raises InputError with one line for each thing wrong."""
    if not config.stages:
        return [(config.max_seq_length, 1.0)]
    found = shares_of("stages", config.stages, separator=":", example="LENGTH:SHARE, such as 128:90% 512:10%")
    problems = [f"stages has rows of {name!r} tokens: give a number of {LEAST_ROW} or more" for name, _ in found if not name.isdigit() or int(name) < LEAST_ROW]
    shares = [share for _, share in found]
    if not whole(shares):
        problems.append(f"stages adds up to {sum(shares):.4g} of the budget: make the shares add up to 1, or 100%")
    if problems:
        raise InputError(*problems)
    return [(int(name), share / sum(shares)) for name, share in found]


def in_stages(config: PretrainConfig) -> PretrainConfig:
    """With the longest stage's rows as `max_seq_length`: what the model must hold and what is measured."""
    return replace(config, max_seq_length=max(length for length, _ in stages_of(config))) if config.stages else config


def main_folder(shards: str | None, config: PretrainConfig) -> str:
    """The shards that a run's epochs and evaluations are those of: those given, else the first of the mixture. Raises InputError where there are none."""
    if shards is not None:
        return shards
    if not config.mix:
        raise InputError("pretrain needs SHARDS, a folder that prepare wrote, or --mix FOLDER=SHARE ...")
    return shares_of("mix", config.mix, separator="=", example="FOLDER=SHARE")[0][0]


def mixed_texts(shards: TokenShards, config: PretrainConfig) -> tuple[list[Text], list[float]]:
    """The texts, the run's own first, and their shares of the samples. Raises InputError with one line for each thing wrong."""
    given = shares_of("mix", config.mix, separator="=", example="FOLDER=SHARE, such as wiki=0.7 books=0.3")
    entries, names = dict(given), [folder for folder, _ in given]
    own = next((folder for folder in entries if _same_folder(folder, shards)), str(shards.folder))
    total = sum(entries.values())
    problems = [f"mix gives {folder} {share:g}: a share of {1 / BLOCK} is the least" for folder, share in entries.items() if share < 1 / BLOCK]
    problems += [f"mix names {folder} {names.count(folder)} times: give it one share" for folder in entries if names.count(folder) > 1]
    if own in entries and not whole(list(entries.values())):
        problems.append(f"mix adds up to {total:.4g}: make the shares add up to 1, or give the shards that take the rest in front of --mix")
    if own not in entries and total > 1 - 1 / BLOCK:
        problems.append(f"mix leaves nothing of {shards.folder}: its shares add up to {total:.4g}, make them less than 1, or give it a share there too")
    folders = [own, *(folder for folder in entries if folder != own)]
    try:
        texts = texts_beside("mix", folders, shards, extended=False, verify=config.verify)
        problems += [f"{text.shards.folder}: the training split is empty: prepare more of its text" for text in texts[1:] if not text.shards.train.num_tokens]
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(*problems)
    shares = [entries.get(own, 1 - total), *(entries[folder] for folder in folders[1:])]
    return texts, [share / sum(shares) for share in shares]


def _same_folder(folder: str, shards: TokenShards) -> bool:
    return shards.folder.resolve() == Path(folder).resolve()


def streams_of(
    objective: Objective,
    texts: Sequence[Text],
    shares: Sequence[float],
    stages: Sequence[tuple[int, float]],
    vocabulary: Vocabulary,
    *,
    seed: int,
    own: Source | None = None,
) -> list[SampleStream]:
    """The samples of each stage. Each text and stage has an order of its own. Raises InputError where a text cannot serve the objective.

    own: the first text's samples for the first stage, where they are made already.
    """
    found: list[SampleStream] = []
    for number, (length, _) in enumerate(stages):
        streams = dict[str, Stream]()
        for place, text in enumerate(texts):
            its = _seed(seed, stage=number, text=place)
            made = own if number == place == 0 else None
            streams[text.name] = Stream(made or objective.source(text.shards.train, vocabulary, length=length, seed=its), seed=its)
        single = next(iter(streams.values()))
        found.append(single if len(streams) == 1 else Mixture(streams, shares, seed=_seed(seed, stage=number, text=0)))
    return found


def _seed(seed: int, *, stage: int, text: int) -> int:
    """The run's own for the first text in the first stage."""
    return seed if stage == text == 0 else int(draws.draw(draws.key_of(seed, stage, text), 0, draws.STAGE)[0] >> np.uint64(1))


def curriculum(config: PretrainConfig, stages: Sequence[tuple[int, float]], streams: Sequence[SampleStream], *, processes: int) -> Curriculum:
    """Puts streams in their order, for a config without None. Raises InputError for what needs a budget that tells how many samples there will be."""
    tokens = [_tokens_per_sample(stream) for stream in streams]
    shares = [share for _, share in stages]
    budget = budget_of(config, lambda passes: sum(stream.sample_at(share * passes) for share, stream in zip(shares, streams, strict=True)))
    course = Course.of(config)
    if budget.unit == "seconds":
        mend = "give max_steps, max_tokens or num_train_epochs"
        keys = [key for key in ("stages", "batch_size_ramp", "mlm_probability_end") if getattr(config, key)]
        if keys:
            raise InputError(*(f"{key} goes by shares of the samples, and minutes do not tell how many there will be: {mend}" for key in keys))
        return Curriculum(streams[0], course, budget)
    if budget.unit == "tokens":
        samples = sum(budget.amount * share / each for share, each in zip(shares, tokens, strict=True))
    elif budget.unit == "samples":
        samples = budget.amount
    else:
        samples = budget.amount * course.batch_size
    if config.batch_size_ramp:
        course = _ramped(course, config, budget, samples=samples, processes=processes)
        samples = course.first(int(budget.amount)) if budget.unit == "steps" else samples
    sizes = stage_samples(shares, tokens, samples=samples)
    read = budget.amount if budget.unit == "tokens" else sum(size * length for size, (length, _) in zip(sizes, stages, strict=True))
    if len(streams) == 1:
        return Curriculum(streams[0], course, budget, samples, read)
    firsts = [course.start_from(first) for first in accumulate(sizes[:-1], initial=0.0)]
    rows = tuple((first, _rows(config, length, processes=processes)) for first, (length, _) in zip(firsts, stages, strict=True))
    staged = Staged([Stage(first, length, stream) for first, (length, _), stream in zip(firsts, stages, streams, strict=True)])
    return Curriculum(staged, replace(course, rows=rows), budget, samples, read)


def _tokens_per_sample(stream: SampleStream) -> float:
    samples, _, _ = stream.take(0, SAMPLED)
    return max(1.0, float(samples.lengths.mean()))


def _rows(config: PretrainConfig, length: int, *, processes: int) -> int:
    """Sequences of a pass: as many tokens at once as in rows of the longest stage."""
    return min((config.micro_batch_size or 1) * config.max_seq_length // length, (config.batch_size or 1) // processes)


def _ramped(course: Course, config: PretrainConfig, budget: Budget, *, samples: float, processes: int) -> Course:
    example = "START:SHARE, such as 32:10%"
    found = shares_of("batch_size_ramp", config.batch_size_ramp or "", separator=":", example=example)
    if len(found) != 1 or not found[0][0].isdigit():
        raise InputError(f"batch_size_ramp is {config.batch_size_ramp!r}: write it as {example}, from so many sequences over that share of the budget")
    start, share = int(found[0][0]), found[0][1]
    if not 0 < start < course.batch_size or start % processes:
        problem = f"batch_size_ramp begins with {start} sequences, batch_size is {course.batch_size}"
        raise InputError(f"{problem}: begin with fewer" + (f", in a multiple of {processes} processes" if processes > 1 else "") + ", and more than 0")
    grow, over = (ramp_over_steps, budget.amount * share) if budget.unit == "steps" else (ramp_over_samples, samples * share)
    return replace(course, ramp=grow(start, course.batch_size, over, of=processes))
