"""Packed batches compute what padded ones and single clips do."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from parler_assets.tts import ParlerTTSForConditionalGeneration
from parler_assets.tts.model import varlen
from parler_assets.tts.model.attention import attend
from parler_assets.tts.model.varlen import Packing, Spans, label_mask
from tests.support.tiny_checkpoint import tiny_config

K, LABELS, PROMPTS, DESCRIPTIONS = 4, (19, 7, 31, 12), (5, 9, 2, 9), (6, 3, 8, 1)
SHAPES = {
    "rotary, grouped": {"num_key_value_heads": 2, "num_cross_attention_key_value_heads": 1},
    "table, separate heads": {"rope": False, "use_fused_lm_heads": False},
    "prompt in cross-attention": {"rope": False, "prompt_cross_attention": True, "text_width": 32},
}
ALONE = {"loss_reduction": "sum", "output_logits": False, "count_padding": False}


@pytest.fixture(scope="module", params=SHAPES)
def model(request):
    """Large weights, so that attention is far from uniform and what it sees matters."""
    torch.manual_seed(0)
    config = tiny_config(**SHAPES[request.param], initializer_factor=0.3)
    return ParlerTTSForConditionalGeneration(config).double().eval()


def padded(lengths: tuple[int, ...], left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    n = max(lengths)
    seen = torch.arange(n) < torch.tensor(lengths)[:, None]
    mask = (seen.flip(1) if left else seen).long()
    return torch.randint(3, 90, mask.shape, generator=torch.Generator().manual_seed(n)) * mask, mask


@pytest.fixture(scope="module")
def batch() -> dict[str, torch.Tensor]:
    """Four clips of very different lengths; no clip is the longest in everything."""
    pattern, generator = tiny_config().decoder.pattern, torch.Generator().manual_seed(1)
    labels = torch.full((len(LABELS), max(LABELS) + K, K), -100)
    for row, frames in enumerate(LABELS):
        codes = torch.randint(0, 32, (K, frames), generator=generator)
        labels[row, : frames + K] = pattern.labels(codes).t()
    descriptions, seen = padded(DESCRIPTIONS, left=False)
    prompts, said = padded(PROMPTS, left=True)
    return {
        "input_ids": descriptions,
        "attention_mask": seen,
        "prompt_input_ids": prompts,
        "prompt_attention_mask": said,
        "labels": labels,
    }


def learnt(model, batches, **options) -> dict[str, torch.Tensor]:
    """Summed losses of the codebooks, and gradients of every weight."""
    model.zero_grad()
    losses = sum(torch.stack(model(**batch, **options).per_codebook_losses) for batch in batches)
    losses.sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return {"losses": losses.detach()} | gradients


def assert_same(found, wanted, tolerance: float = 1e-9) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert_close(found[name], value, rtol=tolerance, atol=tolerance * float(value.abs().max()), msg=name)


@pytest.mark.parametrize("count_padding", [False, True])
def test_packed_and_padded_give_the_same_loss_and_gradients(model, batch, count_padding):
    options = ALONE | {"count_padding": count_padding}
    assert_same(learnt(model, [batch], packed=True, **options), learnt(model, [batch], **options))


def test_columns_that_are_not_learnt_are_still_read(model, batch):
    """Labels may be left out inside a clip, of all codebooks or of some: these columns keep their places."""
    labels = batch["labels"].clone()
    labels[0, 4:7], labels[2, :, 0], labels[3, 0] = -100, -100, -100
    assert label_mask(labels).sum(1).tolist() == [frames + K for frames in LABELS]
    given = batch | {"labels": labels}
    assert_same(learnt(model, [given], packed=True, **ALONE), learnt(model, [given], **ALONE))


def test_packed_gives_what_clips_give_alone(model, batch):
    """The batch without any padding to compare with: every clip by itself."""
    alone = []
    for row, (frames, prompt, description) in enumerate(zip(LABELS, PROMPTS, DESCRIPTIONS, strict=True)):
        alone.append(
            {
                "input_ids": batch["input_ids"][row : row + 1, :description],
                "prompt_input_ids": batch["prompt_input_ids"][row : row + 1, -prompt:],
                "labels": batch["labels"][row : row + 1, : frames + K],
            }
        )
    assert_same(learnt(model, [batch], packed=True, **ALONE), learnt(model, alone, **ALONE))


def test_a_clip_does_not_see_its_neighbours(model, batch):
    """Other codes, text and description of one clip change its states and nobody else's."""
    changed = {name: tensor.clone() for name, tensor in batch.items()}
    changed["labels"][1, 3] = (changed["labels"][1, 3] + 1) % 32
    for name in ("input_ids", "prompt_input_ids"):
        changed[name][1] = (changed[name][1] % 60 + 7) * changed[name.replace("input_ids", "attention_mask")][1]
    with torch.no_grad():
        pairs = list(zip(_states(model, batch), _states(model, changed), strict=True))
    for row, (before, after) in enumerate(pairs):
        assert torch.allclose(before, after, rtol=1e-12, atol=1e-12) == (row != 1)


def _states(model, batch) -> list[torch.Tensor]:
    """The decoder's last states of every clip of a packed batch."""
    texts = [batch[name] for name in ("input_ids", "attention_mask", "prompt_input_ids", "prompt_attention_mask")]
    given = model.prepare_inputs(*texts, count_padding=False)
    places = Packing.of(given, label_mask(batch["labels"]))
    inputs = model.config.decoder.pattern.inputs(batch["labels"])
    return model.hidden_states(given, inputs, places)[0].split(places.clips.lengths)


def test_checkpointing_packs_too(model, batch):
    model.train()
    model.text_encoder.eval()  # its dropout
    plain = learnt(model, [batch], packed=True, **ALONE)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    try:
        assert_same(learnt(model, [batch], packed=True, **ALONE), plain)
    finally:
        model.gradient_checkpointing_disable()
        model.eval()


def test_float32_and_half_agree_with_padding(model, batch):
    """Half precision looks at clips through the same calls; its rounding alone is larger."""
    single = model.float()
    try:
        assert_same(learnt(single, [batch], packed=True, **ALONE), learnt(single, [batch], **ALONE), 1e-4)
        with torch.autocast("cpu", torch.bfloat16):
            half = learnt(single, [batch], packed=True, **ALONE)["losses"]
            assert_close(half, learnt(single, [batch], **ALONE)["losses"], rtol=0.02, atol=0.0)
    finally:
        model.double()


def test_spans_pack_what_is_real():
    real = torch.tensor([[False, True, True], [True, False, False]])
    spans = Spans.of(real)
    assert spans.lengths == [2, 1]
    assert spans.starts.tolist() == [0, 2, 3]
    assert spans.starts.dtype == torch.int32
    assert spans.pack(torch.arange(6).view(2, 3)).tolist() == [[1, 2, 3]]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: torch has varlen_attn for GPUs only")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("causal", [False, True])
def test_the_kernel_of_a_gpu_computes_the_same(causal, dtype):
    clips, states = (Spans(torch.arange(sum(n), device="cuda"), list(n)) for n in (LABELS, DESCRIPTIONS))
    others, generator = clips if causal else states, torch.Generator("cuda").manual_seed(2)
    queries = torch.randn(1, 4, sum(clips.lengths), 64, generator=generator, device="cuda", dtype=dtype)
    keys, values = torch.randn(2, 1, 2, sum(others.lengths), 64, generator=generator, device="cuda", dtype=dtype)
    given = (queries, keys, values, clips, others, causal)
    assert_close(varlen.by_kernel(*given), varlen.one_by_one(*given), rtol=0.02, atol=0.02)
    assert varlen.packs(torch.device("cuda"), dtype, 64, drop=0.0)


@pytest.mark.parametrize("causal", [False, True])
def test_one_by_one_is_attention_under_a_mask(causal):
    """What the kernel is checked against, checked itself: all clips in one call, under a mask of who sees whom."""
    clips, states = (Spans(torch.arange(sum(n)), list(n)) for n in (LABELS, DESCRIPTIONS))
    others, generator = clips if causal else states, torch.Generator().manual_seed(2)
    queries = torch.randn(1, 4, sum(clips.lengths), 8, generator=generator)
    keys, values = torch.randn(2, 1, 2, sum(others.lengths), 8, generator=generator)
    blocks = [
        torch.ones(n, m).tril() if causal else torch.ones(n, m) for n, m in zip(LABELS, others.lengths, strict=True)
    ]
    masked = attend(queries, keys, values, torch.block_diag(*blocks).bool()[None, None])
    assert_close(varlen.one_by_one(queries, keys, values, clips, others, causal), masked, rtol=1e-5, atol=1e-5)


def test_where_batches_are_packed():
    assert varlen.packs(torch.device("cpu"), torch.float32, 16, drop=0.1)
    assert not varlen.packs(torch.device("cuda"), torch.float32, 16, drop=0.0), "its kernel takes half precision only"
    assert not varlen.packs(torch.device("cuda"), torch.bfloat16, 16, drop=0.1), "and drops nothing"


def _refusing(q, k, v, *_, **__):
    raise TypeError("varlen_attn() got an unexpected keyword argument 'enable_gqa'")


def _of_itself_alone(q, k, v, *_, **__):
    return v.repeat_interleave(q.shape[1] // v.shape[1], 1)[: len(q)]


@pytest.mark.parametrize("kernel", [None, _refusing, _of_itself_alone])
def test_a_kernel_that_is_missing_or_wrong_is_found_out(monkeypatch, caplog, kernel):
    if kernel is None:
        monkeypatch.delattr("torch.nn.attention.varlen.varlen_attn")
    else:
        monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    assert not varlen.kernel_works(torch.device("cpu"), torch.float32, 16)
    assert "batches are padded" in caplog.text


def test_packed_returns_no_logits(model, batch):
    with pytest.raises(ValueError, match="output_logits=False"):
        model(**batch, packed=True)
