"""The data report of labelled rows: counts and lengths (counts.py), what to warn of (warnings.py), how a terminal shows it (lines.py)."""

from bertwright.data.labelled.report.counts import DataReport, data_report

__all__ = ["DataReport", "data_report"]
