"""A Whisper checkpoint in the published format that always says the same: real reader, network and decoding, offline.

Its attention and feed-forward layers give nothing, so that what comes next depends on the position alone: the position
after the four prompt tokens points to the first token of the sentence, and so on to the end of the text.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode

END, START, ENGLISH, TRANSLATE, TRANSCRIBE, SILENT, UNTIMED = (
    f"<|{name}|>"
    for name in ("endoftext", "startoftranscript", "en", "translate", "transcribe", "nospeech", "notimestamps")
)
SPECIAL = (END, START, ENGLISH, TRANSLATE, TRANSCRIBE, SILENT, UNTIMED)
WIDTH = 64


def write_tiny_whisper(folder: Path, says: str, dtype: torch.dtype = torch.float32) -> Path:
    """Write config, generation config, weights (safetensors), feature extractor and tokenizer to `folder`."""
    processor = WhisperProcessor(WhisperFeatureExtractor(feature_size=80), _tokenizer(folder))
    ids = {name: processor.tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    model = WhisperForConditionalGeneration(_config(len(processor.tokenizer), ids))
    said = processor.tokenizer(f" {says}", add_special_tokens=False).input_ids
    _always(model, [*said, ids[END]])
    model.generation_config = _generation(ids)
    model.to(dtype).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _tokenizer(folder: Path) -> WhisperTokenizer:
    """Bytes and special tokens; no merge, so that every letter is a token."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {symbol: number for number, symbol in enumerate(bytes_to_unicode().values())}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    tokenizer = WhisperTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), unk_token=END, bos_token=END, eos_token=END
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    return tokenizer


def _config(words: int, ids: dict[str, int]) -> WhisperConfig:
    return WhisperConfig(
        vocab_size=words, d_model=WIDTH, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, num_mel_bins=80,
        decoder_start_token_id=ids[START], bos_token_id=ids[END], eos_token_id=ids[END], pad_token_id=ids[END],
        suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip


def _generation(ids: dict[str, int]) -> GenerationConfig:
    """What published multilingual checkpoints carry beside the usual fields."""
    return GenerationConfig(
        decoder_start_token_id=ids[START], bos_token_id=ids[END], eos_token_id=ids[END], pad_token_id=ids[END],
        is_multilingual=True, lang_to_id={ENGLISH: ids[ENGLISH]},
        task_to_id={"transcribe": ids[TRANSCRIBE], "translate": ids[TRANSLATE]},
        no_timestamps_token_id=ids[UNTIMED], prev_sot_token_id=ids[START], return_timestamps=False,
        suppress_tokens=[], begin_suppress_tokens=[], max_length=448, max_initial_timestamp_index=50,
    )  # fmt: skip


@torch.no_grad()
def _always(model: WhisperForConditionalGeneration, ids: list[int]) -> None:
    torch.manual_seed(0)
    decoder = model.model.decoder
    decoder.embed_tokens.weight.normal_()
    for layer in decoder.layers:
        for output in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
            output.weight.zero_()
            output.bias.zero_()
    decoder.embed_positions.weight.zero_()
    for place, token in enumerate(ids, start=3):  # the last of the four prompt tokens chooses the first of the text
        decoder.embed_positions.weight[place] = 50 * decoder.embed_tokens.weight[token]
