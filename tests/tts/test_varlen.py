"""Packed batches compute what padded ones do, oneDNN's products what torch's do, and dropout drops as it should."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.attention import varlen
from torch.nn.functional import linear
from torch.testing import assert_close

from parler_assets.tts import ParlerTTSForConditionalGeneration
from parler_assets.tts.model import product
from parler_assets.tts.model import varlen as packing
from parler_assets.tts.model.dropout import dropout
from parler_assets.tts.model.varlen import Packing, Spans, columns_of
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
    assert columns_of(labels).sum(1).tolist() == [frames + K for frames in LABELS]
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
    reading = model.reading(*texts, None, None, count_padding=False)
    places = Packing.of(reading, columns_of(batch["labels"]))
    inputs = model.config.decoder.pattern.inputs(batch["labels"])
    return model.hidden(reading, inputs, places)[0].split(places.clips.lengths)


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


@pytest.mark.parametrize("causal", [False, True])
def test_the_kernel_of_a_gpu_is_asked_for_the_same(monkeypatch, causal):
    """Its place is taken by its documented meaning: rows (N, H, size), starts, and a window of keys around a query."""

    def kernel(q, k, v, starts, other_starts, longest, other_longest, *, window_size, enable_gqa):
        counts = [(starts.diff(), longest), (other_starts.diff(), other_longest)]
        assert all(int(lengths.max()) == most for lengths, most in counts)
        parts = zip(
            *(rows.split(n.tolist()) for rows, (n, _) in zip((q, k, v), [counts[0], *counts[1:] * 2], strict=True)),
            strict=True,
        )
        found = []
        for query, key, value in parts:
            group = query.shape[1] // key.shape[1] if enable_gqa else 1
            scores = torch.einsum("nhc,mhc->hnm", query, key.repeat_interleave(group, 1)) * query.shape[-1] ** -0.5
            if window_size == (-1, 0):
                scores = scores.masked_fill(torch.ones_like(scores[0]).triu(1).bool(), -torch.inf)
            found.append(torch.einsum("hnm,mhc->nhc", scores.softmax(-1), value.repeat_interleave(group, 1)))
        return torch.cat(found)

    monkeypatch.setattr(varlen, "varlen_attn", kernel)
    clips, states = (Spans(torch.arange(sum(n)), list(n)) for n in (LABELS, DESCRIPTIONS))
    others, generator = clips if causal else states, torch.Generator().manual_seed(2)
    queries = torch.randn(1, 4, sum(clips.lengths), 8, generator=generator)
    keys, values = torch.randn(2, 1, 2, sum(others.lengths), 8, generator=generator)
    given = (queries, keys, values, clips, others, causal)
    assert_close(packing.by_kernel(*given), packing.one_by_one(*given), rtol=1e-5, atol=1e-5)
    assert packing._kernel_is_right(torch.device("cpu"), torch.float32, 16)


def test_batches_are_padded_where_the_kernel_is_missing_or_wrong(monkeypatch):
    here = (torch.device("cpu"), torch.float32, 16)
    assert packing.packs(*here, drop=0.1)
    assert not packing.packs(torch.device("cuda"), torch.float32, 16, drop=0.0)  # it takes half precision only
    monkeypatch.setattr(varlen, "varlen_attn", lambda q, *_, **__: q)
    assert not packing._kernel_is_right(*here)
    monkeypatch.delattr(varlen, "varlen_attn")
    monkeypatch.setattr(packing, "by_kernel", lambda *_: (_ for _ in ()).throw(RuntimeError("no kernel image")))
    assert not packing._kernel_is_right(*here)


def test_packed_returns_no_logits(model, batch):
    with pytest.raises(ValueError, match="output_logits=False"):
        model(**batch, packed=True)


# ------------------------------------------------------------------------------------------------------------ products


@pytest.mark.parametrize("shape", [(3, 5, 8, 24), (2, 7, 24, 8), (1, 1, 16, 16)])
@pytest.mark.parametrize("frozen", [None, "x", "weight"])
def test_products_and_their_gradients_are_torch_s(shape, frozen):
    *rows, inputs, outputs = shape
    torch.manual_seed(0)
    x, weight = torch.randn(*rows, inputs), torch.randn(outputs, inputs)
    gradient, found = torch.randn(*rows, outputs), {}
    for how in (product.multiply, linear):
        given = {"x": x.clone(), "weight": weight.clone()}
        for name, tensor in given.items():
            tensor.requires_grad_(name != frozen)
        out = how(given["x"], given["weight"])
        out.backward(gradient)
        found[how] = [out.detach(), *(tensor.grad for name, tensor in given.items() if name != frozen)]
    for a, b in zip(found[product.multiply], found[linear], strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_products_take_tensors_whose_rows_lie_apart():
    torch.manual_seed(0)
    x, weight, gradient = torch.randn(6, 3, 8)[:, 1], torch.randn(24, 8), torch.randn(6, 3, 24)[:, 2]
    found = {}
    for how in (product.multiply, linear):
        given = weight.clone().requires_grad_()
        how(x, given).backward(gradient)
        found[how] = given.grad
    assert_close(found[product.multiply], found[linear], rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_products_are_torch_s_where_onednn_is_not_wanted():
    x, weight = torch.randn(4, 8), torch.randn(6, 8)
    with torch.backends.mkldnn.flags(enabled=False):
        assert torch.equal(product.multiply(x, weight), linear(x, weight))
    assert torch.equal(product.multiply(x.double(), weight.double()), linear(x.double(), weight.double()))
    with torch.autocast("cpu", torch.bfloat16):
        assert product.multiply(x, weight).dtype == torch.bfloat16


def test_a_layer_that_is_more_than_its_weight_is_asked_itself():
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    layer, x = Doubled(8, 6, bias=False), torch.randn(4, 8)
    assert torch.equal(product.through(layer, x), layer(x))
    biased = nn.Linear(8, 6)
    assert torch.equal(product.through(biased, x), biased(x))


# ------------------------------------------------------------------------------------------------------------- dropout


def test_dropout_drops_by_its_chance_and_scales_the_rest():
    torch.manual_seed(0)
    x = torch.ones(401, 1003, requires_grad=True)
    dropped = dropout(x, 0.1)
    kept = dropped != 0
    assert torch.equal(dropped.detach().unique(), torch.tensor([0.0, 65536 / (65536 - 6554)]))
    assert float(kept.float().mean()) == pytest.approx(0.9, abs=5 * (0.09 / x.numel()) ** 0.5)
    # neighbours share a draw, and are independent all the same
    pairs = (kept.flatten()[: 4 * (x.numel() // 4)].view(-1, 4)).float()
    assert float(torch.corrcoef(pairs.T).triu(1).abs().max()) < 5 / len(pairs) ** 0.5
    dropped.sum().backward()
    assert torch.equal(x.grad, dropped.detach())


def test_dropout_follows_the_seed_and_only_while_training():
    x, found = torch.randn(7, 9), []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(dropout(x, 0.5))
    assert torch.equal(*found)
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0) is x
    assert not dropout(x, 1.0).any()
