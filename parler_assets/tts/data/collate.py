"""Rows of a split to the tensors of one micro-batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided

from parler_assets.tts.data.codes_file import Split
from parler_assets.tts.model.loss import IGNORED


@dataclass(frozen=True)
class Collator:
    """Prompts padded on the left so that speech follows its text directly, descriptions and labels on the right.

    Attributes:
        codebook_size: entries of a codebook; it is also the end-of-speech id, and one more is the start id.
        pad_id: token id that pads prompts and descriptions.
    """

    codebook_size: int
    pad_id: int = 0

    def __call__(self, split: Split, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """Input ids and masks of descriptions (B, S) and prompts (B, P), and labels (B, L, K) int64."""
        prompts, prompt_mask = padded([split.prompts[row] for row in rows], self.pad_id, left=True)
        descriptions, description_mask = padded([split.descriptions[row] for row in rows], self.pad_id, left=False)
        return {
            "input_ids": descriptions,
            "attention_mask": description_mask,
            "prompt_input_ids": prompts,
            "prompt_attention_mask": prompt_mask,
            "labels": torch.from_numpy(delayed_labels([split.clip(row) for row in rows], self.codebook_size)),
        }


def delayed_labels(clips: Sequence[np.ndarray], codebook_size: int) -> np.ndarray:
    """Labels (B, L, K) int64 of clips (T, K), L = longest T + K, padded with IGNORED.

    Codebook k is k start ids, then the clip's codes, then end ids: the published delay pattern. It is read off a clip
    laid out between K rows of start ids and K of end ids by a slanted view, in which column k lies k rows further up.
    """
    K, longest = clips[0].shape[1], max(len(clip) for clip in clips)
    labels = np.full((len(clips), longest + K, K), IGNORED, np.int64)
    laid = np.full((longest + 2 * K, K), codebook_size + 1, np.uint16)
    below, beside = laid.strides
    for row, clip in zip(labels, clips, strict=True):
        T = len(clip)
        laid[K : K + T], laid[K + T : 2 * K + T] = clip, codebook_size
        row[: T + K] = as_strided(laid[K:], (T + K, K), (below, beside - below))
    return labels


def padded(sequences: Sequence[np.ndarray], pad_id: int, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask), both (B, longest) int64, of sequences of token ids."""
    lengths = np.array([len(sequence) for sequence in sequences])
    places = np.arange(lengths.max())
    mask = places >= (lengths.max() - lengths)[:, None] if left else places < lengths[:, None]
    ids = np.full(mask.shape, pad_id, np.int64)
    ids[mask] = np.concatenate(sequences)
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))
