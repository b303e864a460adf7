"""The sample's Parler-TTS before any training: configuration, tokenizer and random weights around a trained codec."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import DacModel, GenerationConfig, PreTrainedTokenizerFast, T5Config

from parler_assets.sample.sentences import sentence
from parler_assets.sample.voices import NAMED
from parler_assets.tts import ParlerTTSForConditionalGeneration
from parler_assets.tts.model.config import ParlerTTSConfig, ParlerTTSDecoderConfig
from parler_assets.tts.model.tokenizers import Tokenizers

WORDS = 512  # rows of both embeddings of texts
LONGEST = 400  # frames that generation stops at: ten seconds


def configuration(codec: DacModel) -> ParlerTTSConfig:
    """About 2.3 M parameters beside the codec's 2.2 M: 9 MB of 16-bit weights."""
    text = T5Config(
        vocab_size=WORDS, d_model=96, d_ff=192, d_kv=32, num_layers=2, num_heads=3, dropout_rate=0.0,
        feed_forward_proj="gated-gelu", is_encoder_decoder=False, use_cache=False,
    )  # fmt: skip
    size = int(codec.config.codebook_size)
    decoder = ParlerTTSDecoderConfig(
        vocab_size=size + 8, max_position_embeddings=1024, num_hidden_layers=4, ffn_dim=640, num_attention_heads=5,
        hidden_size=160, dropout=0.0, num_codebooks=int(codec.config.n_codebooks), pad_token_id=size, eos_token_id=size,
        bos_token_id=size + 1, rope_embeddings=True, use_fused_lm_heads=True,
    )  # fmt: skip
    return ParlerTTSConfig(vocab_size=WORDS, text_encoder=text, audio_encoder=codec.config, decoder=decoder)


def tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-pair tokenizer in which every word of `texts` that is common enough is one id, and any other is letters.

    The names of the sample's speakers get ids too: words whose meaning only fine-tuning teaches.
    """
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789.,?!'-*:;")
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS, special_tokens=["<pad>", "</s>", "<unk>"], initial_alphabet=letters, show_progress=False
    )
    draw = random.Random(0)
    names = [name for name in NAMED for _ in range(500)]
    made.train_from_iterator([*texts, *names, *(sentence(draw) for _ in range(2000))], trainer)
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )


def write_initial(folder: Path, codec: DacModel, texts: Iterable[str], seed: int) -> None:
    """Write the untrained checkpoint in the published layout to `folder`; its tokenizer learns from `texts`."""
    torch.manual_seed(seed)
    model = ParlerTTSForConditionalGeneration(configuration(codec))
    model.audio_encoder.load_state_dict(codec.state_dict())
    words = tokenizer(texts)
    model.generation_config = GenerationConfig(
        bos_token_id=model.config.decoder.bos_token_id,
        decoder_start_token_id=model.config.decoder.bos_token_id,
        eos_token_id=model.config.decoder.eos_token_id,
        pad_token_id=model.config.decoder.pad_token_id,
        do_sample=True,
        max_length=LONGEST,
    )
    model.save_pretrained(folder, tokenizers=Tokenizers(words, words))
