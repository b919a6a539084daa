"""Writing: the loss is that of transformers' models, what was learnt is written, and nothing that is cut goes unsaid."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tokenizers
import torch
import torch.nn.functional as F
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from bertwright.architecture import LM
from bertwright.checkpoints.generation import read_settings, said_about_generation, write_said
from bertwright.checkpoints.huggingface import load_model, read_architecture, save_model
from bertwright.data.labelled.examples import WriteExample
from bertwright.data.places import Place
from bertwright.errors import InputError
from bertwright.families import family_of
from bertwright.models import Model
from bertwright.models.generation_settings import Generation
from bertwright.tasks.running import run
from bertwright.tasks.task import Item, Reading
from bertwright.tasks.writer import Writer
from bertwright.tasks.writing import Writing
from bertwright.text.tokenizer import Tokenizer

PAIRS = {
    "the lamp is on the table": "a lamp",
    "we are by the river": "river, us!",
    "the cat sleeps beside it": "cat asleep",
    "twice two is four": "4",
    "don't you think?": "think!",
    "a café by the river": "café",
    "naïve songs": "songs of the naïve",
    "北京 in summer": "北京",
    "yes": "no, and no again",
    "the table": "the lamp is on it",
}
EXAMPLES = [WriteExample(source=source, target=target, place=Place("train.csv", "line", line)) for line, (source, target) in enumerate(PAIRS.items(), start=2)]
TWO_STACKS = {"d_model": 32, "decoder_layers": 2, "encoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 96, "bos_token_id": 0, "eos_token_id": 0},
    "bart": {
        **{"model_type": "bart", **TWO_STACKS, "encoder_ffn_dim": 48, "decoder_ffn_dim": 40, "max_position_embeddings": 96, "pad_token_id": 1},
        **{"bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "is_encoder_decoder": True},
    },
    "t5": {
        **{"model_type": "t5", "d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2, "pad_token_id": 0, "eos_token_id": 1},
        **{"decoder_start_token_id": 0, "is_encoder_decoder": True},
    },
}
RATES: dict[str, dict[str, float]] = {
    "gpt2": {"embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0},
    "bart": {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0},
    "t5": {"dropout_rate": 0.0},
}
CLASSES = {"gpt2": "GPT2LMHeadModel", "bart": "BartForConditionalGeneration", "t5": "T5ForConditionalGeneration"}
FAMILIES = tuple(CONFIGS)


class Tiny(NamedTuple):
    """A random model in evaluation mode, the task for it, and the folder where it lies with its tokenizer."""

    model: Model
    task: Writing
    reading: Reading
    folder: Path

    def items(self, examples: list[WriteExample] = EXAMPLES, *, max_length: int = 96) -> list[Item]:
        return list(self.task.items(examples, self.task.tokenizer, max_length=max_length).items)

    def batch(self, items: list[Item]) -> Any:
        return self.task.batch(items, numbers=np.arange(len(items)), reading=self.reading)


def write_tokenizer(folder: Path, name: str) -> None:
    lines = [text for pair in PAIRS.items() for text in pair] * 2
    if name == "t5":
        unigram = tokenizers.Tokenizer(models.Unigram())
        unigram.pre_tokenizer, unigram.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        special = ["<pad>", "</s>", "<unk>"]
        unigram.train_from_iterator(lines, trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False))
        unigram.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
        unigram.save(str(folder / "tokenizer.json"))
        roles = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "T5TokenizerFast", "extra_ids": 0}
        (folder / "tokenizer_config.json").write_text(json.dumps(roles), encoding="utf-8")
        return
    special = ["<|endoftext|>"] if name == "gpt2" else ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=330, special_tokens=special, initial_alphabet=alphabet, show_progress=False))
    backend.model.save(str(folder))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tiny]:
    """The tiny model of a family; a new one each time."""
    folders: dict[str, Path] = {}

    def made(name: str) -> Tiny:
        if name not in folders:
            folder = folders[name] = tmp_path_factory.mktemp(name)
            (folder / "config.json").write_text(json.dumps(CONFIGS[name]), encoding="utf-8")
            write_tokenizer(folder, name)
            tokenizer = Tokenizer.load(folder)
            tokenizer.save(folder)
            config = {**CONFIGS[name], **RATES[name], "vocab_size": tokenizer.vocab_size}
            torch.manual_seed(0)
            model = Model(read_architecture(folder, config=config), (LM,))
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.1)
            save_model(model, folder, config=config)
        return opened(folders[name])

    return made


def opened(folder: Path) -> Tiny:
    loaded, tokenizer = load_model(folder, dtype=torch.float32), Tokenizer.load(folder)
    architecture = loaded.model.architecture
    task = Writing.of(architecture, tokenizer, read_settings(folder, architecture, tokenizer)).fitted(EXAMPLES, max_length=96)
    return Tiny(loaded.model, task, Reading.of(architecture), folder)


@pytest.fixture(scope="module")
def library() -> Any:
    module = pytest.importorskip("transformers")
    module.utils.logging.disable_progress_bar()
    module.utils.logging.set_verbosity_error()
    return module


def theirs(library: Any, name: str, folder: Path) -> tuple[Any, Any]:
    """transformers' model and tokenizer of a folder."""
    return getattr(library, CLASSES[name]).from_pretrained(folder).eval(), library.AutoTokenizer.from_pretrained(folder)


def their_inputs(tokenizer: Any, name: str) -> dict[str, torch.Tensor]:
    """A batch as transformers' documentation makes it, with its labels."""
    if name != "gpt2":
        tokenizer.padding_side = "right"
        inputs = dict(tokenizer(list(PAIRS), padding=True, return_tensors="pt"))
        labels = tokenizer(text_target=list(PAIRS.values()), padding=True, return_tensors="pt").input_ids
        return {**{key: inputs[key] for key in ("input_ids", "attention_mask")}, "labels": labels.masked_fill(labels == tokenizer.pad_token_id, -100)}
    sources = [tokenizer(source).input_ids for source in PAIRS]
    # No space goes before Chinese.
    targets = [[*tokenizer(target if target == "北京" else f" {target}").input_ids, 0] for target in PAIRS.values()]
    width = max(len(source) + len(target) for source, target in zip(sources, targets, strict=True))
    rows = [[*source, *target] for source, target in zip(sources, targets, strict=True)]
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    labels = [[-100] * len(source) + target for source, target in zip(sources, targets, strict=True)]
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row + [-100] * (width - len(row)) for row in labels])}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_loss_of_a_batch_is_that_of_transformers(library: Any, tiny: Callable[[str], Tiny], name: str) -> None:
    made = tiny(name)
    model, tokenizer = theirs(library, name, made.folder)
    inputs = their_inputs(tokenizer, name)
    items = made.items()
    batch = made.batch(items)
    with torch.no_grad():
        output = model(**inputs)
        loss = made.task.losses(made.model, batch)["loss"]
        assert loss.sum.item() / batch.weights["loss"] == pytest.approx(output.loss.item(), rel=1e-5)
        assert batch.weights["loss"] == (inputs["labels"] != -100).sum()
        logits, labels = output.logits, inputs["labels"]
        if name == "gpt2":
            logits, labels = logits[:, :-1], labels[:, 1:]
        smoothed = dataclasses.replace(made.task, smoothing=0.1).losses(made.model, batch)["loss"]
        expected = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=0.1)
        assert smoothed.sum.item() / batch.weights["loss"] == pytest.approx(expected.item(), rel=1e-5)
        alone = [made.task.losses(made.model, made.batch([item]))["loss"].sum.item() for item in items]
        assert sum(alone) == pytest.approx(loss.sum.item(), rel=1e-5)
        each = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none").sum(1).tolist()
    outputs = run(made.task, made.model, items, made.reading)
    assert [found.loss for found in outputs] == pytest.approx(each, rel=1e-5)
    measured = made.task.metrics(EXAMPLES, made.task.predictions(EXAMPLES, items, outputs))
    assert measured["loss"] == pytest.approx(loss.sum.item() / batch.weights["loss"], rel=1e-5)
    assert measured["perplexity"] == pytest.approx(np.exp(measured["loss"]))


def test_logits_are_held_for_few_tokens_at_once(tiny: Callable[[str], Tiny], monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiny("bart")
    batch = made.batch(made.items())
    seen: list[int] = []
    made.model.heads[LM].register_forward_hook(lambda head, given, logits: seen.append(len(logits)))
    with torch.inference_mode():
        whole = made.task.outputs(made.model, batch)
        monkeypatch.setattr("bertwright.tasks.writing.CHUNK", 16)
        seen.clear()
        parts = made.task.outputs(made.model, batch)
    assert max(seen) == 16
    assert [one.loss for one in parts] == pytest.approx([one.loss for one in whole], rel=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_pairs_that_were_learnt_are_written_by_ours_and_by_transformers(library: Any, tiny: Callable[[str], Tiny], name: str, tmp_path: Path) -> None:
    made = tiny(name)
    items, optimizer = made.items(), torch.optim.AdamW(made.model.parameters(), lr=4e-3)
    batch = made.batch(items)
    made.model.train()
    for _ in range(500):  # T5 needs more or fewer steps with each of the vocabularies that its trainer makes of the same lines
        optimizer.zero_grad()
        loss = made.task.losses(made.model, batch)["loss"].sum / batch.weights["loss"]
        torch.autograd.backward(loss)
        optimizer.step()
        if loss.item() < 0.01:
            break
    unknown = made.items([dataclasses.replace(example, target=None) for example in EXAMPLES])
    for given in (items, unknown):
        predictions = made.task.predictions(EXAMPLES, given, run(made.task, made.model, given, made.reading))
        assert [found.text for found in predictions] == list(PAIRS.values())
    measured = made.task.metrics(EXAMPLES, made.task.predictions(EXAMPLES, items, run(made.task, made.model, items, made.reading)))
    assert measured["exact_match"] == 1
    assert measured[made.task.metric] == pytest.approx(100)

    save_model(made.model, tmp_path, config={**CONFIGS[name], **RATES[name], "vocab_size": made.model.architecture.vocab_size})
    made.task.tokenizer.save(tmp_path)
    write_said(tmp_path, made.task.generation_config(said_about_generation(made.folder)))
    assert opened(tmp_path).task.settings == made.task.settings
    model, tokenizer = theirs(library, name, tmp_path)
    for source, target in PAIRS.items():
        inputs = tokenizer(source, return_tensors="pt")
        (ids,) = model.generate(inputs.input_ids, attention_mask=inputs.attention_mask, pad_token_id=0)
        text = tokenizer.decode(ids[inputs.input_ids.shape[1] if name == "gpt2" else 0 :], skip_special_tokens=True)
        assert text.strip() == target


@pytest.mark.parametrize("name", ["gpt2", "words"])
def test_a_source_is_read_as_the_writer_reads_it(tiny: Callable[[str], Tiny], tokenizer: Tokenizer, name: str) -> None:
    made = tiny("gpt2")
    if name == "words":
        config = {**CONFIGS["gpt2"], "vocab_size": tokenizer.vocab_size, "eos_token_id": None, "bos_token_id": None}
        architecture = family_of(config).architecture(config)
        task = Writing.of(architecture, tokenizer, Generation())
        assert task.settings.stop_ids == (tokenizer.sep_id,)  # nobody said how a text ends
        made = made._replace(model=Model(architecture, (LM,)), task=task)
    texts = ["ban bar", "ger gor gon", "the lamp is"]
    writer = Writer(made.model, made.task.tokenizer, made.task.settings)
    items = made.items([WriteExample(source=text, target="ban") for text in texts])
    for item, text in zip(items, texts, strict=True):
        assert item.rows[0].ids[: item.target] == writer._prompt(text)
        assert item.rows[0].ids[-1] in made.task.settings.stop_ids


def test_long_texts_are_cut_where_it_costs_least_and_counted(tiny: Callable[[str], Tiny]) -> None:
    long = WriteExample(source="the river " * 30, target="songs " * 30)
    for name in FAMILIES:
        made = tiny(name)
        end = made.task.settings.stop_ids[0]
        found = made.task.items([long, EXAMPLES[0], dataclasses.replace(long, target=None)], made.task.tokenizer, max_length=32)
        assert found.truncated == 2
        assert all(len(row.ids) <= 32 for item in found.items for row in item.rows)
        cut, _, unknown = found.items
        assert cut.rows[-1].ids[-1] == end
        if name == "gpt2":
            whole = made.task.tokenizer.encode_ids([long.source])[0]
            assert cut.rows[0].ids[: cut.target] == unknown.rows[0].ids == whole[-cut.target :]
            assert cut.target >= 16
            assert len(cut.rows[0].ids) == 32
        else:
            assert cut.rows[0] == unknown.rows[0]
            assert cut.rows[0].ids[:8] == made.task.tokenizer.encode(long.source).ids[:8]
        texts = run(made.task, made.model, found.items, dataclasses.replace(made.reading, limit=32))
        assert [found.loss is None for found in texts] == [False, False, True]


def test_there_is_room_for_the_longest_target_with_its_end(tiny: Callable[[str], Tiny]) -> None:
    for name in FAMILIES:
        made = tiny(name)
        lengths = [int(length) for length in made.batch(made.items()).targets["lengths"]]
        assert made.task.settings.max_new_tokens == max(lengths)
        assert made.task.fitted(EXAMPLES, max_length=8).settings.max_new_tokens == 8


def test_what_the_start_said_of_generation_is_carried_along_but_for_lengths(tiny: Callable[[str], Tiny], tmp_path: Path) -> None:
    made = tiny("bart")
    said = {
        "num_beams": 4,
        "no_repeat_ngram_size": 3,
        "min_length": 56,
        "max_length": 142,
        "pad_token_id": 1,
        "_from_model_config": True,
        "eos_token_id": [2, 5],
    }
    write_said(tmp_path, said)
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS["bart"]), encoding="utf-8")
    settings = read_settings(tmp_path, made.model.architecture, made.task.tokenizer)
    task = Writing.of(made.model.architecture, made.task.tokenizer, settings).fitted(EXAMPLES, max_length=96)
    carried = task.generation_config(said_about_generation(tmp_path))
    longest = made.task.settings.max_new_tokens
    assert carried == {
        **{"num_beams": 4, "no_repeat_ngram_size": 3, "pad_token_id": 1, "eos_token_id": [2, 5], "max_new_tokens": longest},
        **{"bos_token_id": 0, "decoder_start_token_id": 2},
    }
    write_said(tmp_path, carried)
    assert read_settings(tmp_path, made.model.architecture, made.task.tokenizer) == task.settings
    empty = tmp_path / "empty"
    empty.mkdir()
    write_said(empty, said_about_generation(empty))
    assert not list(empty.iterdir())


def test_measuring_searches_greedily_unless_told_otherwise(tiny: Callable[[str], Tiny]) -> None:
    made = tiny("t5")
    said = dataclasses.replace(made.task.settings, num_beams=4, num_return_sequences=2, length_penalty=-5.0)
    batch = made.batch(made.items())

    def texts(task: Writing) -> list[str]:
        with torch.inference_mode():
            return [found.text for found in task.outputs(made.model, batch)]

    def written(settings: Generation) -> list[str]:
        return [found.text.strip() for found in Writer(made.model, made.task.tokenizer, settings).write(list(PAIRS))]

    task = dataclasses.replace(made.task, settings=said)
    assert texts(task) == written(made.task.settings) != written(said)
    assert texts(dataclasses.replace(task, num_beams=4)) == written(said)


def test_every_empty_text_is_named(tiny: Callable[[str], Tiny]) -> None:
    made = tiny("t5")
    wrong = [WriteExample(source=" ", target="a", place=Place("train.csv", "line", 3)), EXAMPLES[0], WriteExample(source="a", target="")]
    with pytest.raises(InputError) as caught:
        made.items(wrong)
    assert caught.value.problems == ("train.csv, line 3: the source is empty: give some words", "row 3: the target is empty: give some words")


def test_every_source_without_tokens_is_named(tiny: Callable[[str], Tiny], monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiny("gpt2")
    monkeypatch.setattr(Writing, "_sources", lambda self, texts, tokenizer, *, max_length: [([5] if text == "a" else [], False) for text in texts])
    with pytest.raises(InputError) as caught:
        made.items([WriteExample(source=source) for source in ("\u200b", "a", *["\u200e"] * 8)])
    assert caught.value.problems[:2] == ("row 1: the source has no tokens: give some words", "row 3: the source has no tokens: give some words")
    assert caught.value.problems[8:] == ("... and 1 more like these",)


def test_a_checkpoint_that_cannot_serve_says_why_in_a_line(tiny: Callable[[str], Tiny]) -> None:
    made = tiny("bart")
    bert = {"model_type": "bert", "vocab_size": 53}
    with pytest.raises(InputError, match=r"^generate needs a decoder, and this model only reads: take one such as BART, T5 or GPT-2$"):
        Writing.of(family_of(bert).architecture(bert), made.task.tokenizer, made.task.settings)
    bare = Writing.of(made.model.architecture, tiny("gpt2").task.tokenizer, Generation())
    assert bare.items([WriteExample(source="a")], bare.tokenizer, max_length=96).items
    with pytest.raises(InputError) as caught:
        bare.fitted(EXAMPLES, max_length=96)
    assert [line.partition(":")[0] for line in caught.value.problems] == [
        "the checkpoint names no token that ends a text",
        "the checkpoint names no token that a target begins with",
    ]
