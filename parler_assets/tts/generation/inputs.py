"""What generation is asked for, checked before anything is computed."""

from __future__ import annotations

import torch
from torch import Tensor

from parler_assets.speech.codec.codec import Codec
from parler_assets.tts.model.config import ParlerTTSDecoderConfig


def check_texts(ids: Tensor | None, mask: Tensor | None, rows: int, what: str) -> None:
    """Refuse texts (B, n) that would be read as something else.

    Raises:
        ValueError: a text without any token, a mask of another shape, or ids beyond the embedding's rows.
    """
    if ids is None:
        return
    if mask is not None and mask.shape != ids.shape:
        raise ValueError(f"{what}: ids have shape {tuple(ids.shape)}, their mask {tuple(mask.shape)}")
    tokens = torch.full((len(ids),), ids.shape[1]) if mask is None else mask.sum(1)
    empty = (tokens == 0).nonzero().flatten().tolist()
    if empty or not ids.numel():
        raise ValueError(f"{what} {empty[0] if empty else 0} is empty: give it a text")
    if int(ids.max()) >= rows or int(ids.min()) < 0:
        raise ValueError(
            f"{what}: token {int(ids.max())}, but this checkpoint knows {rows}: use the tokenizer that belongs to it"
        )


def prefix_codes(
    codec: Codec, decoder: ParlerTTSDecoderConfig, samples: Tensor | None, codes: Tensor | None, batch: int
) -> Tensor | None:
    """Codes (B, K, T) of an audio prefix: of samples (B, 1, N) or (B, N), or codes as given; None where there is none.

    Raises:
        ValueError: prefixes of several lengths, codes of another shape, or ids that are no codes.
    """
    if samples is not None:
        encoded = codec.encode([sound.reshape(-1).float().cpu().numpy() for sound in samples])
        if len({code.shape for code in encoded}) > 1:
            raise ValueError("input_values must have one length: prefixes of one batch are continued together")
        codes = torch.stack([torch.from_numpy(code.astype("int64")) for code in encoded])
    if codes is None:
        return None
    if codes.dim() != 3 or codes.shape[:2] != (batch, decoder.num_codebooks):
        raise ValueError(f"audio_codes {tuple(codes.shape)} should be ({batch}, {decoder.num_codebooks}, frames)")
    if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < decoder.codebook_size:
        raise ValueError(f"audio_codes must be from 0 to {decoder.codebook_size - 1}")
    return codes
