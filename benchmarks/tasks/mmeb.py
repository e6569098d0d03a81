"""MMEB's image tasks (VLM2Vec): 36 of four groups and CIFAR-100, as its leaderboard asks and as the FuseLIP paper does.

`mmeb/<Task>`: the texts as they stand, without the place marker of the image. `mmeb-paper/<Task>`: the publisher's
prompts emptied on both sides, class names behind a prefix (FuseLIP, section 4). Row by row the publisher lists
candidates with the answer first; here answers go by key, and copies among the candidates of a query count once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.tasks.folder import DataFolder
from benchmarks.types import Candidate, DataFile, Query, Skip, TaskContext, TaskData, TaskSpec
from datagen.sources import parquet_rows
from fuselip.core.errors import UserError
from fuselip.core.types import Input, content_hash

REPO = "TIGER-Lab/MMEB-eval"
COLUMNS = ("qry_text", "qry_img_path", "tgt_text", "tgt_img_path")
MARKER = "<|image_1|>"
MAX_CANDIDATES = 100_000

# By group: tasks whose training sets VLM2Vec is trained on (IND), and those it never saw (OOD).
GROUPS = {
    "classification": (
        ("ImageNet-1K", "N24News", "HatefulMemes", "VOC2007", "SUN397"),
        ("Place365", "ImageNet-A", "ImageNet-R", "ObjectNet", "Country211"),
    ),
    "vqa": (
        ("OK-VQA", "A-OKVQA", "DocVQA", "InfographicsVQA", "ChartQA", "Visual7W"),
        ("ScienceQA", "VizWiz", "GQA", "TextVQA"),
    ),
    "retrieval": (
        ("VisDial", "CIRR", "VisualNews_t2i", "VisualNews_i2t", "MSCOCO_t2i", "MSCOCO_i2t", "NIGHTS", "WebQA"),
        ("FashionIQ", "Wiki-SS-NQ", "OVEN", "EDIS"),
    ),
    "grounding": (("MSCOCO",), ("RefCOCO", "RefCOCO-Matching", "Visual7W-Pointing")),
}

# What stands before (or instead of) the text of its own that a query or candidate has.
PROMPTS = (
    "Represent the given image with the following question:",
    "Represent the given image for classification",
    "Represent the given news image with the following caption for domain classification:",
    "Represent the given dialogue about an image, which is used for image retrieval:",
    "Represent the given Wikipedia image with related text information:",
    "Represent the given cropped image of the object",
    "Represent the given image.",
    "Represent the given image",
    "Identify the scene shown in the image",
    "Identify the object shown in the image",
    "Identify the country depicted in the image",
    "Find an image to match the fashion image and style note:",
    "Find an image caption describing the given everyday image.",
    "Find me an everyday image that matches the given caption:",
    "Find a caption for the news in the given photo.",
    "Find a news image that matches the provided caption:",
    "Find a day-to-day image that looks similar to the provided image.",
    "Find a Wikipedia image that answers this question:",
    "Find the document image that can answer the given query:",
    "Given an image, find a similar everyday image with the described changes:",
    "Retrieve an image of this news caption.",
    "Retrieve a Wikipedia image-description pair that provides evidence for the question of this image:",
    "Select the portion of the image that isolates the object labeled as",
    "Select the portion of the image that follows the language expressions.",
    "Select the portion of the image that follows the language expressions:",
    "Select the portion of the image that answers the question",
    "Crop the image to to isolate the object labeled as",
)
HATEFUL = (
    "Represent the given image for binary classification to determine whether it constitutes hateful speech or not"
)
ASKED = {HATEFUL: "Is this image hateful?"}
_LONGEST_FIRST = sorted((*PROMPTS, HATEFUL), key=len, reverse=True)

PREFIXES = {
    **dict.fromkeys(("ImageNet-1K", "CIFAR-100", "VOC2007", "SUN397", "Place365"), "a photo of a "),
    **dict.fromkeys(("ImageNet-A", "ImageNet-R", "ObjectNet"), "a photo of a "),
    "N24News": "a photo from the domain of ",
    "Country211": "this is in the country of ",
}

_TASKS = {
    **{
        task: (group, domain)
        for group, (seen, unseen) in GROUPS.items()
        for domain, tasks in (("IND", seen), ("OOD", unseen))
        for task in tasks
    },
    "CIFAR-100": ("classification", ""),  # none of the 36; the paper adds it
}

_MODALITIES = {
    "classification": "image -> text",
    "vqa": "image+text -> text",
    "retrieval": "any -> any",
    "grounding": "image+text -> image",
}

ROWS = tuple(
    TaskSpec(
        name=f"{variant}/{task}",
        version=1,
        loader="benchmarks.tasks.mmeb:mmeb",
        description=f"{told} {group}: which of up to some 1000 candidates?{f' ({domain})' if domain else ''}",
        modalities=_MODALITIES[group],
        source=REPO,
        citation="Jiang et al., VLM2Vec: Training Vision-Language Models for Massive Multimodal Embedding Tasks, "
        "arXiv 2410.05160" + ("; FuseLIP, arXiv 2506.03096" if variant == "mmeb-paper" else ""),
        licence="as the sets that MMEB is made of",
        files=(
            DataFile(
                f"mmeb/{task}",
                how=f"`hf download {REPO} --repo-type dataset --include '{task}/*' --local-dir mmeb` in the data "
                "folder gets it (an online run does so by itself)",
                annotations=True,
            ),
            DataFile("mmeb/images", f"https://huggingface.co/datasets/{REPO}/resolve/main/images.zip"),
        ),
        unverified=True,
        params={"subset": task, "group": group, "domain": domain, "paper": variant == "mmeb-paper"},
    )
    for variant, told in (("mmeb", "[leaderboard prompts]"), ("mmeb-paper", "[the FuseLIP paper's prompts]"))
    for task, (group, domain) in _TASKS.items()
)


@dataclass(frozen=True)
class Side:
    """What one side of a row says: its text as published, and the name of its picture; either may be empty."""

    text: str
    picture: str

    @property
    def key(self) -> str:
        """Short and readable, and of one text and picture only."""
        return f"{(self.picture or self.text)[:40]}#{content_hash([self.text, self.picture])[:12]}"


@dataclass
class _Pool:
    """The candidates met so far; None for those of which no text and no picture is left."""

    folder: DataFolder
    subset: str
    paper: bool
    keys: dict[Side, str | None] = field(default_factory=dict)
    candidates: dict[str, Candidate] = field(default_factory=dict)

    def key(self, side: Side) -> str | None:
        if side not in self.keys:
            made = self.input(side, target=True)
            self.keys[side] = side.key if made else None
            if made:
                self.candidates[side.key] = Candidate(side.key, (made,))
        return self.keys[side]

    def input(self, side: Side, target: bool) -> Input | None:
        text = asked(side.text, self.subset if target else "") if self.paper else without_marker(side.text)
        if not text and not side.picture:
            return None
        return Input(text, self.folder.image(f"mmeb/images/{side.picture}") if side.picture else None)


def mmeb(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`mmeb/<Task>` and `mmeb-paper/<Task>`. A limit is a number of queries; each keeps all its candidates."""
    folder = DataFolder(spec, context)
    subset, paper = str(spec.params["subset"]), bool(spec.params["paper"])
    pool = _Pool(folder, subset, paper)
    queries: list[Query] = []
    skipped: list[Skip] = []
    copies = 0
    for where, query, targets in islice(_rows(folder, subset, context.offline), context.limit):
        keys = dict.fromkeys(key for side in dict.fromkeys(targets) if (key := pool.key(side)))
        copies += len(targets) - len(set(targets))
        shown, answer = pool.input(query, target=False), pool.key(targets[0])
        if shown is None or answer is None or len(keys) < 2:
            skipped.append(Skip(where, "its question, its answer or all its other candidates are empty"))
            continue
        cluster = query.picture or targets[0].picture
        queries.append(Query(where, shown, {answer: 1.0}, tuple(keys), cluster=cluster))
    if not queries:
        raise UserError(f"{spec.name}: there is no question in {folder.path(f'mmeb/{subset}')}; get it again")
    return TaskData(tuple(queries), pool.candidates, tuple(skipped), _notes(spec, copies, pool))


def without_marker(text: str) -> str:
    """The text without the place marker of the image, and without white space around."""
    return text.replace(MARKER, "").strip()


def asked(text: str, subset: str) -> str:
    """The text as the paper has it: no prompt; behind its prefix where it is a candidate of `subset` ("" for queries).

    ImageNet's classes are known by their first name, so that some become alike (crane, the bird and the machine).
    """
    text = without_marker(text)
    prompt = next((prompt for prompt in _LONGEST_FIRST if text.startswith(prompt)), "")
    text = (ASKED.get(prompt, "") + text[len(prompt) :]).strip()
    if subset == "ImageNet-1K":
        text = text.partition(",")[0]
    return f"{PREFIXES[subset]}{text}" if text and subset in PREFIXES else text


def _notes(spec: TaskSpec, copies: int, pool: _Pool) -> tuple[str, ...]:
    notes = []
    if spec.params["paper"]:
        notes.append("prompts emptied and classes prefixed as in the paper: not comparable with MMEB's leaderboard")
        alike = len(pool.candidates) - len({candidate.content for candidate in pool.candidates.values()})
        if alike:
            notes.append(f"{alike} candidates become copies of others by that, and count as one of several when scored")
    if copies:
        notes.append(f"{copies} copies among the candidates of a question are left out")
    return tuple(notes)


def _rows(folder: DataFolder, subset: str, offline: bool) -> Iterator[tuple[str, Side, list[Side]]]:
    """(file and row, query, candidates with the answer first)."""
    home = _home(folder, subset, offline)
    for path in parquet_rows.expand("", home):
        parquet_rows.need_columns(path, COLUMNS)
        for row in parquet_rows.rows(path, COLUMNS):
            where = f"{path.name}/{row.number}"
            values = row.values
            [query] = _sides(f"{path}, row {row.number}", values["qry_text"], values["qry_img_path"])
            yield where, query, _sides(f"{path}, row {row.number}", values["tgt_text"], values["tgt_img_path"])


def _sides(where: str, texts: Any, pictures: Any) -> list[Side]:
    """One string each, or lists of one length; a null is an empty string. UserError for anything else."""
    columns: list[Sequence[Any]] = [value if isinstance(value, list) else [value] for value in (texts, pictures)]
    columns = [[entry or "" for entry in column] for column in columns]
    if not all(isinstance(entry, str) for column in columns for entry in column):
        raise UserError(f"{where}: texts and picture names must be strings, or lists of strings")
    if len(columns[0]) != len(columns[1]) or not 0 < len(columns[0]) <= MAX_CANDIDATES:
        raise UserError(
            f"{where}: {len(columns[0])} texts and {len(columns[1])} picture names; there must be as many of both, "
            f"and from 1 to {MAX_CANDIDATES}"
        )
    return [Side(text, picture) for text, picture in zip(*columns, strict=True)]


def _home(folder: DataFolder, subset: str, offline: bool) -> Path:
    """The folder of the task's parquet files: under the data folder, else got from the hub where that is allowed."""
    try:
        return folder.path(f"mmeb/{subset}")
    except UserError:
        if offline:
            raise
    from huggingface_hub import snapshot_download

    try:
        home = snapshot_download(REPO, repo_type="dataset", allow_patterns=f"{subset}/*.parquet")
    except Exception as error:  # the hub's client and what it stands on raise many kinds, and all mean the same here
        raise UserError(
            f"{folder.spec.name}: {subset} of {REPO} is neither under {folder.root / 'mmeb'} nor to be had from the "
            f"hub ({type(error).__name__}: {error}); {folder.spec.files[0].how}"
        ) from error
    return Path(home) / subset
