"""How fast training pairs are made, against the codec's floor and against a straightforward loop.

    python tests/speed/bench_datagen.py [--photos 24] [--repeats 3]

Photos of 500x375 (JPEG, quality 95) are cut from the bundled ones. Everything alternates within one run. Per family:
ours (one core, through the recipe and the encoder, in memory), two floors (one decode of the photo and the encodes of
the group's distinct images; and with the resizes that the family needs), and a straightforward loop (per pair: open the
file, squash it to 256x256, make the edit, encode both images). Then the engine with 1 and 2 workers, and its memory.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datagen.codecs import Codec
from datagen.generate import build
from datagen.items import Placed
from datagen.making import make_item
from datagen.plan import Config
from datagen.recipes.transforms import Transforms
from datagen.sources.folder import Folder
from datagen.sources.photos import Photos
from datagen.sources.types import SourceItem
from datagen.transforms.families import FAMILIES
from fuselip.core import images
from fuselip.core.operations import apply
from fuselip.core.shards import distinct_images
from fuselip.core.types import Group

CODEC = Codec("jpeg", 95)
CC12M, ONE_MACHINE_CORES = 11_000_000, 32


def photos(folder: Path, count: int) -> list[SourceItem]:
    """`count` photos of 500x375: bundled ones, each mirrored, shifted and dimmed a little, so that no two are alike."""
    whole = [item.image.load() for item in Photos().items() if isinstance(item, SourceItem)]
    folder.mkdir()
    for number in range(count):
        image = whole[number % len(whole)]
        shift = number // len(whole)
        box = (shift, shift, image.width - shift, image.height - shift)
        image.crop(box).resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"{number:05d}.jpg", quality=95)
    return [item for item in Folder(folder).items() if isinstance(item, SourceItem)]


def ours(items: Sequence[SourceItem], families: str) -> int:
    """Pairs made: groups drawn, images made and encoded, records written; not measured for being distinct."""
    recipe = Transforms(families=families, measure="false", pools="paper", phrasing="paper", resized_crop=False)
    config = Config.of("transforms", "bench", recipe.params, codec=CODEC)
    made = [make_item(recipe, config, Placed(number, item)) for number, item in enumerate(items)]
    assert all(not each.rejects for each in made)
    return sum(len(record["pairs"]) for each in made for _, record, _ in each.samples)


def groups(items: Sequence[SourceItem], families: str) -> list[tuple[SourceItem, list[Group]]]:
    recipe = Transforms(families=families, measure="false", pools="paper", phrasing="paper", resized_crop=False)
    rng = np.random.default_rng(0)
    return [(item, [made for made in recipe.generate(item, rng) if isinstance(made, Group)]) for item in items]


def floor(drawn: Sequence[tuple[SourceItem, list[Group]]], resizes: bool = False) -> Callable[[], int]:
    """One decode a photo, and as many encodes as there are distinct images; the images are made beforehand.

    `resizes`: also the squash of the photo, and the enlarging of each crop, by the same library.
    """
    ready = []
    for item, made in drawn:
        refs = list(dict.fromkeys(ref for group in made for ref in distinct_images(group)))
        data = Path(item.image.locator.path).read_bytes()  # type: ignore[union-attr]
        pictures = [(ref.load(), ref.operations[-1].name == "tgit.crop") for ref in refs]
        ready.append((data, pictures, sum(len(group.pairs) for group in made)))

    def work() -> int:
        for data, pictures, _ in ready:
            photo = Image.open(io.BytesIO(data))
            photo.load()
            if resizes:
                photo.resize((256, 256), Image.Resampling.BICUBIC)
            for picture, is_crop in pictures:
                if resizes and is_crop:
                    picture.crop((0, 0, 128, 128)).resize((256, 256), Image.Resampling.BICUBIC)
                CODEC.encode(picture)
        return sum(pairs for _, _, pairs in ready)

    return work


def straightforward(drawn: Sequence[tuple[SourceItem, list[Group]]]) -> int:
    """As a script does it: for every pair the file is opened, squashed, edited, and both images are encoded."""
    count = 0
    for item, made in drawn:
        for pair in (pair for group in made for pair in group.pairs):
            for side in (pair.left, pair.right):
                assert side.image is not None
                image: Image.Image | None = Image.open(item.image.locator.path)  # type: ignore[union-attr]
                for operation in side.image.operations:
                    image = apply(operation, image)
                assert image is not None
                CODEC.encode(image)
            count += 1
    return count


def rate(work: Callable[[], int]) -> float:
    """Pairs per second of processor time: what one core does, whatever else runs on the machine."""
    images._decoded.clear()
    began = time.process_time()
    pairs = work()
    return pairs / (time.process_time() - began)


def engine(items: Sequence[SourceItem], folder: Path, workers: int) -> float:
    """Pairs per second of a whole build, start-up included."""
    with tempfile.TemporaryDirectory() as out:
        config = Config.of("transforms", "folder:bench", {}, shard_items=max(1, len(items) // 12), codec=CODEC)
        began = time.perf_counter()
        summary = build(config, Folder(folder), Path(out) / "set", workers=workers)
        return float(summary.counts["pairs"] / (time.perf_counter() - began))


MEMORY = """
import sys, tempfile
from pathlib import Path
from datagen.generate import build
from datagen.plan import Config
from datagen.sources.textures import Textures
source = Textures(int(sys.argv[1]), size=64)
with tempfile.TemporaryDirectory() as out:
    params = {"preset": "paper-cc12m", "unimodal": 0.0}
    build(Config.of("transforms", source.name, params, shard_items=50, virtual=True), source, Path(out) / "set")
print(int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024)
"""


def bench(count: int, repeats: int) -> None:
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "photos"
        items = photos(folder, count)
        larger = Path(temporary) / "larger"  # so many that starting the workers does not count
        many = photos(larger, 5 * count)
        for _ in range(repeats):
            for families in (*FAMILIES, "paper"):
                drawn = groups(items, families)
                name = "all five" if families == "paper" else families
                measured = {
                    "ours": rate(lambda f=families: ours(items, f)),
                    "floor": rate(floor(drawn)),
                    "resizing floor": rate(floor(drawn, resizes=True)),
                    "loop": rate(lambda d=drawn: straightforward(d)),
                }
                ours_ = measured.pop("ours")
                rows.setdefault(f"{name}: ours, pairs/s a core", []).append(ours_)
                words = {"floor": "share of the floor", "resizing floor": "share of the floor with its resizes"}
                for other, value in measured.items():
                    said = words.get(other, "times the straightforward loop")
                    rows.setdefault(f"{name}: {said}", []).append(ours_ / value)
            one, two = (engine(many, larger, workers) for workers in (1, 2))
            rows.setdefault("engine, 1 worker, pairs/s (measured for being distinct)", []).append(one)
            rows.setdefault("engine, 2 workers over 1", []).append(two / one)
        size = statistics.mean(path.stat().st_size for path in folder.iterdir())
    print(f"{count} photos of 500x375, {size / 1000:.0f} kB each; median of {repeats} repeats [min, max]")
    for name, values in rows.items():
        print(f"{name:58s} {statistics.median(values):9.2f}  [{min(values):.2f}, {max(values):.2f}]")
    for number in (200, 800, 3200):
        done = subprocess.run([sys.executable, "-c", MEMORY, str(number)], capture_output=True, text=True, check=True)
        print(f"{f'peak memory, {number} virtual items, MiB':58s} {int(done.stdout):9d}")
    on_paper(statistics.median(rows["all five: ours, pairs/s a core"]), size)


def on_paper(pairs_a_core: float, photo_bytes: float) -> None:
    """CC12M with every family of every photo, from the measured rate; and what would bind first."""
    pairs = CC12M * sum(family.in_training for family in FAMILIES.values())
    for machines in (1, 10):
        cores = machines * ONE_MACHINE_CORES
        hours = pairs / (pairs_a_core * cores) / 3600
        read = CC12M * photo_bytes / (hours * 3600) / machines / 1e6
        told = f"{hours:.1f} h, reading {read:.0f} MB/s a machine"
        print(f"CC12M, all families ({pairs / 1e6:.0f}M pairs) on {machines} x 32 cores: {told}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    given: Any = parser.parse_args()
    bench(given.photos, given.repeats)
