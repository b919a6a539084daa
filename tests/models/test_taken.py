"""A start from a larger model: its places stay the places that they were."""

import torch

from bertwright.families.presets import preset_architecture
from bertwright.models import Model
from bertwright.models.taken import start_at_teacher

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 30, "type_vocab_size": 1}


def test_a_bert_begun_as_a_roberta_has_its_vectors_at_the_same_places() -> None:
    """RoBERTa's table has two rows more, before the one of place 0."""
    torch.manual_seed(0)
    teacher = Model(preset_architecture("roberta-tiny", pad_token_id=1, max_position_embeddings=34, **SIZES), ("mlm",)).eval()
    student = Model(preset_architecture("bert-tiny", pad_token_id=1, max_position_embeddings=32, **SIZES), ("mlm",)).eval()
    taken, count = start_at_teacher(student, teacher)
    assert taken == count
    ids = torch.randint(5, 30, (2, 20))
    with torch.no_grad():
        torch.testing.assert_close(student(ids).prediction_logits, teacher(ids).prediction_logits, rtol=0.0, atol=1e-5)


def test_a_roberta_begun_as_a_bert_keeps_its_rows_before_the_first_place() -> None:
    torch.manual_seed(0)
    teacher = Model(preset_architecture("bert-tiny", pad_token_id=1, max_position_embeddings=32, **SIZES), ("mlm",))
    student = Model(preset_architecture("roberta-tiny", pad_token_id=1, max_position_embeddings=34, **SIZES), ("mlm",))
    before = student.state_dict()["encoder.positions.weight"].clone()
    taken, count = start_at_teacher(student, teacher)
    assert taken == count
    after, given = student.state_dict()["encoder.positions.weight"], teacher.state_dict()["encoder.positions.weight"]
    assert torch.equal(after, torch.cat([before[:2], given]))
