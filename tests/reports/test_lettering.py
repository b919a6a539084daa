"""Pictures never show boxes in place of letters: a font that has them, or numbers."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import font_manager

from bertwright.reports import lettering as module
from bertwright.reports.lettering import lettering
from bertwright.reports.pictures import attention_png, attribution_png, confusion_png, frequencies_png, lengths_png

CHINESE = ("财经", "体育", "plain")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def without_chinese(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with matplotlib's own fonts alone, the one of last resort among them, which has a box for every letter there is."""
    own = Path(font_manager.findfont(module.OWN)).parent
    fonts = [font for font in font_manager.fontManager.ttflist if Path(font.fname).parent == own]
    assert any("last resort" in font.name.lower() for font in fonts)
    monkeypatch.setattr(module.font_manager, "fontManager", SimpleNamespace(ttflist=fonts))
    module._fallback.cache_clear()
    yield
    module._fallback.cache_clear()


def test_letters_that_no_font_has_become_numbers(without_chinese: None) -> None:
    found = lettering(CHINESE)
    assert found.labels == ["label 1", "label 2", "plain"]
    assert found.numbered
    assert found.fonts == [module.OWN]


def test_a_font_that_has_the_letters_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_fallback", lambda missing: module._Font("Some CJK", "some.ttf"))
    monkeypatch.setattr(module, "_letters", lambda path, wanted: frozenset(letter for letter in wanted if path == "some.ttf" or letter.isascii()))
    assert lettering(CHINESE) == ([module.OWN, "Some CJK"], list(CHINESE), False)


def test_long_labels_are_cut_and_formulas_are_text() -> None:
    found = lettering(["a very long label that would leave no room", "$x$ costs $5", "two\nlines", "", "label 7"])
    assert found.labels == ["a very long label that …", r"\$x\$ costs \$5", "two lines", "label 4", "label 7"]


def test_every_picture_can_be_drawn_without_the_font(without_chinese: None, tmp_path: Path) -> None:
    """A letter that is missing would be a warning, and warnings are errors here."""
    counts = np.array([[3, 1, 0], [0, 4, 1], [0, 0, 0]])
    box = {"whislo": 1.0, "q1": 2.0, "med": 3.0, "q3": 4.0, "whishi": 5.0}
    frequencies_png(tmp_path / "1.png", {"train": dict.fromkeys(CHINESE, 3), "test": dict.fromkeys(CHINESE, 0)}, totals={"train": 9, "test": 1})
    lengths_png(tmp_path / "2.png", dict.fromkeys(CHINESE, box), unit="tokens")
    confusion_png(tmp_path / "3.png", CHINESE, counts, normalised=True)
    confusion_png(tmp_path / "4.png", CHINESE, counts, normalised=False)
    attribution_png(tmp_path / "5.png", CHINESE, [0.1, -0.2, 0.0], title="for 财经")
    attention_png(tmp_path / "6.png", CHINESE, {f"layer {place}": np.full((3, 3), 1 / 3, dtype=np.float32) for place in range(4)})
    assert all(path.read_bytes().startswith(PNG) for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 6
