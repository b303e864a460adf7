"""The layouts that published checkpoints have: their configurations, and every tensor's name and shape.

Names and shapes are facts of the files (headers of parler-tts-mini-v1, -mini-multilingual-v1.1 and the DAC codec);
repeated ones are written once, `{24}` standing for every number below 24.
"""

from __future__ import annotations

import re

T5_BASE = {"d_model": 768, "d_ff": 2048, "num_layers": 12, "num_heads": 12, "d_kv": 64}
T5_LARGE = {"d_model": 1024, "d_ff": 2816, "num_layers": 24, "num_heads": 16, "d_kv": 64}
MINI = {"hidden_size": 1024, "ffn_dim": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
LARGE = {"hidden_size": 1536, "ffn_dim": 6144, "num_hidden_layers": 30, "num_attention_heads": 24}
DESCRIPT = {
    "num_codebooks": 9, "codebook_size": 1024, "latent_dim": 1024, "model_bitrate": 8, "frame_rate": 86,
    "sampling_rate": 44100, "model_type": "dac",
}  # fmt: skip
DAC_MODEL = {
    "n_codebooks": 9, "codebook_dim": 8, "codebook_size": 1024, "encoder_hidden_size": 64, "decoder_hidden_size": 1536,
    "hidden_size": 1024, "downsampling_ratios": [2, 4, 8, 8], "upsampling_ratios": [8, 8, 4, 2], "hop_length": 512,
    "sampling_rate": 44100, "model_type": "dac",
}  # fmt: skip
PARTS = ("k", "v", "q", "out")
LAYOUTS = {
    "mini-v0.1": (T5_BASE, MINI, DESCRIPT, 32128, {}),
    "mini-expresso": (T5_BASE, MINI, DESCRIPT, 32128, {"codebook_weights": None}),
    "mini-v1": (T5_LARGE, MINI, DESCRIPT, 32128, {}),
    "large-v1": (T5_LARGE, LARGE, DESCRIPT, 32128, {}),
    "mini-multilingual-v1.1": (T5_LARGE, MINI, DAC_MODEL, 90714, {"use_fused_lm_heads": True}),
    "indic": (T5_LARGE, MINI, DAC_MODEL, 90714, {"use_fused_lm_heads": True, "delay_strategy": "delay"}),
}
# Numbers in each file and tensors in it, where they are known: 647,027,186 follows from the configuration, 877,842,290
# is the published file's, and so are the counts of tensors of v1 and multilingual v1.1.
NUMBERS = {"mini-v0.1": 647_027_186, "mini-expresso": 647_027_186, "mini-v1": 877_842_290, "large-v1": 1_637_933_938}
TENSORS = {"mini-v0.1": 820, "mini-expresso": 820, "mini-v1": 926, "mini-multilingual-v1.1": 840, "indic": 840}


def config(layout: str) -> dict:
    """A config.json as published, with some of the leftovers that transformers 4 wrote into every part."""
    text, decoder, codec, prompts, extra = LAYOUTS[layout]
    leftovers = {"max_length": 20, "top_k": 50, "id2label": {"0": "LABEL_0"}, "torch_dtype": "float32"}
    return {
        "architectures": ["ParlerTTSForConditionalGeneration"],
        "model_type": "parler_tts",
        "vocab_size": prompts,
        "pad_token_id": 1024,
        "decoder_start_token_id": 1025,
        "prompt_cross_attention": False,
        "transformers_version": "4.40.2",
        "text_encoder": {
            **leftovers, **text, "_name_or_path": "google/flan-t5", "vocab_size": 32128, "model_type": "t5",
            "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
        },
        "audio_encoder": {**leftovers, **codec},
        "decoder": {
            **leftovers, **decoder, **extra, "model_type": "parler_tts_decoder", "vocab_size": 1088,
            "max_position_embeddings": 4096, "num_codebooks": 9, "pad_token_id": 1024, "eos_token_id": 1024,
            "bos_token_id": 1025, "scale_embedding": False, "is_decoder": True,
        },
    }  # fmt: skip


def tensors(layout: str) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of the file."""
    text, decoder, codec, prompts, extra = LAYOUTS[layout]
    names = _text(**text) | _decoder(decoder["hidden_size"], decoder["ffn_dim"], decoder["num_hidden_layers"])
    d = decoder["hidden_size"]
    fused = bool(extra.get("use_fused_lm_heads"))
    names |= {"decoder.lm_heads.weight": (9 * 1088, d)} if fused else {"decoder.lm_heads.{9}.weight": (1088, d)}
    names["embed_prompts.weight"] = (prompts, d)
    if text["d_model"] != d:
        names |= {"enc_to_dec_proj.weight": (d, text["d_model"]), "enc_to_dec_proj.bias": (d,)}
    return dict(_every(names | (_descript_codec() if codec is DESCRIPT else _dac_model_codec())))


def _every(names: dict[str, tuple[int, ...]]):
    for name, shape in names.items():
        count = re.search(r"\{(\d+)\}", name)
        if count:
            more = {name.replace(count[0], str(i), 1): shape for i in range(int(count[1]))}
            yield from _every(more)
        else:
            yield name, shape


def _text(d_model: int, d_ff: int, num_layers: int, num_heads: int, d_kv: int) -> dict:
    block, inner = f"text_encoder.encoder.block.{{{num_layers}}}.layer", num_heads * d_kv
    return {
        "text_encoder.shared.weight": (32128, d_model),
        **{f"{block}.0.SelfAttention.{part}.weight": (inner, d_model) for part in "qkv"},
        f"{block}.0.SelfAttention.o.weight": (d_model, inner),
        "text_encoder.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (32, num_heads),
        f"{block}.{{2}}.layer_norm.weight": (d_model,),
        f"{block}.1.DenseReluDense.wi_{{2}}.weight": (d_ff, d_model),
        f"{block}.1.DenseReluDense.wo.weight": (d_model, d_ff),
        "text_encoder.encoder.final_layer_norm.weight": (d_model,),
    }


def _decoder(d: int, f: int, layers: int) -> dict:
    start = "decoder.model.decoder"
    layer = f"{start}.layers.{{{layers}}}"
    norms = [f"{layer}.{name}" for name in ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm")]
    attentions = [
        f"{layer}.{kind}.{part}_proj" for kind in ("self_attn", "encoder_attn") for part in ["k", "v", "q", "out"]
    ]
    return {
        f"{start}.embed_tokens.{{9}}.weight": (1089, d),
        f"{start}.embed_positions.weights": (4096, d),
        **{f"{name}.weight": (d, d) for name in attentions},
        **{f"{name}.{part}": (d,) for name in [*norms, f"{start}.layer_norm"] for part in ("weight", "bias")},
        f"{layer}.fc1.weight": (f, d),
        f"{layer}.fc2.weight": (d, f),
    }


def _descript_codec() -> dict:
    """Weight norm in two parts, layers numbered through."""
    start, found = "audio_encoder.model", {}

    def convolution(name: str, out: int, inner: int, width: int, bias: int | None = None) -> None:
        found[f"{start}.{name}.weight_v"] = (out, inner, width)
        found[f"{start}.{name}.weight_g"] = (out, 1, 1)
        found[f"{start}.{name}.bias"] = (bias or out,)

    def units(name: str, first: int, width: int) -> None:
        for unit in range(first, first + 3):
            found[f"{start}.{name}.block.{unit}.block.0.alpha"] = (1, width, 1)
            found[f"{start}.{name}.block.{unit}.block.2.alpha"] = (1, width, 1)
            convolution(f"{name}.block.{unit}.block.1", width, width, 7)
            convolution(f"{name}.block.{unit}.block.3", width, width, 1)

    convolution("encoder.block.0", 64, 1, 7)
    for place, stride in enumerate((2, 4, 8, 8)):
        name, width = f"encoder.block.{place + 1}", 64 << place
        units(name, 0, width)
        found[f"{start}.{name}.block.3.alpha"] = (1, width, 1)
        convolution(f"{name}.block.4", 2 * width, width, 2 * stride)
    found[f"{start}.encoder.block.5.alpha"] = (1, 1024, 1)
    convolution("encoder.block.6", 1024, 1024, 3)
    for k in range(9):
        convolution(f"quantizer.quantizers.{k}.in_proj", 8, 1024, 1)
        convolution(f"quantizer.quantizers.{k}.out_proj", 1024, 8, 1)
        found[f"{start}.quantizer.quantizers.{k}.codebook.weight"] = (1024, 8)
    convolution("decoder.model.0", 1536, 1024, 7)
    for place, stride in enumerate((8, 8, 4, 2)):
        name, width = f"decoder.model.{place + 1}", 1536 >> place
        found[f"{start}.{name}.block.0.alpha"] = (1, width, 1)
        convolution(f"{name}.block.1", width, width // 2, 2 * stride, bias=width // 2)
        units(name, 2, width // 2)
    found[f"{start}.decoder.model.5.alpha"] = (1, 96, 1)
    convolution("decoder.model.6", 1, 96, 7)
    return found


def _dac_model_codec() -> dict:
    """Weight norm folded, layers named by what they are."""
    found: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, out: int, inner: int, width: int, bias: int | None = None) -> None:
        found[f"audio_encoder.{name}.weight"] = (out, inner, width)
        found[f"audio_encoder.{name}.bias"] = (bias or out,)

    def units(name: str, width: int) -> None:
        for unit in (1, 2, 3):
            found[f"audio_encoder.{name}.res_unit{unit}.snake1.alpha"] = (1, width, 1)
            found[f"audio_encoder.{name}.res_unit{unit}.snake2.alpha"] = (1, width, 1)
            convolution(f"{name}.res_unit{unit}.conv1", width, width, 7)
            convolution(f"{name}.res_unit{unit}.conv2", width, width, 1)

    convolution("encoder.conv1", 64, 1, 7)
    for place, stride in enumerate((2, 4, 8, 8)):
        name, width = f"encoder.block.{place}", 64 << place
        units(name, width)
        found[f"audio_encoder.{name}.snake1.alpha"] = (1, width, 1)
        convolution(f"{name}.conv1", 2 * width, width, 2 * stride)
    found["audio_encoder.encoder.snake1.alpha"] = (1, 1024, 1)
    convolution("encoder.conv2", 1024, 1024, 3)
    for k in range(9):
        convolution(f"quantizer.quantizers.{k}.in_proj", 8, 1024, 1)
        convolution(f"quantizer.quantizers.{k}.out_proj", 1024, 8, 1)
        found[f"audio_encoder.quantizer.quantizers.{k}.codebook.weight"] = (1024, 8)
    convolution("decoder.conv1", 1536, 1024, 7)
    for place, stride in enumerate((8, 8, 4, 2)):
        name, width = f"decoder.block.{place}", 1536 >> place
        found[f"audio_encoder.{name}.snake1.alpha"] = (1, width, 1)
        convolution(f"{name}.conv_t1", width, width // 2, 2 * stride, bias=width // 2)
        units(name, width // 2)
    found["audio_encoder.decoder.snake1.alpha"] = (1, 96, 1)
    convolution("decoder.conv2", 1, 96, 7)
    return found
