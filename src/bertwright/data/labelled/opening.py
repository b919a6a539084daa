"""Any file of labelled rows as a table, by its name's ending and by what stands in it."""

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.conll import conll_table, looks_like_conll
from bertwright.data.labelled.data_sets import data_set_table
from bertwright.data.labelled.json_files import json_table
from bertwright.data.labelled.known import Known
from bertwright.data.labelled.table import Table, open_table
from bertwright.data.sources import DATASET, JSON, TEXT, TSV, Source
from bertwright.errors import InputError

READ = "the kinds read are .csv, .tsv, .jsonl, .json, .parquet, CoNLL columns, SQuAD and Hugging Face data sets"


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
