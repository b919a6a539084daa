"""The model card of a checkpoint of pre-training: README.md, as the Hugging Face hub reads it."""

from collections.abc import Mapping
from typing import Any

from bertwright.architecture import Architecture
from bertwright.training.card import served
from bertwright.training.config import PretrainConfig
from bertwright.training.schedule import Progress

_CARD = """\
---
library_name: transformers
pipeline_tag: {pipeline}
tags:
- {family}
- bertwright
---

# A model of the {family} family, pre-trained by bertwright

{layers} layers of {hidden}, {heads} heads, a vocabulary of {vocabulary:,}, pre-trained for `{objective}` {origin}.

| what | how much |
|---|---|
| training text | {documents:,} documents, {text_tokens:,} tokens |
| trained on | {tokens:,} tokens in {steps:,} steps of {batch} rows of at most {length} tokens |
{results}
Losses are in nats, on held-out text that is read in the same way each time{chance}.

```python
{use}
```

or with transformers, in the versions that have this class:

```python
from transformers import AutoTokenizer, {name}

model, tokenizer = {name}.from_pretrained("."), AutoTokenizer.from_pretrained(".")
```

{seen}: it knows its words, its facts and its prejudices. Every setting is in the run's `config.yaml`.
"""
_NAMES = {
    "eval_mlm_loss": "masked loss",
    "eval_mlm_accuracy": "masked accuracy",
    "eval_nsp_accuracy": "next-sentence accuracy",
    "eval_rtd_accuracy": "replaced tokens told from others",
    "eval_soft_loss": "divergence from the teacher, softened",
    "eval_contrastive_accuracy": "sentences found again among a batch",
    "eval_clm_loss": "next-token loss",
    "eval_clm_accuracy": "next tokens right",
    "eval_span_corruption_loss": "loss of what stood in gaps",
    "eval_prefix_lm_loss": "loss of what follows",
    "eval_denoising_loss": "loss of the text without noise",
    "eval_perplexity": "perplexity",
    "unigram_entropy": "loss of word frequencies alone",
}


def model_card(
    architecture: Architecture,
    config: PretrainConfig,
    *,
    data: Mapping[str, Any],
    progress: Progress,
    metrics: Mapping[str, float],
    family: str,
    name: str,
    use: str = "fill",
) -> str:
    """The card's text. `data`: what identifies the text; `metrics`: the last evaluation by name; `family`, `name`: Hugging Face's model type and class;
    `use`: what the model is for, as `served` knows it."""
    stack = architecture.last
    known = "chance_loss" in metrics and "eval_perplexity" in metrics
    return _CARD.format(
        family=family,
        layers=stack.num_layers,
        hidden=stack.block.hidden_size,
        heads=stack.block.num_heads,
        vocabulary=architecture.vocab_size,
        objective=config.objective,
        origin="from the weights of another checkpoint" if config.init_from else "from scratch",
        documents=data["train_documents"],
        text_tokens=data["train_tokens"],
        tokens=progress.tokens,
        steps=progress.step,
        batch=config.batch_size,
        length=config.max_seq_length,
        results="".join(f"| {words} | {metrics[key]:.4g} |\n" for key, words in _NAMES.items() if key in metrics),
        chance=f"; of a token, a model that knows nothing has ln {architecture.vocab_size:,}" if known else "",
        seen="It has seen what those weights had seen, and this text" if config.init_from else "It has seen nothing but this text",
        use=served(use).our_code(),
        pipeline=served(use).pipeline,
        name=name,
    )
