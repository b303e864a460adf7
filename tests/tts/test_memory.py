"""The reference run on cards of several sizes: the same updates, cut into as many pieces as the card asks for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parler_assets.recipe import Lora, load_recipe
from parler_assets.tts import ParlerTTSForConditionalGeneration
from parler_assets.tts.training import memory
from parler_assets.tts.training.assembly import with_budget
from parler_assets.tts.training.job import TrainingRefused
from parler_assets.tts.training.plan import Lengths, Plan, computed_positions
from tests.support.tiny_checkpoint import tiny_config

REFERENCE = load_recipe("expresso").training
CUDA, GB = torch.device("cuda"), 1e9


@pytest.fixture(scope="module")
def mini():
    """The decoder of Parler-TTS Mini without memory for its weights, as training has it: no encoder, no codec."""
    shape = {"num_hidden_layers": 24, "ffn_dim": 4096, "num_attention_heads": 16, "vocab_size": 1088}
    config = tiny_config(codebooks=9, codebook_size=1024, width=1024, rope=False, max_position_embeddings=4096, **shape)
    with torch.device("meta"):
        model = ParlerTTSForConditionalGeneration(config)
    model.text_encoder = model.audio_encoder = None
    return model


def lengths() -> Lengths:
    """Clips of 2 to 30 seconds at 86 frames a second, as the reference trains on."""
    random = np.random.default_rng(0)
    return Lengths(random.integers(172, 2580, 1024), random.integers(5, 100, 1024), 9)


@pytest.mark.parametrize("packed", [True, False])
def test_the_reference_run_makes_the_same_updates_on_every_card(mini, monkeypatch, packed):
    plans = {}
    for card in (24, 48, 80, 141):
        room = memory.CARD_SHARE * card * GB
        monkeypatch.setattr(memory, "room_of_cards", lambda device, room=room: room)
        chosen = with_budget(REFERENCE, mini, mini.config.decoder, CUDA)
        plans[card] = plan = Plan(lengths(), np.ones(1024), chosen, 4096, packed=packed)
        batches = [batch for index in range(plan.updates_per_epoch) for rank in plan[index].ranks for batch in rank]
        largest = max(computed_positions(plan.lengths, list(batch), packed) for batch in batches)
        needed = memory.estimate(mini, mini.config.decoder, chosen, largest)
        memory.refuse_if_too_large(needed, room, chosen, largest)
    rows = [[sorted(plan[index].rows) for index in range(len(plan))] for plan in plans.values()]
    assert all(found == rows[0] for found in rows)
    assert all(len(update) == 128 for update in rows[0])
    pieces = [sum(len(rank) for rank in plan[0].ranks) for plan in plans.values()]
    assert pieces == sorted(pieces, reverse=True)
    assert pieces[0] > pieces[-1]


@pytest.mark.parametrize(
    ("changes", "device"), [({}, "cpu"), ({"max_positions": 5000}, "cuda"), ({"max_positions": 5000}, "cpu")]
)
def test_what_was_set_and_a_cpu_are_left_alone(mini, changes, device):
    given = REFERENCE.model_copy(update=changes)
    assert with_budget(given, mini, mini.config.decoder, torch.device(device)) == given


@pytest.mark.parametrize("card", [2, 6, 8])
def test_a_card_that_does_not_hold_the_weights_is_refused_with_adapters(mini, monkeypatch, card):
    monkeypatch.setattr(memory, "room_of_cards", lambda device: card * GB)
    assert with_budget(REFERENCE, mini, mini.config.decoder, CUDA) == REFERENCE
    with pytest.raises(TrainingRefused, match="lora"):
        memory.refuse_if_too_large(
            memory.estimate(mini, mini.config.decoder, REFERENCE, 2700), card * GB, REFERENCE, 2700
        )


@pytest.mark.parametrize(("free", "lora", "offered"), [(12, None, True), (60, None, False), (12, Lora(), False)])
def test_adapters_are_offered_where_weights_are_the_problem(mini, free, lora, offered):
    chosen = REFERENCE.model_copy(update={"lora": lora})
    needed = memory.estimate(mini, mini.config.decoder, chosen, 60_000)
    with pytest.raises(TrainingRefused, match="max_positions") as refused:
        memory.refuse_if_too_large(needed, free * GB, chosen, 60_000)
    assert ("lora" in str(refused.value)) is offered
