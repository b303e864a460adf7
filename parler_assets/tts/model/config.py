"""Configurations with the published field names; fields that are unknown or dead are kept and have no effect."""

from __future__ import annotations

from typing import Any, ClassVar

import transformers
from transformers import AutoConfig, DacConfig, PreTrainedConfig, T5Config

from parler_assets.speech.codec.dac import codec_config
from parler_assets.tts.model.delay_pattern import DelayPattern

LABELS = ("num_labels", "_num_labels", "id2label", "label2id")  # of classifiers
# What transformers 4 wrote into every nested configuration: generation and label settings that belong to no encoder.
_DROPPED = {
    "_name_or_path", "_attn_implementation_autoset", "model_type", "transformers_version", "dtype", "torch_dtype",
    "architectures", *LABELS, "max_length", "min_length", "do_sample", "early_stopping", "num_beams",
    "num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty",
    "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences",
    "output_scores", "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values",
    "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens", "finetuning_task", "prefix",
    "problem_type", "pruned_heads", "sep_token_id", "task_specific_params", "tf_legacy_loss", "tie_encoder_decoder",
    "tokenizer_class", "torchscript", "use_bfloat16", "output_attentions", "output_hidden_states", "return_dict",
}  # fmt: skip


def without_leftovers(section: dict) -> dict:
    """A nested configuration as published, without the fields that mean nothing in it."""
    return {key: value for key, value in section.items() if key not in _DROPPED}


class ParlerTTSDecoderConfig(PreTrainedConfig):
    """The decoder over codes. Defaults are those of the original, which published files rely on.

    `scale_embedding` and `cross_attention_implementation_strategy` are accepted and have no effect.
    """

    model_type = "parler_tts_decoder"

    vocab_size: int = 2049
    max_position_embeddings: int = 2048
    num_hidden_layers: int = 24
    ffn_dim: int = 4096
    num_attention_heads: int = 16
    num_key_value_heads: int | None = None
    num_cross_attention_key_value_heads: int | None = None
    hidden_size: int = 1024
    activation_function: str = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    layerdrop: float = 0.0
    initializer_factor: float = 0.02
    scale_embedding: bool = False
    use_cache: bool = True
    num_codebooks: int = 4
    pad_token_id: int | None = 2048
    eos_token_id: int | list[int] | None = 2048
    bos_token_id: int | None = 2049
    tie_word_embeddings: bool = False
    rope_embeddings: bool = False
    rope_theta: float = 10000.0
    cross_attention_implementation_strategy: str | None = None
    use_fused_lm_heads: bool = False
    codebook_weights: list[float] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        self.num_key_value_heads = self.num_key_value_heads or self.num_attention_heads
        self.num_cross_attention_key_value_heads = self.num_cross_attention_key_value_heads or self.num_key_value_heads
        if self.codebook_weights is not None and len(self.codebook_weights) != self.num_codebooks:
            raise ValueError(f"{len(self.codebook_weights)} codebook_weights for {self.num_codebooks} codebooks")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"hidden_size {self.hidden_size} is no multiple of {self.num_attention_heads} heads")
        super().__post_init__(**kwargs)

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def pattern(self) -> DelayPattern:
        return DelayPattern(self.num_codebooks, start=int(self.bos_token_id or 0), end=self.codebook_size)

    @property
    def codebook_size(self) -> int:
        """Entries of a codebook: the end id is the first id after them."""
        end = self.eos_token_id if self.eos_token_id is not None else self.pad_token_id
        return int(end[0] if isinstance(end, list) else end or 0)


class ParlerTTSConfig(PreTrainedConfig):
    """A whole model: `text_encoder` (T5), `audio_encoder` (DAC) and `decoder`, each a dict or a configuration.

    Attributes:
        vocab_size: rows of the table that embeds prompts (transcripts).
        prompt_cross_attention: prompts are read by cross-attention instead of standing before the codes.
    """

    model_type = "parler_tts"
    sub_configs: ClassVar[dict] = {
        "text_encoder": T5Config,
        "audio_encoder": DacConfig,
        "decoder": ParlerTTSDecoderConfig,
    }
    has_no_defaults_at_init: ClassVar[bool] = True

    vocab_size: int = 1024
    prompt_cross_attention: bool = False
    pad_token_id: int | None = None
    decoder_start_token_id: int | None = None
    is_encoder_decoder: bool = True
    text_encoder: Any = None
    audio_encoder: Any = None
    decoder: Any = None

    def __post_init__(self, **kwargs: Any) -> None:
        missing = [part for part in self.sub_configs if getattr(self, part) is None]
        if missing:
            raise ValueError(f"a Parler-TTS configuration needs {', '.join(missing)}")
        if isinstance(self.text_encoder, dict):
            # its name is where the tokenizer of descriptions comes from, when prompts have another
            name = self.text_encoder.get("_name_or_path", "")
            self.text_encoder = T5Config(**without_leftovers(self.text_encoder))
            self.text_encoder._name_or_path = name
        if isinstance(self.audio_encoder, dict):
            self.audio_encoder = codec_config(without_leftovers(self.audio_encoder))
        if isinstance(self.decoder, dict):
            self.decoder = ParlerTTSDecoderConfig(**without_leftovers(self.decoder))
        if self.pad_token_id is None:
            self.pad_token_id = self.decoder.pad_token_id
        if self.decoder_start_token_id is None:
            self.decoder_start_token_id = self.decoder.bos_token_id
        kwargs.pop("torch_dtype", None)
        super().__post_init__(**kwargs)

    @property
    def sampling_rate(self) -> int:
        """Samples a second of the generated audio."""
        return self.audio_encoder.sampling_rate

    def published(self) -> dict[str, Any]:
        """What config.json holds: every field, also those at their defaults, without transformers' leftovers."""
        sections = {part: getattr(self, part) for part in self.sub_configs}
        written = {
            part: without_leftovers(section.to_dict()) | {"model_type": section.model_type}
            for part, section in sections.items()
        }
        written["text_encoder"]["_name_or_path"] = self.text_encoder._name_or_path
        top = {key: value for key, value in without_leftovers(self.to_dict()).items() if key not in written}
        return {
            "architectures": ["ParlerTTSForConditionalGeneration"],
            "model_type": self.model_type,
            "transformers_version": transformers.__version__,
            **top,
            **written,
        }


AutoConfig.register(ParlerTTSConfig.model_type, ParlerTTSConfig)
