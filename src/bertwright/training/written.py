"""How a few held-out texts go on, as the model writes them while it learns: a run's samples.jsonl."""

from itertools import pairwise

import torch

from bertwright.checkpoints.run_folder import RunFolder
from bertwright.data.samples import ABSENT, Vocabulary
from bertwright.data.shards import Split
from bertwright.models import Model
from bertwright.models.generation import generate
from bertwright.models.generation_settings import Generation
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.events import Event

# Texts that are shown, pieces of each that are given at most, pieces that the model writes, and pieces that a text has to have.
TEXTS, GIVEN, WRITTEN, SHORTEST = 4, 12, 40, 4
# A draw among the likeliest, for the likeliest of all repeats itself (Holtzman et al. 2019, section 4).
TOP_P = 0.95


class WrittenTexts:
    """An observer that has the model go on with the same beginnings after each evaluation, by the same draws, and writes what came out into the run folder.

    Each line: step, text (the beginning), original (how it went on), filled (how the model has it go on).
    """

    def __init__(self, run: RunFolder, model: Model, tokenizer: Tokenizer, split: Split) -> None:
        self.run, self.model, self.tokenizer = run, model, tokenizer
        vocabulary = Vocabulary.of(tokenizer)
        self.begin = [] if vocabulary.begin_id == ABSENT else [vocabulary.begin_id]
        self.texts = beginnings(split)
        end = None if vocabulary.end_id == ABSENT else vocabulary.end_id
        room = (model.architecture.max_length or GIVEN + WRITTEN + 1) - GIVEN - len(self.begin)
        self.settings = Generation(do_sample=True, top_k=0, top_p=TOP_P, max_new_tokens=max(1, min(WRITTEN, room)), eos_token_id=end)

    def __call__(self, event: Event) -> None:
        if event.kind != "evaluate":
            return
        was_training, device = self.model.training, next(self.model.parameters()).device
        self.model.eval()
        for number, (given, rest) in enumerate(self.texts):
            prompt = torch.tensor([[*self.begin, *given]], device=device)
            ((found,),) = generate(self.model, prompt, settings=self.settings, row_seeds=[number])
            text, original, filled = (self.tokenizer.decode(some, skip_special_tokens=True) for some in (given, rest, found.ids))
            self.run.append_samples({"step": event.step, "text": text, "original": original, "filled": filled})
        self.model.train(was_training)


def beginnings(split: Split) -> list[tuple[list[int], list[int]]]:
    """The first tokens of some documents, half of one that is short, and those that come next; fewer where there are no more."""
    starts = split.document_tokens.tolist()
    long = [(first, last) for first, last in pairwise(starts) if last - first >= SHORTEST][:TEXTS]
    cuts = [(first, first + min(GIVEN, (last - first) // 2), last) for first, last in long]
    return [(split.tokens[first:cut].tolist(), split.tokens[cut : min(last, cut + WRITTEN)].tolist()) for first, cut, last in cuts]
