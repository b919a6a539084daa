"""A few held-out sentences with masks, filled by the model as it learns: a run's samples.jsonl."""

from bertwright.checkpoints.run_folder import RunFolder
from bertwright.data.shards import Split
from bertwright.inference.predictor import Predictor
from bertwright.models import Model
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.events import Event

# Sentences that are shown, and the pieces that make one worth looking at.
SENTENCES, SHORTEST, LONGEST = 5, 8, 30
# Share of the pieces that are masked, as in training.
RATE = 0.15


class FilledSentences:
    """An observer that fills the masks of the same sentences after each evaluation, and writes what came out into the run folder.

    Each line: step, text (with its masks), original, filled (a piece for each mask), masks (how many), right (how
    many are what stood there).
    """

    def __init__(self, run: RunFolder, model: Model, tokenizer: Tokenizer, split: Split) -> None:
        self.run, self.model = run, model
        self.predictor = Predictor(model=model, tokenizer=tokenizer, checkpoint=run.path)
        self.sentences = sentences(split, tokenizer)

    def __call__(self, event: Event) -> None:
        if event.kind != "evaluate":
            return
        was_training = self.model.training
        self.model.eval()
        for number, sentence in enumerate(self.sentences):
            filled = self.predictor.mask_randomly(sentence, rate=RATE, seed=number, top_k=1)
            best = [candidates[0].token for candidates in filled.masks]
            told = {"text": filled.text, "original": filled.original, "filled": best, "masks": len(best), "right": filled.right}
            self.run.append_samples({"step": event.step, **told})
        self.model.train(was_training)


def sentences(split: Split, tokenizer: Tokenizer) -> list[str]:
    """Sentences of different documents that are of a length to be read at a glance, from the beginning of the split; fewer where there are no more."""
    found: list[str] = []
    for first, last in zip(split.documents[:-1].tolist(), split.documents[1:].tolist(), strict=True):
        for sentence in range(first, last):
            ids = split.tokens[split.sentences[sentence] : split.sentences[sentence + 1]].tolist()
            if SHORTEST <= len(ids) <= LONGEST and tokenizer.unk_id not in ids:
                found.append(tokenizer.decode(ids))
                break
        if len(found) == SENTENCES:
            break
    return found
