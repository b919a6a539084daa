"""What is masked, as keys of the run's flat set; imports no torch."""

from dataclasses import dataclass

MASK_UNITS = ("token", "word", "span", "ngram")


@dataclass(frozen=True, kw_only=True)
class MaskingConfig:
    """What is masked, and how.

    Parameters
    ----------
    mlm_probability
        Share of the tokens that are masked.
    mlm_probability_end
        The same at the end of the run, which the share moves to in a straight line.
    mask_unit
        What is masked as a whole: token, word, span (SpanBERT) or ngram (MacBERT), both of words.
    mask_split
        Percent of the masked tokens that become [MASK] / a random token / stay as they are.
    max_span_length
        Words of the longest span, where mask_unit is span.
    """

    mlm_probability: float = 0.15
    mlm_probability_end: float | None = None
    mask_unit: str = "token"
    mask_split: str = "80/10/10"
    max_span_length: int = 10

    def masking_problems(self) -> list[str]:
        """One line for each value that cannot stand; empty when all can."""
        found = [
            f"{name} is {value}: it must lie between 0 and 1, for example {example}"
            for name, value, example in (("mlm_probability", self.mlm_probability, 0.15), ("mlm_probability_end", self.mlm_probability_end, 0.05))
            if value is not None and not 0 < value < 1
        ]
        if self.mask_unit not in MASK_UNITS:
            found.append(f"mask_unit is {self.mask_unit!r}: take one of {', '.join(MASK_UNITS)}")
        if self.split is None:
            found.append(f"mask_split is {self.mask_split!r}: give the percent masked / replaced / kept, with a sum of 100, for example 80/10/10")
        if self.max_span_length < 1:
            found.append(f"max_span_length is {self.max_span_length}: it must be at least 1 word, for example 10")
        return found

    @property
    def split(self) -> tuple[float, float] | None:
        """The shares that become [MASK] and a random token; None where `mask_split` does not say them."""
        try:
            percent = [float(part) for part in self.mask_split.split("/")]
        except ValueError:
            return None
        if len(percent) != 3 or not all(0 <= part <= 100 for part in percent) or abs(sum(percent) - 100) > 1e-6:
            return None
        return percent[0] / 100, percent[1] / 100
