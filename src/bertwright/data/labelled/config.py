"""What is said about labelled data: which task, which columns, which files beside the training one; imports no torch."""

from dataclasses import dataclass

from bertwright.data.labelled.examples import TASKS, TaskName


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The labelled data of a fine-tuning. None means: found by the usual names, or guessed from the columns.

    Parameters
    ----------
    task
        classify, regress, tag, answer, choice, embed or generate.
    glue
        Name of a GLUE task, which says columns and metric: sst2, cola, mrpc, rte, stsb, wnli, qnli, qqp, mnli.
    validation
        File to evaluate on while training.
    test
        File to evaluate the best checkpoint on at the end.
    validation_fraction
        Share of the training rows held out where no validation file is given, by label.
    split_seed
        Seed of the rows held out: the same for every seed of the training.
    text_column
        Column of the text, of a pair's first text, or of the words, question or source.
    pair_column
        Column of a pair's second text, or of the context or target.
    label_column
        Column of the label, number, tags, or answers.
    label_names
        Names of labels that are numbers, in their order, with commas between.
    several_labels
        Rows may have several labels, separated by this character, or a list in JSON.
    header
        Whether the first line of a .csv or .tsv names the columns.
    max_seq_length
        Tokens a row, the special ones included; longer rows lose their end, or become windows.
    drop_bad_rows
        Leave rows without a text or label out, counted, in place of an error.
    """

    task: str | None = None
    glue: str | None = None
    validation: str | None = None
    test: str | None = None
    validation_fraction: float = 0.1
    split_seed: int = 0
    text_column: str | None = None
    pair_column: str | None = None
    label_column: str | None = None
    label_names: str | None = None
    several_labels: str | None = None
    header: bool | None = None
    max_seq_length: int | None = None
    drop_bad_rows: bool = False

    @property
    def named_task(self) -> TaskName | None:
        """The task that was named, if one was."""
        return next((task for task in TASKS if task == self.task), None)

    def problems(self) -> list[str]:
        """One line for each value that cannot stand; empty when all can."""
        found = []
        if self.task is not None and self.task not in TASKS:
            found.append(f"task is {self.task!r}: take one of {', '.join(TASKS)}")
        if self.several_labels == "":
            found.append("several_labels is empty: give the character that stands between the labels")
        if not 0 < self.validation_fraction < 1:
            found.append(f"validation_fraction is {self.validation_fraction}: it must lie between 0 and 1, for example 0.1")
        if self.max_seq_length is not None and self.max_seq_length < 8:
            found.append(f"max_seq_length is {self.max_seq_length}: it must be at least 8")
        return found
