"""Archives that would do harm, or are damaged, are refused; nothing is ever left outside the target."""

from __future__ import annotations

import contextlib
import gzip
import random
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.unpack import unpack
from fuselip.core.errors import UserError
from tests.benchmarks.archives import tarred, zipped

BODY = random.Random(0).randbytes(300_000)
LINK = stat.S_IFLNK | 0o777


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.zip", zipped({"ok": b"1", "../out": b"2"}), "leads out of the folder"),
        ("a.zip", zipped({"/out": b"2"}), "leads out of the folder"),
        ("a.zip", zipped({"C:\\out": b"2"}), "leads out of the folder"),
        ("a.zip", zipped({"x\\..\\..\\out": b"2"}), "leads out of the folder"),
        ("a.zip", zipped({"link": b"/etc/passwd"}, link=LINK), "links in archives are not followed"),
        ("a.zip", zipped({"pipe": b""}, pipe=stat.S_IFIFO | 0o644), "no plain file"),
        ("a.zip", zipped({"zeros": bytes(3_000_000)}), "over 200-fold"),
        ("a.zip", zipped({"many": random.Random(1).randbytes(2000) * 3000}), "--max-size allows"),
        ("a.zip", zipped({"x": BODY})[:-30], "no readable zip"),
        ("a.zip", b"<html>404</html>", "no readable zip"),
        ("a.tar", tarred({"ok": b"1", "../out": b"2"}), "leads out of the archive by '..'"),
        ("a.tar", tarred({"ok": b"1"}, link="/etc/passwd"), "links in archives are not followed"),
        ("a.tar", tarred({"x": BODY})[:-20_000], "damaged or cut short"),
        ("a.tar.gz", gzip.compress(bytes(6_000_000)), "more than --max-size allows"),
        ("a.tar.gz", gzip.compress(tarred({"x": BODY}))[:-1000], "is damaged"),
        ("a.tar.gz", b"<html>", "is damaged"),
    ],
)
def test_archives_that_would_do_harm(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / name).write_bytes(data)
    with pytest.raises(UserError, match=says):
        unpack(home / name, "", home / "target", 5_000_000)
    assert {path.name for path in home.iterdir()} == {name}
    assert {path.name for path in tmp_path.iterdir()} == {"home"}


def test_a_member_that_was_changed_on_the_way(tmp_path: Path) -> None:
    data = bytearray(zipped({"x": BODY}))
    data[1000] ^= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(UserError, match=r"is damaged \(Bad CRC"):
        unpack(tmp_path / "a.zip", "x", tmp_path / "target", 1 << 20)
    assert not (tmp_path / "target").exists()


@given(st.sampled_from(["zip", "tar", "tar.gz"]), st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_damaged_is_refused_or_unpacked_inside(kind: str, draw: st.DataObject) -> None:
    """Bytes changed anywhere: a UserError or files under the target, and nothing else is left beside it."""
    members = {"a/1": b"one" * 50, "a/2": b"two", "b": b""}
    made = bytearray({"zip": zipped(members), "tar": tarred(members), "tar.gz": gzip.compress(tarred(members))}[kind])
    for place in draw.draw(st.lists(st.integers(0, len(made) - 1), min_size=1, max_size=3)):
        made[place] = draw.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as home:
        source = Path(home) / f"x.{kind}"
        source.write_bytes(made)
        with contextlib.suppress(UserError):
            unpack(source, "", Path(home) / "target", 1 << 20)
        assert {path.name for path in Path(home).iterdir()} <= {source.name, "target"}


def test_encrypted_zip_and_repeated_names(tmp_path: Path) -> None:
    data = bytearray(zipped({"x": b"1"}))
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(UserError, match="it is encrypted"):
        unpack(tmp_path / "a.zip", "", tmp_path / "target", 1 << 20)
    (tmp_path / "b.tar").write_bytes(tarred({"x": b"1"})[:1024] + tarred({"x": b"2"}))
    with pytest.raises(UserError, match="'x' twice"):
        unpack(tmp_path / "b.tar", "", tmp_path / "target", 1 << 20)
