"""TokLIP's structure: counts and names of the published files, the causal mask, the tokenizer, the towers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from toklip_tiny import NAMES, VQ, filled, registered, whole
from torch import Tensor, nn
from torch.nn import functional as F

from fuselip.model.checkpoints import blank
from fuselip.model.llamagen_vq import Codebook, Downsample, VQEncoder
from fuselip.model.llamagen_vq_layout import VQModel
from fuselip.model.toklip import TokLIP, counted
from fuselip.model.toklip_config import TokLIPConfig
from fuselip.model.toklip_vision import Trunk
from fuselip.model.transformer import lower_precision
from fuselip.model.vq_sizes import VQS


@pytest.fixture(autouse=True)
def _tiny() -> Iterator[None]:
    with registered():
        yield


@pytest.mark.parametrize(("name", "total", "visual"), [("s", 1212.1, 504.3), ("l", 1212.5, 504.7)])
def test_counts_are_the_listed_ones(name: str, total: float, visual: float) -> None:
    found = counted(TokLIPConfig(name))
    millions = {part: round(count / 1e6, 1) for part, count in found["parameters"].items()}
    assert millions == {"total": total, "visual": visual, "text": 707.8, "vq": 71.9}
    assert found["parameters"]["vq"] == pytest.approx(71.95e6, abs=5e3)
    assert found["keys"] == 1020


def test_names_and_shapes_of_the_published_layout() -> None:
    with torch.device("meta"):
        model = TokLIP(TokLIPConfig("s"), whole=True)
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    trunk, vq, block = "visual.trunk.", "visual.trunk.vq.", "text.transformer.resblocks.26."
    wanted: dict[str, tuple[int, ...]] = {
        "logit_scale": (),
        f"{trunk}pos_embed": (1, 256, 1152),
        f"{trunk}blocks.26.attn.qkv.weight": (3456, 1152),
        f"{trunk}blocks.0.norm1.bias": (1152,),
        f"{trunk}blocks.0.mlp.fc1.weight": (4304, 1152),
        f"{trunk}norm.weight": (1152,),
        f"{trunk}attn_pool.latent": (1, 1, 1152),
        f"{trunk}attn_pool.kv.bias": (2304,),
        f"{trunk}attn_pool.mlp.fc2.weight": (1152, 4304),
        f"{trunk}vq_table.weight": (4608, 8),
        f"{trunk}vq_mapping.weight": (1152, 4608),
        f"{vq}encoder.conv_blocks.4.attn.1.proj_out.weight": (512, 512, 1, 1),
        f"{vq}encoder.conv_blocks.2.res.0.nin_shortcut.weight": (256, 128, 1, 1),
        f"{vq}encoder.conv_blocks.3.downsample.conv.weight": (256, 256, 3, 3),
        f"{vq}decoder.conv_blocks.0.upsample.conv.weight": (512, 512, 3, 3),
        f"{vq}quantize.embedding.weight": (16384, 8),
        f"{vq}quantize.codebook_used": (65536,),
        f"{vq}quant_conv.weight": (8, 256, 1, 1),
        "text.positional_embedding": (64, 1152),
        "text.token_embedding.weight": (256000, 1152),
        f"{block}attn.in_proj_bias": (3456,),
        f"{block}mlp.c_fc.weight": (4304, 1152),
        "text.text_projection.bias": (1152,),
    }
    assert {key: shapes.get(key) for key in wanted} == wanted
    encoder = sum(parameter.numel() for parameter in model.visual.trunk.vq.encoder.parameters())
    assert round(encoder / 1e6, 1) == 29.3
    decoder = sum(parameter.numel() for parameter in model.visual.trunk.vq.get_submodule("decoder").parameters())
    assert round(decoder / 1e6, 2) == 42.45


def test_only_the_tokenizer_is_frozen() -> None:
    model = blank(TokLIPConfig("s"))
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if name.startswith("visual.trunk.vq.")}
    towers = sum(parameter.numel() for parameter in model.visual.parameters() if parameter.requires_grad)
    assert round((towers + 1) / 1e6, 1) == 432.4  # with the logits' scale: what the paper's code trains


@pytest.fixture
def trunk() -> Trunk:
    return whole("toklip-tiny").visual.trunk


@pytest.mark.parametrize("path", ["fused", "checkpointed", "bf16"])
def test_later_tokens_change_no_earlier_output(trunk: Trunk, path: str) -> None:
    if path == "bf16":
        lower_precision(trunk, torch.bfloat16)
    trunk.checkpointing = path == "checkpointed"
    vectors = torch.randn(2, 16, 4, generator=torch.Generator().manual_seed(1))
    for position in (1, 9, 15):
        other = vectors.clone()
        other[:, position] += 5
        before, after = (trunk.states(each.requires_grad_(path == "checkpointed")) for each in (vectors, other))
        vectors = vectors.detach()
        assert torch.equal(before[:, :position], after[:, :position])
        assert not torch.isclose(before[:, position:], after[:, position:]).all(dim=-1).any()


def test_gradients_are_causal_and_the_same_when_computed_again(trunk: Trunk) -> None:
    vectors = torch.randn(1, 16, 4, generator=torch.Generator().manual_seed(2))
    found = []
    for checkpointing in (False, True):
        trunk.checkpointing = checkpointing
        trunk.zero_grad()
        given = vectors.clone().requires_grad_()
        states = trunk.states(given)
        states[:, 6].square().sum().backward()
        assert given.grad is not None
        assert given.grad[:, 7:].abs().max() == 0
        assert given.grad[:, :7].abs().amin(dim=(0, 2)).min() > 0
        found.append((states.detach(), given.grad, trunk.blocks[0].attn.qkv.weight.grad.clone()))
    for plain, again in zip(*found, strict=True):
        torch.testing.assert_close(plain, again)


def test_states_and_pool_by_hand(trunk: Trunk) -> None:
    """Written out with an explicit mask, torch's own modules and no kernel."""
    vectors = torch.randn(2, 16, 4, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        x = F.linear(vectors, trunk.vq_table.weight, trunk.vq_table.bias)
        x = F.linear(F.gelu(x), trunk.vq_mapping.weight, trunk.vq_mapping.bias) + trunk.pos_embed
        mask = torch.full((16, 16), float("-inf")).triu(1)
        for block in trunk.blocks:
            q, k, v = F.linear(_norm(x, block.norm1), block.attn.qkv.weight, block.attn.qkv.bias).chunk(3, dim=-1)
            x = x + F.linear(_attention(q, k, v, mask), block.attn.proj.weight, block.attn.proj.bias)
            x = x + _mlp(_norm(x, block.norm2), block.mlp)
        x = _norm(x, trunk.norm)
        torch.testing.assert_close(trunk.states(vectors), x, atol=1e-4, rtol=1e-4)
        pool = trunk.attn_pool
        q = F.linear(pool.latent, pool.q.weight, pool.q.bias).expand(2, 1, 32)
        k, v = F.linear(x, pool.kv.weight, pool.kv.bias).chunk(2, dim=-1)
        y = F.linear(_attention(q, k, v, torch.zeros(1, 16)), pool.proj.weight, pool.proj.bias)
        y = (y + _mlp(_norm(y, pool.norm), pool.mlp))[:, 0]
        torch.testing.assert_close(pool(trunk.states(vectors)), y, atol=1e-3, rtol=1e-4)


def test_text_is_read_at_its_last_place_padding_or_not() -> None:
    model = whole("toklip-tiny")
    ids = torch.tensor([[9, 5, 0, 0, 0, 0, 0, 0], [9, 5, 7, 0, 0, 0, 0, 0], [7, 5, 0, 0, 0, 0, 0, 0]])
    with torch.no_grad():
        vectors = model.text_embedding(ids)
        assert torch.cdist(vectors, vectors).fill_diagonal_(1).min() > 1e-3
        weight = model.text.positional_embedding[-1].clone()
        model.text.positional_embedding[-1, 0] += 1  # the last position, where a short text has padding
        assert not torch.allclose(model.text_embedding(ids), vectors)
        model.text.positional_embedding[-1] = weight


@pytest.mark.parametrize("name", NAMES)
def test_codes_are_the_nearest(name: str) -> None:
    vq = filled(VQEncoder(NAMES[name]), 3)
    assert isinstance(vq, VQEncoder)
    pixels = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        z, (ids, vectors) = vq.latents(pixels), vq.encode(pixels)
    table = vq.quantize.embedding.weight.detach()
    if NAMES[name].nearest == "cosine":
        z, table = F.normalize(z, dim=-1), F.normalize(table, dim=-1)
        wanted = torch.cdist(z, table.expand(3, -1, -1)).argmin(-1)
    else:
        wanted = (z @ table.T).argmax(-1)
    assert ids.shape == (3, 16)
    assert torch.equal(ids, wanted)
    assert len(ids.unique()) > 3
    torch.testing.assert_close(vectors, table[ids])


def test_a_large_codebook_is_looked_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    book = filled(Codebook(NAMES["toklip-tiny-ibq"]))
    z = torch.randn(2, 16, 4)
    at_once = book(z)
    monkeypatch.setattr("fuselip.model.llamagen_vq.MAX_SCORES", 64 * 5)
    assert torch.equal(book(z), at_once)


def test_downsampling_pads_right_and_bottom() -> None:
    down = filled(Downsample(4))
    x = torch.randn(1, 4, 6, 6)
    wanted = F.conv2d(F.pad(x, (0, 1, 0, 1)), down.conv.weight, down.conv.bias, stride=2)
    torch.testing.assert_close(down(x), wanted)
    assert not torch.allclose(down(x), F.conv2d(x, down.conv.weight, down.conv.bias, stride=2, padding=1))


def test_codes_are_drawn_again() -> None:
    vq = filled(VQModel(VQ), 5)
    assert isinstance(vq, VQModel)
    with torch.no_grad():
        pixels = vq.reconstruct(torch.randint(64, (2, 16)))
    assert pixels.shape == (2, 3, 8, 8)
    assert 0 <= pixels.min() < pixels.max() <= 1


def test_other_sizes_take_the_same_weights() -> None:
    assert VQS["vq16"].at(384).num_latents == 576
    assert VQS["ibq"].num_latents == 1024
    assert TokLIPConfig("xl").code_dim == 256
    with torch.device("meta"):
        small, large = (VQEncoder(VQS["vq16"].at(side)).state_dict() for side in (256, 384))
    assert {key: value.shape for key, value in small.items()} == {key: value.shape for key, value in large.items()}


def _norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    spread = x.var(-1, correction=0, keepdim=True)
    return (x - x.mean(-1, keepdim=True)) / (spread + 1e-6).sqrt() * norm.weight + norm.bias


def _attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    heads = [part.unflatten(-1, (2, 16)).transpose(1, 2) for part in (q, k, v)]
    weights = (heads[0] @ heads[1].mT / 4 + mask).softmax(-1)
    return (weights @ heads[2]).transpose(1, 2).flatten(2)


def _mlp(x: Tensor, mlp: nn.Module) -> Tensor:
    first, second = mlp.get_submodule("fc1"), mlp.get_submodule("fc2")
    h = F.gelu(F.linear(x, first.weight, first.bias), approximate="tanh")
    return F.linear(h, second.weight, second.bias)
