"""A complete tiny checkpoint in the published layout, made in a second: what tests load, fine-tune and speak with."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import DacConfig, PreTrainedTokenizerFast, T5Config

from parler_assets.tts import ParlerTTSForConditionalGeneration
from parler_assets.tts.model.config import ParlerTTSConfig, ParlerTTSDecoderConfig
from parler_assets.tts.model.tokenizers import Tokenizers

TEXTS = (
    "the quick brown fox jumps over the lazy dog.",
    "Jerry speaks slowly in a happy voice, with very clear audio quality.",
    "Talia whispers fast and sadly in a noisy room, why not?",
)
WORDS = 96  # rows of both embeddings of texts


def tiny_config(
    *,
    codebooks: int = 4,
    codebook_size: int = 32,
    width: int = 32,
    rope: bool = True,
    ratios: tuple[int, ...] = (2, 4, 5, 8),
    sampling_rate: int = 16000,
    text_width: int = 24,
    prompt_cross_attention: bool = False,
    **decoder,
) -> ParlerTTSConfig:
    """A configuration of about 0.1 M parameters; `decoder` overrides fields of the decoder's."""
    text = T5Config(
        vocab_size=WORDS, d_model=text_width, d_ff=32, d_kv=8, num_layers=2, num_heads=3,
        feed_forward_proj="gated-gelu", is_encoder_decoder=False, use_cache=False,
    )  # fmt: skip
    codec = DacConfig(
        encoder_hidden_size=4, decoder_hidden_size=32, downsampling_ratios=list(ratios), n_codebooks=codebooks,
        codebook_size=codebook_size, codebook_dim=4, sampling_rate=sampling_rate,
    )  # fmt: skip
    fields = {
        "vocab_size": codebook_size + 8, "max_position_embeddings": 512, "num_hidden_layers": 2, "ffn_dim": 2 * width,
        "num_attention_heads": 4, "hidden_size": width, "dropout": 0.0, "num_codebooks": codebooks,
        "pad_token_id": codebook_size, "eos_token_id": codebook_size, "bos_token_id": codebook_size + 1,
        "rope_embeddings": rope, "use_fused_lm_heads": True,
    }  # fmt: skip
    return ParlerTTSConfig(
        vocab_size=WORDS,
        prompt_cross_attention=prompt_cross_attention,
        text_encoder=text,
        audio_encoder=codec,
        decoder=ParlerTTSDecoderConfig(**fields | decoder),
    )


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-pair tokenizer of 96 ids that knows any text; <pad> is 0 and </s>, appended, is 1."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    alphabet = list("abcdefghijklmnopqrstuvwxyz0123456789 .,?!'-")
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )


def write_tiny_checkpoint(folder: Path, seed: int = 0, **shape) -> Path:
    """Write weights drawn with `seed`, configurations, tokenizer and feature extractor to `folder`, and return it.

    `shape` is passed to `tiny_config`: by default 4 codebooks of 32, 16 kHz, hop 320, rotary positions.
    """
    torch.manual_seed(seed)
    model = ParlerTTSForConditionalGeneration(tiny_config(**shape))
    tokenizer = tiny_tokenizer()
    model.save_pretrained(folder, tokenizers=Tokenizers(tokenizer, tokenizer))
    return folder
