"""A prediction as the cells of a table's row."""

from typing import Any

from bertwright.tasks.predictions import Answered, Chosen, Classified, Embedded, Prediction, Regressed, Tagged


def cells(prediction: Prediction, *, probabilities: bool = False) -> dict[str, Any]:
    """The columns that a prediction adds to its row: `prediction` and, where there is one, its `probability`.

    probabilities: also one column for each label or choice. Lists stay lists, which formats without them write as JSON.
    """
    if isinstance(prediction, Classified):
        return _classified(prediction, probabilities=probabilities)
    if isinstance(prediction, Regressed):
        return {"prediction": prediction.value}
    if isinstance(prediction, Tagged):
        return {"prediction": [entity.to_json() for entity in prediction.entities], "tags": list(prediction.tags)}
    if isinstance(prediction, Answered):
        none = {} if prediction.no_answer is None else {"probability_of_none": prediction.no_answer}
        return {"prediction": prediction.text, "probability": prediction.score, "start": prediction.start, "end": prediction.end, **none}
    if isinstance(prediction, Chosen):
        found: dict[str, Any] = {"prediction": prediction.text, "choice": prediction.choice, "probability": prediction.probabilities[prediction.choice]}
        return found | ({f"probability_{number}": value for number, value in enumerate(prediction.probabilities)} if probabilities else {})
    if isinstance(prediction, Embedded):
        alike = prediction.similarities
        return {"vector": prediction.vectors[0].tolist()} if not alike else {"similarity": alike[0]} if len(alike) == 1 else {"similarities": list(alike)}
    return {"prediction": prediction.text}


def _classified(prediction: Classified, *, probabilities: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"prediction": list(prediction.labels)}
    if prediction.label is not None:
        shown = {"prediction": prediction.label, "probability": prediction.probabilities[prediction.label]}
    return shown | ({f"probability_{name}": value for name, value in prediction.probabilities.items()} if probabilities else {})
