"""Devices by name, and what a child process is shown of them."""

from __future__ import annotations

import pytest

from parler_assets.speech.devices import cards, first, visible


@pytest.mark.parametrize(
    ("device", "numbers", "one"),
    [("cpu", [], "cpu"), ("cuda", [0], "cuda"), ("cuda:1", [1], "cuda:1"), ("cuda:0,2", [0, 2], "cuda:0")],
)
def test_a_device_names_its_cards(device: str, numbers: list[int], one: str):
    assert (cards(device), first(device)) == (numbers, one)


@pytest.mark.parametrize(
    ("device", "seen", "shown"),
    [
        ("cpu", "", None),
        ("cuda", "", None),
        ("cuda:1", "", "1"),
        ("cuda:1", "4,6", "6"),
        ("cuda:0,2", "", "0,2"),
        ("cuda:0,2", "GPU-a,GPU-b,GPU-c", "GPU-a,GPU-c"),
    ],
)
def test_a_child_sees_the_reserved_cards_and_no_other(device, seen, shown, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    assert visible(device).get("CUDA_VISIBLE_DEVICES") == shown
