"""What objectives that have a decoder rewrite a text are told: how much of it they take out, and in what ways; imports no torch."""

from dataclasses import dataclass

NOISES = ("infilling", "masking", "deletion", "permutation", "rotation")
# Those whose rate is a share of the tokens; that of the others is a share of the rows.
OF_TOKENS = NOISES[:3]
# The papers' shares of the tokens: Raffel et al. 2019, section 3.3.4; Lewis et al. 2019, section 5.
CORRUPTION_DENSITY, DENOISING_DENSITY = 0.15, 0.3


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """How text is corrupted for a decoder to restore.

    Parameters
    ----------
    noise_density
        Share of the tokens that span_corruption (0.15) or denoising (0.3) takes out.
    mean_span_length
        Mean length of the gaps, in tokens.
    noises
        What denoising does, joined by +: infilling, masking, deletion, permutation (of sentences), rotation; a rate may follow, as in
        infilling:0.2+deletion:0.1+permutation.
    """

    noise_density: float | None = None
    mean_span_length: float = 3.0
    noises: str = "infilling+permutation"

    def noise_problems(self) -> list[str]:
        """One line for each value that cannot stand; empty when all can."""
        found = []
        if self.noise_density is not None and not 0 < self.noise_density < 1:
            found.append(f"noise_density is {self.noise_density}: it must lie between 0 and 1, for example 0.15")
        if not self.mean_span_length >= 1:
            found.append(f"mean_span_length is {self.mean_span_length:g}: it must be at least 1 token, for example 3")
        return found + _mistakes(self.noises, density=self.noise_density or DENOISING_DENSITY)

    def noise_rates(self, density: float) -> dict[str, float]:
        """The rate of each noise: as it is given, else `density` of the tokens for those that take tokens out, and every row for the others."""
        rates = {}
        for part in self.noises.split("+"):
            name, _, rate = part.strip().partition(":")
            rates[name] = float(rate) if rate else density if name in OF_TOKENS else 1.0
        return rates


def _mistakes(noises: str, *, density: float) -> list[str]:
    found, names, total = [], list[str](), 0.0
    for part in noises.split("+"):
        name, colon, rate = part.strip().partition(":")
        names.append(name)
        if name not in NOISES:
            found.append(f"noises has {name!r}: take of {', '.join(NOISES)}, joined by +")
        else:
            share = _number(rate) if colon else density if name in OF_TOKENS else 1.0
            if share is None or not 0 < share <= 1 or (share == 1 and name in OF_TOKENS):
                found.append(f"noises has {name} at a rate of {rate!r}: it must lie between 0 and 1, as in {name}:0.3")
            elif name in OF_TOKENS:
                total += share
    found += [f"noises has {name} twice: name it once" for name in dict.fromkeys(names) if names.count(name) > 1]
    if not found and total >= 1:
        found.append(f"noises {noises} take {total:g} of the tokens: the rates of {', '.join(OF_TOKENS)} must sum to less than 1")
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
