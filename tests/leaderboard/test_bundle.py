"""Bundles are read safely: every attack on the zip, on JSON and on parquet is refused by a Fault that names it."""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lb_bundles import TASKS, make_bundle

from benchmarks.predictions import COLUMNS, PredictionFile
from benchmarks.types import Result
from leaderboard import bundle
from leaderboard.bundle import BundleError, Limits
from leaderboard.parquet_guard import ParquetLimits, examine

Members = dict[str, bytes]
PREDICTIONS = "tasks/tgit__crop/predictions.parquet"
EXAMPLES = 100
CLAIM = "tasks/tgit__crop/result.json"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_bundle(tmp_path_factory.mktemp("good")).read_bytes()


@pytest.fixture(scope="module")
def members(good: bytes) -> Members:
    return unzipped(good)


def unzipped(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: Members, kind: int = zipfile.ZIP_STORED, change: Callable[..., None] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = kind
            if change:
                change(info)
            archive.writestr(info, data)
    return buffer.getvalue()


def listed(members: Members) -> bytes:
    """A zip whose bundle.json lists the members as they are: only what is in them is wrong."""
    manifest = msgspec.json.decode(members[bundle.MANIFEST])
    files = {name: hashlib.sha256(data).hexdigest() for name, data in members.items() if name != bundle.MANIFEST}
    return zipped({**members, bundle.MANIFEST: msgspec.json.encode({**manifest, "files": files})})


def read_all(data: bytes, limits: Limits) -> list[PredictionFile]:
    return [task.predictions for task in bundle.from_bytes(data, limits).tasks.values()]


def told(data: bytes, limits: Limits | None = None) -> str:
    """All faults of a bundle that must not be taken, and is not when its predictions are read either."""
    with pytest.raises(BundleError) as caught:
        read_all(data, limits or Limits())
    assert caught.value.faults
    assert all(fault.where and fault.what and fault.mend for fault in caught.value.faults)
    return str(caught.value)


def test_a_good_bundle_is_read(good: bytes, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(good)
    found = bundle.read(tmp_path / "b.zip")
    assert found.sha256 == hashlib.sha256(good).hexdigest()
    assert (found.metadata.name, found.suite, sorted(found.tasks)) == ("Tuned", "core", sorted(TASKS))
    crop = found.tasks["tgit/crop"]
    file = crop.predictions
    assert isinstance(crop.claim, Result)
    assert crop.claim.n == len(file.variants["model"]) == 45
    assert set(file.variants) == {"model", "image_only", "text_only"}
    assert file.header["data_hash"] == crop.claim.data_hash


def test_equal_content_gives_equal_bytes(good: bytes, tmp_path: Path) -> None:
    assert make_bundle(tmp_path).read_bytes() == good


def test_a_deflated_zip_is_taken_too(good: bytes, members: Members) -> None:
    found = bundle.from_bytes(zipped(members, zipfile.ZIP_DEFLATED), Limits())
    assert found.tasks["tgit/crop"].predictions.variants["model"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../evil.json", "leads out"),
        ("tasks/../../evil/result.json", "leads out"),
        ("/etc/passwd", "absolute"),
        ("C:\\evil", "absolute"),
        ("inner.zip", "no member"),
        ("model.pkl", "no member"),
        ("tasks/", "no member"),
        ("tasks/x/extra.txt", "no member"),
        ("tasks/<svg onload=1>/result.json", "no member"),
        ("tasks/a\0b/result.json", "no member"),
        ("täsks/x/result.json", "no member"),
    ],
)
def test_names_are_from_a_list(members: Members, name: str, fault: str) -> None:
    data = zipped({**members, name.replace("\0", "!"): b"x"}).replace(b"a!b", b"a\0b")
    assert fault in told(data)


def test_links_encryption_and_extras_are_refused(members: Members) -> None:
    def linked(info: zipfile.ZipInfo) -> None:
        info.create_system, info.external_attr = 3, 0o120777 << 16

    def commented(info: zipfile.ZipInfo) -> None:
        info.comment = b"hello"

    def extra(info: zipfile.ZipInfo) -> None:
        info.extra = struct.pack("<HH", 0x9999, 0)

    assert "a link" in told(zipped(members, change=linked))
    assert "comment or extra" in told(zipped(members, change=commented))
    assert "comment or extra" in told(zipped(members, change=extra))
    assert "packed in a way" in told(zipped(members, zipfile.ZIP_BZIP2))
    data = bytearray(zipped(members))
    at = data.index(b"PK\1\2")
    data[at + 8] |= 1
    assert "is encrypted" in told(bytes(data))


def test_all_faults_are_told_at_once(members: Members) -> None:
    found = told(zipped({**members, "../a": b"", "b.exe": b"", "/c": b""}))
    assert all(name in found for name in ("../a", "b.exe", "/c"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicates_are_refused(members: Members) -> None:
    buffer = io.BytesIO(zipped(members))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(zipfile.ZipInfo(CLAIM, (1980, 1, 1, 0, 0, 0)), b"{}")
    assert "is there 2 times" in told(buffer.getvalue())


def test_bombs_are_refused_before_they_unpack(members: Members) -> None:
    bomb = zipped({**members, CLAIM: b" " * 30_000_000}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 200_000
    assert "more than 200 to 1" in told(bomb)
    assert "unpacks to more" in told(zipped(members), Limits(unpacked=1000))
    assert "has more than 1000 bytes" in told(zipped(members), Limits(bytes=1000))
    assert "more than 3 members" in told(zipped(members), Limits(members=3))
    assert "is over 2000 bytes" in told(zipped(members), Limits(member=2000))
    many = {f"tasks/t{number}/result.json": b"{}" for number in range(700)}
    assert "members" in told(zipped({**members, **many}))


def test_sizes_that_lie_are_found_out(members: Members) -> None:
    """A member that unpacks to far more than both of its headers say: no more than that is ever unpacked."""
    data = bytearray(zipped({**members, CLAIM: b" " * 2_000_000}, zipfile.ZIP_DEFLATED))
    local, entry = data.index(CLAIM.encode()) - 30, data.rindex(CLAIM.encode()) - 46
    for place in (local + 22, entry + 24):
        struct.pack_into("<L", data, place, 1000)
    assert "does not unpack to the size it says" in told(bytes(data))
    struct.pack_into("<L", data, local + 22, 900)
    assert "something else of" in told(bytes(data))


def test_entries_may_not_overlap_or_hide(members: Members) -> None:
    data = zipped(members)
    assert "not where it says" in told(b"MZ" + data)
    assert "after its end" in told(data + b"tail")
    overlapping = bytearray(data)
    entries = [at for at in range(len(data)) if data[at : at + 4] == b"PK\1\2"]
    overlapping[entries[1] + 42 : entries[1] + 46] = overlapping[entries[0] + 42 : entries[0] + 46]
    assert "overlap" in told(bytes(overlapping))


def test_members_must_be_as_listed(members: Members) -> None:
    assert "was changed" in told(zipped({**members, CLAIM: members[CLAIM].replace(b'"n": 45', b'"n": 44')}))
    assert "listed but not there" in told(zipped({name: data for name, data in members.items() if name != CLAIM}))
    assert "not listed" in told(zipped({**members, "tasks/x/result.json": b"{}"}))
    assert "bundle.json: is missing" in told(zipped({CLAIM: members[CLAIM]}))
    moved = {name.replace("tgit__crop", "tgit__flip"): data for name, data in members.items()}
    assert "of another task" in told(listed(moved))
    swapped = {**members, PREDICTIONS: members["tasks/tgit__rotate/predictions.parquet"]}
    assert "says task 'tgit/rotate'" in told(listed(swapped))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 60 + b"]" * 60,
        b'{"schema": NaN}',
        b"1" * 10_000,
        b'{"schema": 1}',
        b"[]",
        b'"\\ud800"',
        pickle.dumps({"schema": 1}),
    ],
)
def test_json_is_read_with_care(members: Members, text: bytes) -> None:
    assert "bundle.json" in told(zipped({**members, bundle.MANIFEST: text}))
    assert CLAIM in told(listed({**members, CLAIM: text}))
    assert PREDICTIONS in told(listed({**members, PREDICTIONS: text}))


def test_json_of_many_bytes_is_refused(members: Members) -> None:
    assert "has more than 4194304 bytes" in told(zipped({**members, CLAIM: b" " * (1 + 4 * 2**20)}))


def test_other_schemas_and_fields_are_refused(members: Members) -> None:
    manifest = msgspec.json.decode(members[bundle.MANIFEST])
    for change in ({"schema": 2}, {"extra": 1}, {"files": {"a": 1}}, {"encoder": []}):
        assert "bundle.json" in told(zipped({**members, bundle.MANIFEST: msgspec.json.encode({**manifest, **change})}))
    changed = {**manifest, "encoder": {**manifest["encoder"], "weights": {"source": "random"}}}
    assert "random" in told(zipped({**members, bundle.MANIFEST: msgspec.json.encode(changed)}))


def rows(count: int = 1, **changes: object) -> dict[str, list[object]]:
    row = {
        **{"variant": "model", "query": "q", "cluster": "", "group": "", "tags": "{}", "pool": 2, "targets": []},
        **{"top_keys": ["a"], "top_scores": [0.5], "truncated": True},
        **changes,
    }
    return {name: [value] * count for name, value in row.items()}


def parquet(columns: dict[str, list[object]], **options: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=COLUMNS), buffer, **{"compression": "zstd", **options})
    return buffer.getvalue()


def test_parquet_bombs_are_refused_by_their_page_headers() -> None:
    small = ParquetLimits(rows=1000, values=10_000, unpacked=2**20, texts=2**20)
    assert examine(parquet(rows(10)), COLUMNS, small) == ""
    assert "1001 rows" in examine(parquet(rows(1001)), COLUMNS, small)
    wide = parquet(rows(top_keys=["a"] * 5000, top_scores=[0.5] * 5000))
    assert "values in a column" in examine(wide, COLUMNS, small)
    zeros = parquet(rows(query="\0" * 2**22), use_dictionary=False)
    assert len(zeros) < 10_000
    assert "unpacks to more" in examine(zeros, COLUMNS, small)
    repeated = parquet(rows(500, query="x" * 10_000))
    assert len(repeated) < 10_000
    assert "bytes of text" in examine(repeated, COLUMNS, small)
    assert "kind that is not taken" in examine(parquet(rows(), data_page_version="2.0"), COLUMNS, small)
    prefixes = parquet(rows(10), use_dictionary=False, column_encoding={"query": "DELTA_BYTE_ARRAY"})
    assert "encoded in a way" in examine(prefixes, COLUMNS, small)
    other = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), other, compression="zstd")
    assert "columns of a predictions file" in examine(other.getvalue(), COLUMNS, small)


def test_a_column_of_an_unknown_kind_is_refused_before_arrow_sees_it() -> None:
    """Asked about such a column, pyarrow ends the process.."""
    data = parquet(rows())
    footer = len(data) - 8 - struct.unpack("<L", data[-8:-4])[0]
    at = data.index(b"variant\x15", footer) + len(b"variant\x15")  # the column's path, then its codec
    assert data[at] == 6 * 2
    for codec in (1, 9, 61):
        bad = data[:at] + bytes([codec * 2]) + data[at + 1 :]
        assert "packed in a way" in examine(bad, COLUMNS, ParquetLimits())
    assert "packed in a way" in examine(parquet(rows(), compression="snappy"), COLUMNS, ParquetLimits())
    assert "more than 100 bytes" in examine(data, COLUMNS, ParquetLimits(footer=100))


def test_a_page_header_is_believed_rather_than_the_directory() -> None:
    """The file's own directory says little is in there; the page says more. Found by the page."""
    data = parquet(rows(query="\0" * 2**21), use_dictionary=False)
    size = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(1).total_uncompressed_size
    lied = data.replace(_zigzag(size), _zigzag(1000 | 1 << 20))
    assert len(lied) == len(data)
    assert lied != data
    assert "unpacks to more" in examine(lied, COLUMNS, ParquetLimits(unpacked=2**20))


def _zigzag(value: int) -> bytes:
    value, out = value << 1, bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _mutated(data: bytes, draw: Callable[..., int]) -> bytes:
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(changed) - 1))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            changed[at] = draw(st.integers(0, 255))
        elif kind == 1:
            del changed[at : at + draw(st.integers(1, 40))]
        elif kind == 2:
            changed[at:at] = changed[at : at + draw(st.integers(1, 40))]
        else:
            changed[at : at + 4] = struct.pack("<L", draw(st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1])))
        if not changed:
            break
    return bytes(changed)


def _survives(data: bytes, counts: Counter[str]) -> None:
    """Only a BundleError or a valid bundle, whatever the bytes."""
    try:
        files = read_all(data, Limits())
    except BundleError as error:
        counts["refused"] += len(error.faults) > 0
        return
    scores = [value for file in files for row in file.variants["model"] for _, value in row.top]
    counts["valid"] += bool(np.isfinite(scores).all())


def _zip(members: Members, draw: Callable[..., int]) -> bytes:
    return _mutated(zipped(members), draw)


def _member(members: Members, draw: Callable[..., int]) -> bytes:
    """A member whose hash fits: what guards the JSON and the parquet is met, not the checksum before it."""
    name = [bundle.MANIFEST, CLAIM, PREDICTIONS][draw(st.integers(0, 2))]
    changed = {**members, name: _mutated(members[name], draw)}
    return zipped(changed) if name == bundle.MANIFEST else listed(changed)


def _footer(members: Members, draw: Callable[..., int]) -> bytes:
    """The directory of a parquet file, where every count and offset is."""
    data = members[PREDICTIONS]
    footer = len(data) - 8 - struct.unpack("<L", data[-8:-4])[0]
    changed = data[:footer] + _mutated(data[footer:-8], draw)
    return listed({**members, PREDICTIONS: changed + struct.pack("<L", len(changed) - footer) + b"PAR1"})


@pytest.mark.parametrize("make", [_zip, _member, _footer])
def test_fuzzed(members: Members, make: Callable[..., bytes]) -> None:
    counts: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(data=st.data())
    def mutate(data: st.DataObject) -> None:
        _survives(make(members, data.draw), counts)

    mutate()
    assert counts.total() >= EXAMPLES
    assert counts["refused"] > EXAMPLES / 2
