"""Which clips an update trains on, and the tensors they become."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parler_assets.recipe import Training
from parler_assets.tts.data.collate import delayed_labels, padded
from parler_assets.tts.model.delay_pattern import IGNORED
from parler_assets.tts.training.plan import Lengths, Plan, epoch_rows, micro_batches, padded_positions


def lengths(count: int, seed: int = 0) -> Lengths:
    generator = np.random.default_rng(seed)
    return Lengths(generator.integers(10, 200, count), generator.integers(3, 30, count), 9)


def training(**options) -> Training:
    return Training(**{"batch_size": 4, "effective_batch_size": 8, "epochs": 3} | options)


def test_every_clip_is_trained_on_once_an_epoch_in_an_order_of_its_own():
    plan = Plan(lengths(27), np.ones(27), training())
    assert (plan.updates_per_epoch, len(plan)) == (4, 12)
    epochs = [[row for i in range(4) for row in plan[4 * epoch + i].rows] for epoch in range(3)]
    assert all(sorted(rows) == list(range(27)) for rows in epochs)
    assert epochs[0] != epochs[1]
    with pytest.raises(IndexError):
        plan[12]


def test_an_update_can_be_asked_for_without_those_before_it():
    one, two = (Plan(lengths(50), np.ones(50), training()) for _ in range(2))
    walked = [one[index] for index in range(len(one))]
    assert two[15] == walked[15]
    assert two[3] == walked[3]


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("grouped", [True, False])
def test_processes_and_cuts_leave_an_update_s_clips_and_targets_alone(processes, grouped):
    sizes = lengths(40)
    reference = Plan(sizes, np.ones(40), training(batch_size=8))
    cut = Plan(sizes, np.ones(40), training(batch_size=1, group_by_length=grouped), processes=processes)
    for index in range(len(reference)):
        assert sorted(cut[index].rows) == sorted(reference[index].rows)
        assert cut[index].targets == reference[index].targets == sum(sizes.frames[reference[index].rows] + 1)


def allowed(sizes: Lengths, batch: list[int], packed: bool, budget: int, limit: int, clips: int) -> bool:
    padded_length = padded_positions(sizes, batch)
    computed = sum(sizes.positions[batch]) if packed else padded_length * len(batch)
    return len(batch) <= clips and computed <= budget and padded_length <= limit


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 64), st.integers(200, 2000), st.booleans(), st.booleans(), st.integers(0, 10))
def test_batches_are_as_full_as_budget_clips_and_table_of_positions_let_them(count, budget, packed, grouped, seed):
    sizes, limits = lengths(count, seed), {"budget": budget, "limit": 210, "clips": 8}
    options = training(batch_size=8, max_positions=budget, group_by_length=grouped)
    batches = [list(batch) for batch in micro_batches(sizes, np.arange(count), options, 210, packed)]
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == list(range(count))
    assert rows == sorted(rows) or grouped
    for batch, after in zip(batches, [*batches[1:], []], strict=True):
        assert len(batch) == 1 or allowed(sizes, batch, packed, **limits)
        assert not after or not allowed(sizes, [*batch, after[0]], packed, **limits)


def test_packed_batches_are_fewer_where_padding_would_have_cost():
    sizes = lengths(64)
    options = training(batch_size=64, effective_batch_size=64, max_positions=900, group_by_length=False)
    padded_count, packed_count = (
        len(micro_batches(sizes, np.arange(64), options, None, packed)) for packed in (False, True)
    )
    assert packed_count < padded_count


def test_sorting_inside_an_update_removes_most_padding():
    sizes = lengths(512)

    def filled(grouped: bool) -> float:
        options = training(batch_size=16, effective_batch_size=128, group_by_length=grouped)
        batches = micro_batches(sizes, np.arange(128), options)
        return sizes.positions[:128].sum() / sum(padded_positions(sizes, list(b)) * len(b) for b in batches)

    assert filled(False) < 0.75 < 0.8 < filled(True)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=30), st.integers(0, 5))
def test_a_clip_is_drawn_as_often_as_its_weight_says(weights, epoch):
    weights = np.array(weights)
    count = max(1, round(weights.sum()))
    drawn = Counter(epoch_rows(weights, count, 456, epoch).tolist())
    assert sum(drawn.values()) == count
    assert all(np.floor(w) <= drawn[row] <= np.ceil(w) for row, w in enumerate(weights))


def test_steps_and_fractions_of_an_epoch_end_where_they_should():
    assert len(Plan(lengths(16), np.ones(16), training(epochs=0.5))) == 1
    assert len(Plan(lengths(16), np.ones(16), training(max_steps=7))) == 7
    assert len(Plan(lengths(16), np.full(16, 2.0), training(epochs=1))) == 4


def test_labels_follow_the_published_delay_pattern():
    clips = [np.array([[1, 2], [3, 4], [5, 6]], np.uint16), np.array([[7, 8]], np.uint16)]
    start, end = 33, 32
    first, second = delayed_labels(clips, 32)
    assert first.tolist() == [[1, start], [3, 2], [5, 4], [end, 6], [end, end]]
    assert second.tolist() == [[7, start], [end, 8], [end, end], [IGNORED] * 2, [IGNORED] * 2]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.integers(1, 9))
def test_a_clip_has_one_target_a_frame_and_one_end_in_every_codebook(frames, codebooks):
    clips = [np.random.default_rng(n).integers(0, 32, (n, codebooks)) for n in frames]
    labels = delayed_labels(clips, 32)
    for row, clip in enumerate(clips):
        for k in range(codebooks):
            column = labels[row, :, k]
            real = column[(column != IGNORED) & (column != 33)]
            assert real[: len(clip)].tolist() == clip[:, k].tolist()
            assert (real[len(clip) :] == 32).all()
            assert (column[:k] == 33).all()


def test_prompts_are_padded_on_the_left_and_descriptions_on_the_right():
    ids, mask = padded([np.array([5, 6, 1]), np.array([7, 1])], 0, left=True)
    assert ids.tolist() == [[5, 6, 1], [0, 7, 1]]
    assert mask.tolist() == [[1, 1, 1], [0, 1, 1]]
    ids, mask = padded([np.array([5, 6, 1]), np.array([7, 1])], 0, left=False)
    assert ids.tolist() == [[5, 6, 1], [7, 1, 0]]
