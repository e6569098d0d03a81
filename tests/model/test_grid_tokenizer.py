"""Our own image tokenizer: shapes, patches there and back, and what the shipped one keeps of pictures it never saw."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from datagen.sources.photos import Photos
from datagen.sources.scenes import Scenes
from fuselip.core.errors import UsageError, UserError
from fuselip.core.images import rgb_pixels
from fuselip.model.grid_tokenizer import GridTokenizer, from_patches
from fuselip.model.image_tokenizers import fill_by_seed, load_tokenizer, save_tokenizer
from fuselip.model.sizes import GRIDS
from fuselip.model.transformer import patches


@pytest.mark.parametrize("name", list(GRIDS))
def test_shapes_and_ranges(name: str) -> None:
    variant = GRIDS[name]
    model = GridTokenizer(variant).eval()
    fill_by_seed(model, 0)
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    ids = model.encoder.encode_ids(pixels)
    assert ids.shape == (2, variant.num_latents)
    assert name == f"grid{variant.num_latents}"
    assert ids.dtype == torch.int64
    assert 0 <= int(ids.min()) <= int(ids.max()) < variant.num_codes == 2000
    made = model.reconstruct(ids)
    assert made.shape == pixels.shape
    with torch.no_grad():  # the path of training, and that of ids, make the same picture
        trained = model.decoder(model.encoder.quantize(model.encoder.latents(pixels)))
        torch.testing.assert_close(trained.clamp(0, 1), made, atol=1e-5, rtol=0)
    assert torch.equal(from_patches(patches(pixels, *variant.patch), variant), pixels)


def test_patches_are_row_by_row() -> None:
    pixels = torch.arange(3 * 64 * 64.0).view(1, 3, 64, 64)
    cut = patches(pixels, 8, 4)
    assert torch.equal(cut[0, 17].view(3, 8, 4), pixels[0, :, 8:16, 4:8])


def test_a_folder_comes_back(tmp_path: Path) -> None:
    model = GridTokenizer(GRIDS["grid16"])
    fill_by_seed(model, 1)
    save_tokenizer(model, tmp_path, {"note": "x"})
    back = load_tokenizer(tmp_path)
    assert back.variant == model.variant
    assert all(torch.equal(value, back.state_dict()[key]) for key, value in model.state_dict().items())


def test_what_is_no_tokenizer_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a tokenizer's folder nor in the package"):
        load_tokenizer("grid63")
    (tmp_path / "config.json").write_text('{"image_tokenizer": "yucornetto/tokenizer_titok_s128_imagenet"}')
    with pytest.raises(UserError, match="not one of those trained here"):
        load_tokenizer(tmp_path)
    model = GridTokenizer(GRIDS["grid16"])
    fill_by_seed(model, 0)
    save_tokenizer(model, tmp_path, {})
    (tmp_path / "config.json").write_text('{"image_tokenizer": "fuselip-grid64"}')
    with pytest.raises(UserError, match="does not fit"):
        load_tokenizer(tmp_path)


def floats(rows: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2) / 255


def psnr(made: torch.Tensor, wanted: torch.Tensor) -> float:
    return float(-10 * (made - wanted).square().mean((1, 2, 3)).log10().mean())


def test_the_shipped_one_keeps_pictures() -> None:
    model = load_tokenizer("grid64")
    photos = floats([rgb_pixels(item.image, 64) for item in Photos(quick=True).items()])
    scenes = floats([rgb_pixels(Scenes("test").item(index).image, 64) for index in range(20)])
    assert psnr(model.reconstruct(model.encoder.encode_ids(photos)), photos) > 19.5
    assert psnr(model.reconstruct(model.encoder.encode_ids(scenes)), scenes) > 21.5


def test_the_shipped_one_tells_colours_and_turns_apart() -> None:
    """Brightness in steps of a tenth is seen in the reconstruction's mean; turned pictures give turned ones."""
    model = load_tokenizer("grid64")
    base = floats([rgb_pixels(item.image, 64) for item in Photos(quick=True).items()]) * 0.6
    steps = [model.reconstruct(model.encoder.encode_ids(base * (1 + 0.1 * k))).mean((1, 2, 3)) for k in range(6)]
    assert all((after > before).all() for before, after in pairwise(steps))
    turned = base.rot90(1, (2, 3))
    kept = model.reconstruct(model.encoder.encode_ids(turned))
    assert (kept - turned).square().mean() < 0.5 * (kept - base).square().mean()


def test_the_same_alone_and_in_a_batch() -> None:
    model = load_tokenizer("grid64")
    pixels = floats([rgb_pixels(Scenes("test").item(index).image, 64) for index in range(9)])
    with torch.inference_mode():
        together = model.encoder.encode_ids(pixels)
        alone = torch.cat([model.encoder.encode_ids(pixels[i : i + 1]) for i in range(9)])
    assert (together != alone).float().mean() < 0.002
    with_gradients = model.encoder.encode_ids(pixels)
    assert (together != with_gradients).float().mean() < 0.002
