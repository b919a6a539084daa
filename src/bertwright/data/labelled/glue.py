"""The tasks of GLUE as their own files have them: columns, order of the labels, metric (Wang et al. 2018, arXiv 1804.07461, table 1)."""

from dataclasses import dataclass

from bertwright.data.labelled.examples import TaskName
from bertwright.errors import InputError


@dataclass(frozen=True, kw_only=True)
class GlueTask:
    """text, pair, label: columns of its .tsv files, by name or, where there is no header line, by number. label_names: of labels 0, 1 ..., or of words.

    metric: one of those that GLUE scores the task by, as our metrics name it. validation: the file beside train.tsv.
    """

    text: str
    label: str
    pair: str | None = None
    header: bool = True
    label_names: tuple[str, ...] = ()
    task: TaskName = "classify"
    metric: str = "accuracy"
    validation: str = "dev.tsv"


ENTAILED = ("entailment", "not_entailment")  # in the order of Hugging Face's `glue` data set, as all names of labels here
GLUE = {
    "cola": GlueTask(text="3", label="1", header=False, label_names=("unacceptable", "acceptable"), metric="mcc"),
    "sst2": GlueTask(text="sentence", label="label", label_names=("negative", "positive")),
    "mrpc": GlueTask(text="#1 String", pair="#2 String", label="Quality", label_names=("not_equivalent", "equivalent"), metric="f1"),
    "rte": GlueTask(text="sentence1", pair="sentence2", label="label", label_names=ENTAILED),
    "stsb": GlueTask(text="sentence1", pair="sentence2", label="score", task="regress", metric="spearman"),
    "wnli": GlueTask(text="sentence1", pair="sentence2", label="label", label_names=("not_entailment", "entailment")),
    "qnli": GlueTask(text="question", pair="sentence", label="label", label_names=ENTAILED),
    "qqp": GlueTask(text="question1", pair="question2", label="is_duplicate", label_names=("not_duplicate", "duplicate"), metric="f1"),
    "mnli": GlueTask(
        text="sentence1", pair="sentence2", label="gold_label", label_names=("entailment", "neutral", "contradiction"), validation="dev_matched.tsv"
    ),
}


def glue_task(name: str | None) -> GlueTask | None:
    """The task of this name, written in any of the usual ways (SST-2, sst2, sst_2). Raises InputError for another name."""
    if name is None:
        return None
    found = GLUE.get(name.lower().replace("-", "").replace("_", ""))
    if found is None:
        raise InputError(f"glue is {name!r}: take one of {', '.join(GLUE)}")
    return found
