"""What the suite of families shares: its modules of tables and comparisons, and the reference's results, each computed once a session."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# pytest's importlib mode puts no folder of tests on the path.
sys.path.insert(0, str(Path(__file__).parent))

from family_cases import Case
from family_reference import Reference, compute_reference


@pytest.fixture(scope="session")
def transformers() -> Any:
    module = pytest.importorskip("transformers")
    module.utils.logging.disable_progress_bar()
    module.utils.logging.set_verbosity_error()
    return module


@pytest.fixture(scope="session")
def reference(transformers: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Reference]:
    """What transformers computes for a case, with its checkpoint."""
    known: dict[str, Reference] = {}

    def of(case: Case) -> Reference:
        if str(case) not in known:
            known[str(case)] = compute_reference(case, tmp_path_factory.mktemp("reference") / str(case))
        return known[str(case)]

    return of
