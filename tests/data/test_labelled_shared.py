"""Public data sets as their files stand: each is read with no option, or with the name of its GLUE task alone."""

from collections import Counter
from pathlib import Path

import pytest

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.examples import Answer, LabelledSplits
from bertwright.data.labelled.glue import GLUE
from bertwright.data.labelled.reading import read_splits

SHARED = Path(__file__).parents[2] / "../shared/data"


def read(name: str, **options: str) -> LabelledSplits:
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is not there")
    return read_splits(str(SHARED / name), DataConfig(**options))


# Rows of train and dev, labels, metric, and how many rows have the first label, of the files as the data's README counts them.
GLUE_FILES = {
    "cola": ("CoLA", 8551, 1043, ("unacceptable", "acceptable"), "mcc", 2528),
    "sst2": ("SST-2", 67349, 872, ("negative", "positive"), "accuracy", 29780),
    "mrpc": ("MRPC", 3667, 408, ("not_equivalent", "equivalent"), "f1", None),
    "rte": ("RTE", 2490, 277, ("entailment", "not_entailment"), "accuracy", 1249),
    "wnli": ("WNLI", 635, 71, ("not_entailment", "entailment"), "accuracy", None),
}


@pytest.mark.parametrize("name", GLUE_FILES)
def test_glue_folders(name: str) -> None:
    folder, rows, held_out, labels, metric, first = GLUE_FILES[name]
    splits = read(f"glue/{folder}", glue=name)
    assert (len(splits.train.examples), len(splits.validation.examples), splits.test) == (rows, held_out, None)
    assert (splits.train.task, splits.train.labels, splits.metric) == ("classify", labels, metric)
    counts = Counter(example.label for example in splits.train.examples)
    assert first is None or counts[labels[0]] == first


def test_glue_texts_are_as_they_stand() -> None:
    mrpc, sst2 = read("glue/MRPC", glue="mrpc").train.examples, read("glue/SST-2", glue="SST-2").train.examples
    assert mrpc[0].text == 'Amrozi accused his brother , whom he called " the witness " , of deliberately distorting his evidence .'
    assert mrpc[0].pair.startswith('Referring to him as only " the witness " ,')
    assert mrpc[0].label == "equivalent"
    assert sst2[0].text == "hide new secretions from the parental units "


def test_stsb_and_qnli() -> None:
    stsb = read("glue/STS-B", glue="stsb")
    assert (stsb.train.task, stsb.metric, stsb.train.examples[1].label) == ("regress", "spearman", 3.8)
    qnli = read("glue/QNLI/dev.tsv", glue="qnli")
    assert len(qnli.train.examples) + len(qnli.validation.examples) == 5463


def test_every_glue_task_is_known_by_its_usual_names() -> None:
    assert GLUE.keys() == {"cola", "sst2", "mrpc", "rte", "stsb", "wnli", "qnli", "qqp", "mnli"}


def test_mnli_and_qqp_as_their_files_stand(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text(
        "index\tpromptID\tpairID\tgenre\tsentence1\tsentence2\tlabel1\tgold_label\n"
        + "".join(f'{n}\t{n}\t{n}n\tfiction\tA "quote {n}.\tB {n}.\tneutral\t{("entailment", "neutral", "contradiction")[n % 3]}\n' for n in range(6))
    )
    (tmp_path / "dev_matched.tsv").write_text("index\tsentence1\tsentence2\tlabel1\tlabel2\tgold_label\n0\tA\tB\tneutral\tentailment\tentailment\n")
    mnli = read_splits(str(tmp_path), DataConfig(glue="mnli"))
    assert (mnli.train.labels, mnli.validation.examples[0].label) == (("entailment", "neutral", "contradiction"), "entailment")
    assert mnli.train.examples[0].text == 'A "quote 0.'
    (tmp_path / "qqp.tsv").write_text("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n" + "".join(f"{n}\t1\t2\tA {n}?\tB?\t{n % 2}\n" for n in range(6)))
    qqp = read_splits(str(tmp_path / "qqp.tsv"), DataConfig(glue="qqp"))
    assert (qqp.train.labels, qqp.metric) == (("not_duplicate", "duplicate"), "f1")


def test_lcqmc_and_chnsenticorp() -> None:
    lcqmc = read("lcqmc/dev.tsv")
    rows = [*lcqmc.train.examples, *lcqmc.validation.examples]
    assert (len(rows), lcqmc.train.labels, lcqmc.train.columns) == (8802, ("0", "1"), {"label": "2", "text": "0", "pair": "1"})
    senti = read("chnsenticorp")
    assert [len(part.examples) for part in (senti.train, senti.validation, senti.test) if part] == [9600, 1200, 1200]
    assert senti.train.columns == {"label": "label", "text": "text_a"}


def test_conll2003() -> None:
    splits = read("conll2003")
    assert [len(part.examples) for part in (splits.train, splits.validation, splits.test) if part] == [14041, 3250, 3453]
    assert (splits.train.task, splits.train.scheme) == ("tag", "IOB1")
    assert splits.train.labels == ("O", "B-LOC", "I-LOC", "B-MISC", "I-MISC", "B-ORG", "I-ORG", "B-PER", "I-PER")
    begun = Counter(tag[2:] for example in splits.train.examples for tag in example.tags if tag.startswith("B-"))
    assert begun == {"LOC": 7140, "PER": 6600, "ORG": 6321, "MISC": 3438}  # table 2 of Tjong Kim Sang and De Meulder 2003
    assert splits.train.examples[0].words == ("EU", "rejects", "German", "call", "to", "boycott", "British", "lamb", ".")


def test_resume_ner() -> None:
    splits = read("resume-ner")
    assert [len(part.examples) for part in (splits.train, splits.validation, splits.test) if part] == [3821, 463, 477]
    assert splits.train.scheme == "BMES"
    assert len(splits.train.labels) == 17
    assert any("tags out of place: 4 in" in line for line in splits.said)


def test_squad() -> None:
    splits = read("squad")
    assert (splits.train.task, len(splits.train.examples), len(splits.validation.examples)) == ("answer", 8378, 923)
    for example in splits.validation.examples:
        assert all(example.context[answer.start : answer.start + len(answer.text)] == answer.text for answer in example.answers)
    assert splits.validation.examples[0].answers[0] == Answer(text="its root word pharma", start=34)
