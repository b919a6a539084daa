"""What stands between the cells of a .csv: a comma, or the semicolon that spreadsheets write where the comma belongs to numbers, a tab, a bar."""

import csv
from collections import Counter
from itertools import islice

from bertwright.data.cleaning import Tally
from bertwright.data.readers import lines, text_chunks
from bertwright.data.sources import TSV, Source

LOOKED_AT = 100  # lines
MARKS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def separator_of(source: Source) -> str:
    """The mark that gives the most of the first rows one number of cells, more than one; of equals one that no spaces follow, then the comma."""
    if source.format == TSV:
        return "\t"
    seen = list(islice(lines(text_chunks(source, Tally(), errors="refuse", cleaned=False), Tally()), LOOKED_AT))
    best = max(MARKS, key=lambda mark: _evenness(seen, mark))
    return best if _evenness(seen, best)[0] else ","


def _evenness(seen: list[str], mark: str) -> tuple[float, bool]:
    """(share of the rows that have the commonest number of cells, whether there are cells that do not begin with a space)."""
    rows: list[list[str]] = []
    try:
        rows.extend(row for row in csv.reader((line + "\n" for line in seen), delimiter=mark, strict=True) if row)
    except csv.Error as error:
        if "unexpected end" not in str(error):  # a cell goes on below the lines that were looked at
            return 0.0, False
    widths = Counter(map(len, rows))
    if not widths:
        return 0.0, False
    width, count = widths.most_common(1)[0]
    if width == 1:
        return 0.0, False
    return count / len(rows), any(not cell.startswith(" ") for row in rows for cell in row[1:])
