"""The data set card: what a set holds, how it was made, how to read it; with the hub's configurations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from datagen.plan import Config


def card(config: Config, stats: Mapping[str, Any]) -> str:
    """README.md of a set, from its configuration and counts alone."""
    return "\n".join([_header(config, stats), _about(config, stats), _contents(config, stats), _reading(config, stats)])


def _header(config: Config, stats: Mapping[str, Any]) -> str:
    """YAML for the hub: one configuration for each shard set. JSON strings are YAML strings.

    The index is none: `datasets` reads all configurations of a repository by one format.
    """
    parts = {name: f"data/{name}/*.tar" for name in stats["sets"]} or {"virtual": "virtual/*.parquet"}
    lines = ["---", "tags:", "- fuselip", "- webdataset" if stats["sets"] else "- virtual", "configs:"]
    for name, pattern in parts.items():
        lines += [f"- config_name: {json.dumps(name)}", f"  data_files: {json.dumps(pattern)}"]
    return "\n".join([*lines, "---"])


def _about(config: Config, stats: Mapping[str, Any]) -> str:
    counts = stats["counts"]
    params = ", ".join(f"`{key}={json.dumps(value)}`" for key, value in config.params.items()) or "none"
    made = (
        f"{counts.get('rows', 0)} virtual rows: each says how to make the groups of one source item."
        if config.virtual
        else f"{counts.get('groups', 0)} groups, {counts.get('pairs', 0)} pairs; the pairs of a group are each other's "
        "hard negatives."
    )
    return f"""
# {_cell(config.builder)} from {_cell(config.source)}

{made}

Made by `fuselip-datagen build-{config.builder}` (recipe version {config.version}, parameters: {params}; seed
{config.seed}, epoch {config.epoch}) out of {counts.get("items", 0)} source items. Images: {config.codec.name}, quality
{config.codec.quality}. Licence and attribution of an image are what its source says, if any: column `credit`.
"""


def _contents(config: Config, stats: Mapping[str, Any]) -> str:
    lines = []
    if stats["sets"]:
        lines += ["| shard set | shards | groups | pairs | images | MB |", "|---|---|---|---|---|---|"]
        for name, row in stats["sets"].items():
            numbers = [row.get(key, 0) for key in ("shards", "groups", "pairs", "images")]
            lines.append(f"| {name} | {' | '.join(map(str, numbers))} | {row['bytes'] / 1e6:.1f} |")
        lines.append("")
    if stats["rejects"]:
        lines += ["Left out (`rejects/`, with the reason for each):", "", "| reason | count |", "|---|---|"]
        lines += [f"| {_cell(reason)} | {count} |" for reason, count in stats["rejects"].items()]
        lines.append("")
    return "\n".join(lines)


def _reading(config: Config, stats: Mapping[str, Any]) -> str:
    if config.virtual:
        return """## Reading it

```python
from datagen import virtual
for row in virtual.read(Path("this-folder")):
    groups = list(virtual.realise(row, epoch=0, root=Path("folder-of-the-images")))
```
"""
    first = next(iter(stats["sets"]))
    return f"""A sample `KEY.json, KEY.00.{config.codec.extension}, ...` is one group. In its JSON, `pairs` lists
`left_text`, `left_image`, `right_text` and `right_image`; an image is the number of one of the sample's files, or -1.
`params` and each image's `operations` (how it was made from its source) are JSON texts.

## Reading it

```python
from fuselip.core.shards import Shard                      # random access
group = Shard(Path("data/{first}/00000.tar"))[0].group()
from datasets import load_dataset
load_dataset("this-folder", "{first}", split="train")
load_dataset("parquet", data_files="this-folder/index/*.parquet", split="train")   # one row a pair
import webdataset
webdataset.WebDataset("data/{first}/00000.tar", shardshuffle=False).decode("pil")
```
"""


def _cell(text: str) -> str:
    """Text of others, harmless in Markdown."""
    kept = "".join(each if each.isprintable() else " " for each in text)
    return kept.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'").replace("[", "\\[")
