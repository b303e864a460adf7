"""The whole model: description encoder, decoder over codes, codec. `generation/api.py` lets it speak."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import GenerationConfig, PreTrainedModel, T5EncoderModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import ModelOutput

from parler_assets.speech.codec.dac import build_dac
from parler_assets.tts.model import loading
from parler_assets.tts.model.config import ParlerTTSConfig
from parler_assets.tts.model.decoder import CodesDecoder
from parler_assets.tts.model.delay_pattern import IGNORED
from parler_assets.tts.model.inputs import DecoderInputs, pad_left
from parler_assets.tts.model.loss import codebook_loss
from parler_assets.tts.model.positions import SinusoidalPositions, sinusoidal_table
from parler_assets.tts.model.varlen import Packing, label_mask

# Arguments of the original's forward: a cache is generation's own here, outputs always are a ParlerTTSOutput, and the
# decoder's mask says nothing that the prompt's does not. `num_items_in_batch` is what
# transformers' Trainer hands over.
_WITHOUT_EFFECT = {"use_cache", "return_dict", "decoder_attention_mask", "num_items_in_batch"}


@dataclass
class ParlerTTSOutput(ModelOutput):
    """What `forward` returns.

    Attributes:
        loss: scalar; None without labels.
        per_codebook_losses: K scalars, unweighted.
        targets: how many labels each codebook's loss is over, (K,).
        logits: (B * K, P + L, V), row b * K + k; the last L positions belong to the labels.
        encoder_last_hidden_state: description states (B, S, d) as the decoder saw them.
    """

    loss: Tensor | None = None
    per_codebook_losses: list[Tensor] | None = None
    targets: Tensor | None = None
    logits: Tensor | None = None
    encoder_last_hidden_state: Tensor | None = None


class ParlerTTSModel(PreTrainedModel):
    """Codes of speech from a transcript ("prompt") and a description of how it is spoken.

    Load a published checkpoint with `from_pretrained`, or make a new model from a `ParlerTTSConfig`: weights are then
    drawn as the original draws them (normal, `initializer_factor`), the T5 and DAC parts as transformers does.
    """

    config_class = ParlerTTSConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["DecoderLayer", "T5Block"]  # noqa: RUF012

    def __init__(self, config: ParlerTTSConfig) -> None:
        super().__init__(config)
        decoder = config.decoder
        self.text_encoder = T5EncoderModel(config.text_encoder)
        self.audio_encoder = build_dac(config.audio_encoder)
        self.decoder = CodesDecoder(decoder)
        if config.text_encoder.d_model != decoder.hidden_size:
            self.enc_to_dec_proj = nn.Linear(config.text_encoder.d_model, decoder.hidden_size)
        self.embed_prompts = nn.Embedding(config.vocab_size, decoder.hidden_size)
        if config.prompt_cross_attention:
            self.embed_positions = SinusoidalPositions(decoder.max_position_embeddings, decoder.hidden_size)
        self.generation_config = default_generation(config)
        self.source: Path | None = None  # the folder it was loaded from
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        std = self.config.decoder.initializer_factor
        if isinstance(module, nn.Linear | nn.Embedding):
            init.normal_(module.weight, mean=0.0, std=std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, SinusoidalPositions):
            init.copy_(module.weights, sinusoidal_table(*module.weights.shape))

    # -------------------------------------------------------------------------------------------------- checkpoints

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, pretrained_model_name_or_path: str | Path, **options: Any
    ) -> Self:
        """Load a checkpoint: a folder, or a repository on the Hub.

        Args:
            pretrained_model_name_or_path: folder in any published layout, or a repository's name.
            options: `torch_dtype` or `dtype` (float32; "auto": the configuration's, else the file's), `revision`,
                `token`, `cache_dir`, `local_files_only`, `device_map` (one device, or "auto": a GPU if there is one).
                `attn_implementation` and `low_cpu_mem_usage` are accepted and have no effect: attention always is
                torch's scaled dot product.

        Raises:
            CheckpointError: weights are missing, are too many, or are pickled; the message names file and remedy.
        """
        return loading.load(cls, pretrained_model_name_or_path, options)

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> None:  # type: ignore[override]
        """Write weights, configuration, generation settings, feature extractor and tokenizers in the published layout.

        Args:
            options: `tokenizers`, a `Tokenizers` pair to write instead of those the model was loaded with. Others are
                those of transformers and have no effect: weights are always one safetensors file.

        Raises:
            ValueError: `push_to_hub` is asked for; `parler-assets release` publishes, with a model card.
        """
        if options.get("push_to_hub"):
            raise ValueError("save_pretrained writes a folder: publish it with `parler-assets release` or `hf upload`")
        loading.save(self, Path(save_directory), options.get("tokenizers"))

    # ------------------------------------------------------------------------------------------------------ forward

    def freeze_encoders(self, freeze_text_encoder: bool = True) -> None:
        """Exclude the codec, and by default the text encoder, from training."""
        for part in (self.audio_encoder, self.text_encoder) if freeze_text_encoder else (self.audio_encoder,):
            part.requires_grad_(False)

    def describe(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The text encoder's states (B, S, d_text) of descriptions (B, S): what can be computed once and kept."""
        return self.text_encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    def prepare_inputs(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        prompt_input_ids: Tensor | None = None,
        prompt_attention_mask: Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        description_states: Tensor | None = None,
        count_padding: bool = True,
    ) -> DecoderInputs:
        """What the decoder reads besides codes; arguments as in `forward`."""
        states = self._description_states(input_ids, attention_mask, encoder_outputs, description_states)
        prompt_ids, prompt_mask = pad_left(prompt_input_ids, prompt_attention_mask)
        if prompt_ids is None:
            return DecoderInputs(states, attention_mask, states.shape[1])
        prompt = self.embed_prompts(prompt_ids)
        padding = None if prompt_mask is None else (prompt_mask == 0).sum(1)
        if not self.config.prompt_cross_attention:
            return DecoderInputs(states, attention_mask, states.shape[1], prompt, padding, count_padding)
        self._fits(prompt.shape[1])
        positions = torch.arange(prompt.shape[1], device=prompt.device)
        if padding is not None and not count_padding:
            positions = (positions - padding[:, None]).clamp(min=0)
        prompt = prompt + self.embed_positions(positions)
        mask = None
        if attention_mask is not None or prompt_mask is not None:
            pairs = ((states, attention_mask), (prompt, prompt_mask))
            masks = [part.new_ones(part.shape[:2]) if mask is None else mask for part, mask in pairs]
            mask = torch.cat([mask.bool() for mask in masks], dim=1)
        return DecoderInputs(torch.cat([states, prompt], dim=1), mask, states.shape[1])

    def _description_states(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        encoder_outputs: BaseModelOutput | tuple | None,
        states: Tensor | None,
    ) -> Tensor:
        """States (B, S, d) as the decoder reads them: projected, and zeros where nothing is described."""
        if encoder_outputs is not None:
            return encoder_outputs[0]
        if states is None:
            if input_ids is None:
                raise ValueError("forward needs input_ids, description_states or encoder_outputs")
            states = self.describe(input_ids, attention_mask)
        if hasattr(self, "enc_to_dec_proj"):
            states = self.enc_to_dec_proj(states)
        return states if attention_mask is None else states * attention_mask[..., None].to(states.dtype)

    def hidden_states(self, inputs: DecoderInputs, ids: Tensor, packing: Packing | None = None) -> Tensor:
        """The decoder's last states (B, P + L, d) over the prompt and columns of ids (B, L, K); (1, N, d) if packed."""
        decoder = self.decoder.model.decoder
        x = decoder.embed(ids)
        if inputs.prompt is not None:
            x = torch.cat([inputs.prompt.to(x.dtype), x], dim=1)
        if not self.config.decoder.rope_embeddings:
            self._fits(x.shape[1])
        if packing:
            return decoder.packed(packing.clips.pack(x), packing.states.pack(inputs.states), packing)
        return decoder(x, inputs.states, inputs.state_mask, inputs.padding, inputs.count_padding)

    def _fits(self, columns: int) -> None:
        rows = self.config.decoder.max_position_embeddings
        if columns > rows:
            raise ValueError(
                f"{columns} positions, but this checkpoint's table has {rows}: shorten the text or the clip"
            )

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        prompt_input_ids: Tensor | None = None,
        prompt_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        description_states: Tensor | None = None,
        loss_reduction: str = "mean",
        output_logits: bool = True,
        count_padding: bool = True,
        packed: bool = False,
        **given: Any,
    ) -> ParlerTTSOutput:
        """Predict every column from the columns before it.

        Args:
            input_ids: description (B, S); `attention_mask` (B, S) is 1 where it is real.
            prompt_input_ids: transcript (B, P), padded on the left; `prompt_attention_mask` (B, P).
            labels: (B, L, K) in the delay pattern, IGNORED (-100) where padded.
            decoder_input_ids: (B * K, L); made from the labels when None.
            encoder_outputs: description states (B, S, d) as a former output has them, instead of `input_ids`.
            description_states: states (B, S, d_text) from `describe`, instead of `input_ids`.
            loss_reduction: "mean" or "sum" over a codebook's targets.
            output_logits: False computes logits at the targets only and returns none: for training.
            count_padding: positions of a padded prompt start with its padding, as the original counts them. False
                starts at its first token: a clip then gives what it gives alone, whatever it is padded with.
            packed: compute no padding (`varlen.py`). Needs labels, and no logits can be returned.

        The loss counts T codes and one end per codebook, as the original does. Its training script then divided by
        the padded size; divide a "sum" by `targets` instead.
        """
        unknown = given.keys() - _WITHOUT_EFFECT
        if unknown:
            raise TypeError(f"forward() has no argument {sorted(unknown)[0]!r}")
        inputs = self.prepare_inputs(
            input_ids, attention_mask, prompt_input_ids, prompt_attention_mask, encoder_outputs, description_states,
            count_padding,
        )  # fmt: skip
        ids = self._columns_before(labels, decoder_input_ids)
        output = ParlerTTSOutput(encoder_last_hidden_state=inputs.states)
        if packed:
            if labels is None or output_logits:
                raise ValueError("packed=True needs labels and output_logits=False")
            self._learn_packed(output, inputs, ids, labels, loss_reduction)
            return output
        hidden = self.hidden_states(inputs, ids)
        if labels is not None:
            self._learn(output, hidden, labels, loss_reduction, output_logits)
        elif output_logits:
            output.logits = _rows(self.decoder.logits(hidden))
        return output

    def _columns_before(self, labels: Tensor | None, decoder_input_ids: Tensor | None) -> Tensor:
        """The columns (B, L, K) that the decoder reads: as given (B * K, L), or the labels' own, one later."""
        if decoder_input_ids is not None:
            K = self.config.decoder.num_codebooks
            return decoder_input_ids.view(-1, K, decoder_input_ids.shape[-1]).transpose(1, 2)
        if labels is None:
            raise ValueError("forward needs labels or decoder_input_ids")
        return self.config.decoder.pattern.inputs(labels)

    def _learn(self, output: ParlerTTSOutput, hidden: Tensor, labels: Tensor, reduction: str, keep: bool) -> None:
        """Fill in the loss, from logits everywhere or only where there is something to learn."""
        L, targets = labels.shape[1], self.config.decoder.pattern.counted(labels)
        if keep:
            logits = self.decoder.logits(hidden)
            output.logits = _rows(logits)
            logits = logits[:, -L:]
        else:
            logits, targets = self._learnt(hidden[:, -L:], targets)
        self._fill(output, logits, targets, reduction)

    def _learn_packed(
        self, output: ParlerTTSOutput, inputs: DecoderInputs, ids: Tensor, labels: Tensor, reduction: str
    ) -> None:
        packing = Packing.of(inputs, label_mask(labels))
        targets = pad(self.config.decoder.pattern.counted(labels), (0, 0, inputs.prompt_length, 0), value=IGNORED)
        hidden = self.hidden_states(inputs, ids, packing)
        self._fill(output, *self._learnt(hidden, packing.clips.pack(targets)), reduction)

    def _learnt(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, K, V) and targets (n, K) of only the n places where a codebook has something to learn."""
        learnt = (targets != IGNORED).any(-1)
        return self.decoder.logits(hidden[learnt]), targets[learnt]

    def _fill(self, output: ParlerTTSOutput, logits: Tensor, targets: Tensor, reduction: str) -> None:
        loss = codebook_loss(logits, targets, reduction, self.config.decoder.codebook_weights)
        output.loss, output.targets = loss.total, loss.counts
        output.per_codebook_losses = list(loss.per_codebook)


def _rows(logits: Tensor) -> Tensor:
    """(B, n, K, V) to (B * K, n, V), the published order."""
    return logits.transpose(1, 2).flatten(0, 1)


def default_generation(config: ParlerTTSConfig) -> GenerationConfig:
    """Sampling until the end, at most 30 seconds: what published checkpoints say, for a model made from scratch."""
    codec, pattern = config.audio_encoder, config.decoder.pattern
    frames = math.ceil(30 * codec.sampling_rate / math.prod(codec.downsampling_ratios))
    return GenerationConfig(
        do_sample=True,
        max_length=frames,
        min_new_tokens=pattern.codebooks + 1,
        bos_token_id=pattern.start,
        decoder_start_token_id=pattern.start,
        eos_token_id=pattern.end,
        pad_token_id=pattern.end,
    )
