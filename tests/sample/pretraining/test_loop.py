"""A killed training goes on where it stopped, bit for bit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from parler_assets.sample.pretraining.loop import Schedule, train


class Killed(Exception):
    pass


def trained(state, schedule, killed_at=None):
    torch.manual_seed(0)
    network = nn.Linear(4, 4)
    network.bias.requires_grad_(False)

    def loss(update):
        if update == killed_at:
            raise Killed
        seen = torch.randn(8, 4, generator=torch.Generator().manual_seed(update))
        return {"loss": (network(seen) - seen.flip(1)).square().mean()}

    train(network, loss, schedule, state)
    return network


def test_a_resumed_training_gives_the_same_bits(tmp_path):
    schedule = Schedule((40,), 0.05, (0.9, 0.99), keep=10)
    whole = trained(tmp_path / "whole.safetensors", schedule)
    with pytest.raises(Killed):
        trained(tmp_path / "state.safetensors", schedule, killed_at=27)
    again = trained(tmp_path / "state.safetensors", schedule)
    assert torch.equal(whole.weight, again.weight)
    finished = trained(tmp_path / "state.safetensors", schedule, killed_at=0)  # does nothing any more
    assert torch.equal(whole.weight, finished.weight)


def test_the_end_is_kept_whatever_the_interval(tmp_path):
    schedule = Schedule((7,), 0.05, (0.9, 0.99), keep=5)
    whole = trained(tmp_path / "state.safetensors", schedule)
    assert torch.equal(trained(tmp_path / "state.safetensors", schedule, killed_at=5).weight, whole.weight)


def test_the_rate_rises_and_falls_to_almost_nothing():
    schedule = Schedule((1000, 400), 1e-3, (0.9, 0.99))
    rates = [schedule.at(update) for update in range(schedule.updates)]
    for cycle in (rates[:1000], rates[1000:]):
        assert cycle[0] < 1e-4
        assert max(cycle) == pytest.approx(1e-3, rel=0.05)
        assert cycle[-1] < 0.03e-3


def test_a_finished_training_is_given_another_cycle(tmp_path):
    once, twice = Schedule((20,), 0.05, (0.9, 0.99)), Schedule((20, 10), 0.05, (0.9, 0.99))
    whole = trained(tmp_path / "whole.safetensors", twice)
    trained(tmp_path / "state.safetensors", once)
    assert torch.equal(trained(tmp_path / "state.safetensors", twice, killed_at=19).weight, whole.weight)
