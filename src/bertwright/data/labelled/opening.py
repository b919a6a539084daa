"""Any file of labelled rows as a table, by its name's ending and by what stands in it."""

from dataclasses import replace
from itertools import chain
from pathlib import Path

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.conll import conll_table, looks_like_conll
from bertwright.data.labelled.data_sets import data_set_table
from bertwright.data.labelled.json_files import json_table
from bertwright.data.labelled.known import Known
from bertwright.data.labelled.table import Table, open_table
from bertwright.data.sources import DATASET, JSON, TEXT, TSV, Source, find_source
from bertwright.errors import InputError

READ = "the kinds read are .csv, .tsv, .jsonl, .json, .parquet, CoNLL columns, SQuAD and Hugging Face data sets"


def first_of(path: str) -> str:
    """The file that a path names, or the first of the parts that one with a star names."""
    return next(iter(_parts(path)), path)


def _parts(path: str) -> list[str]:
    return sorted(map(str, Path(path).parent.glob(Path(path).name))) if "*" in path else []


def open_all(path: str, config: DataConfig, known: Known | None) -> Table:
    """The rows of a file, or of all parts of one that was cut up (train-*-of-00002.parquet). Raises InputError as `open_labelled`, and for unlike parts."""
    parts = _parts(path)
    if not parts:
        return open_labelled(find_source(path), config, known)
    first = open_labelled(find_source(parts[0]), config, known)
    others = [open_labelled(find_source(part), replace(config, header=first.header), known) for part in parts[1:]]
    if unlike := next((other for other in others if other.columns != first.columns), None):
        raise InputError(f"{unlike.name}: has the columns {', '.join(unlike.columns)}, and {first.name} has {', '.join(first.columns)}: name one file")
    return replace(first, name=path, rows=chain(first.rows, *(other.rows for other in others)))


def open_labelled(source: Source, config: DataConfig, known: Known | None = None) -> Table:
    """The rows of a file. Raises InputError for one of no known kind, and for an empty one."""
    if source.format == DATASET:
        return data_set_table(source)
    if source.format == JSON:
        return json_table(source)
    task = known.task if known is not None else config.task
    if source.format in (TEXT, TSV) and task in (None, "tag") and config.header is None and looks_like_conll(source):
        return conll_table(source)
    if source.format == TEXT:
        raise InputError(f"{source.name}: is no table, nor words and tags in columns: {READ}; give it the ending of what it is")
    named = [name for name in (config.text_column, config.pair_column, config.label_column) if name]
    return open_table(source, header=config.header, named=named, judge=known.has_header if known is not None else None)
