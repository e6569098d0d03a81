"""Encoders found by name, module, file or entry point, and called with what they take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.encoders import Adapted, list_models, resolve
from benchmarks.encoders.arguments import parse
from benchmarks.encoders.baselines import Constant, Random
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import Input

INPUTS = [Input("a cat"), Input("a dog on a sofa")]

FILE = '''
"""An encoder of a user."""
import numpy as np
from beside import WIDTH

class Mine:
    def __init__(self, width: int = WIDTH, scale: float | None = None, loud: bool = False, name="x", device="cpu"):
        self.__dict__.update(width=width, scale=scale, loud=loud, name=name, device=device)

    def encode(self, inputs):
        return np.ones((len(inputs), self.width))

def factory(**anything):
    encoder = Mine()
    encoder.got = anything
    return encoder

def needs(path):
    return Mine()

def broken():
    raise KeyError("no such layer")

def not_one():
    return 7

ready = Mine(width=5)
number = 3
word = "has an encode method of its own"
'''


@pytest.fixture
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "beside.py").write_text("WIDTH = 4\n")
    (tmp_path / "mine.py").write_text(FILE)
    (tmp_path / "click.py").write_text("raise RuntimeError('a user file hides a library of ours')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path / "mine.py"


def test_folders_of_the_user_hide_nothing_of_ours(tmp_path: Path) -> None:
    (tmp_path / "datagen").mkdir()
    (tmp_path / "datagen" / "__init__.py").write_text("raise RuntimeError('a folder of the user')\n")
    (tmp_path / "mine.py").write_text("import datagen\nclass E:\n    def encode(self, inputs): return [datagen]\n")
    code = (
        "import sys\nfrom benchmarks.encoders import resolve\nassert 'datagen' not in sys.modules\nresolve('mine:E')\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)


def test_builtin_controls() -> None:
    vectors = resolve("random", {"dim": "8"}).encode([*INPUTS, INPUTS[0]])
    assert vectors.shape == (3, 8)
    assert np.array_equal(vectors[0], vectors[2])
    assert not np.allclose(vectors[0], vectors[1])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    same = resolve("constant").encode(INPUTS)
    assert same.shape == (2, 512)
    assert np.array_equal(same[0], same[1])


def test_controls_depend_on_seed_and_say_so() -> None:
    one, two = Random(seed=1), Random(seed=2)
    assert one.info.fingerprint != two.info.fingerprint
    assert not np.allclose(one.encode(INPUTS), two.encode(INPUTS))
    assert Constant(seed=1).info.fingerprint != one.info.fingerprint


def test_file_class_gets_typed_arguments(user_file: Path) -> None:
    arguments = {"width": "7", "scale": "0.5", "loud": "yes", "name": "3"}
    encoder = resolve("./mine.py:Mine", arguments, device="mps").encoder
    assert (encoder.width, encoder.scale, encoder.loud, encoder.name, encoder.device) == (7, 0.5, True, 3, "mps")
    assert resolve(f"{user_file}:Mine", {"scale": "none"}).encoder.scale is None


def test_module_in_the_working_directory_and_ready_made_encoder(user_file: Path) -> None:
    assert resolve("mine:ready").encoder.width == 5
    assert resolve("mine.py:ready", offline=True).encoder.width == 5
    assert sys.path[-1] == str(user_file.parent)


def test_open_factory_gets_everything_as_literals(user_file: Path) -> None:
    got = resolve(
        "mine.py:factory", {"a": "1", "b": "1.5", "c": "True", "d": "x"}, precision="bf16", offline=True
    ).encoder.got
    assert got == {"a": 1, "b": 1.5, "c": True, "d": "x", "precision": "bf16"}


@pytest.mark.parametrize(
    ("spec", "arguments", "options", "message"),
    [
        (
            "mine.py:Mine",
            {"widht": "3"},
            {},
            r"no --model-arg widht; did you mean 'width'\? \(it takes width=4, scale=",
        ),
        ("mine.py:Mine", {"width": "wide"}, {}, "width=wide: it is a whole number"),
        ("mine.py:Mine", {"loud": "perhaps"}, {}, "true or false"),
        ("mine.py:Mine", {}, {"precision": "bf16"}, "takes no --precision"),
        ("mine.py:Mine", {"device": "cpu"}, {"device": "cuda"}, "device is given twice"),
        ("mine.py:ready", {"width": "3"}, {}, "already made"),
        ("mine.py:ready", {}, {"device": "cuda"}, "takes no --device"),
        ("mine.py:needs", {}, {}, "needs --model-arg path="),
        ("mine.py:not_one", {}, {}, "made a int, which has no encode"),
        ("mine.py:word", {}, {}, "is a str: neither an encoder"),
        ("mine.py:number", {}, {}, "is a int: neither an encoder"),
        ("mine.py:Nine", {}, {}, "did you mean 'Mine'"),
        ("mine.py:zzz", {}, {}, "write mine.py:Mine"),
        ("mine.py", {}, {}, "does not say which.*mine.py:Mine"),
        ("absent.py:Mine", {}, {}, "no file absent.py"),
        ("no_such_module:Mine", {}, {}, "no module named 'no_such_module'"),
        ("randon", {}, {}, "did you mean 'random'"),
        ("random", {"dims": "3"}, {}, "did you mean 'dim'"),
        ("", {}, {}, "there is no model ''"),
    ],
)
def test_wrong_usage_is_told(
    user_file: Path, spec: str, arguments: dict[str, str], options: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(spec, arguments, **options)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import numpy\nraise RuntimeError('no licence')\n", r"RuntimeError: no licence \(\S*bad\.py:2\)"),
        ("def f(:\n", r"SyntaxError: .*bad\.py:1\)"),
        ("import sys\nsys.exit(3)\n", r"SystemExit: 3 \(\S*bad\.py:2\)"),
        ("import numpy as np\n\nnp.zeros((2, 2)) @ np.zeros(3)\n", r"ValueError: matmul.*bad\.py:3\)"),
        ("import helper\n", r"ZeroDivisionError: .*helper\.py:1\)"),
    ],
)
@pytest.mark.parametrize("spec", ["bad.py:x", "bad:x"])
def test_failing_import_names_file_and_line(user_file: Path, code: str, message: str, spec: str) -> None:
    (user_file.parent / "bad.py").write_text(code)
    (user_file.parent / "helper.py").write_text("1 / 0\n")
    with pytest.raises(UserError, match=message):
        resolve(spec)


def test_failing_factory_names_file_and_line(user_file: Path) -> None:
    line = FILE.splitlines().index('    raise KeyError("no such layer")') + 1
    with pytest.raises(UserError, match=rf"KeyError: 'no such layer' \(\S*mine\.py:{line}\)"):
        resolve("mine.py:broken")


def test_entry_point(user_file: Path) -> None:
    for package, target in (("one", "mine:Mine"), ("two", "mine:ready")):
        info = user_file.parent / f"{package}-2.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.0\nSummary: Says {package}\n"
        )
        (info / "entry_points.txt").write_text(f"[fuselip.encoders]\n{package}-encoder = {target}\nboth = {target}\n")
    sys.path.append(str(user_file.parent))
    sys.modules.pop("mine", None)
    rows = {row.name: row for row in list_models()}
    assert "mine" not in sys.modules
    assert (rows["one-encoder"].origin, rows["one-encoder"].description) == ("one 2.0", "Says one")
    assert resolve("one-encoder", {"width": "9"}).encoder.width == 9
    with pytest.raises(UsageError, match="did you mean 'one-encoder'"):
        resolve("one-encodr")
    with pytest.raises(UsageError, match="mine:Mine or mine:ready"):
        resolve("both")


def test_list_models_has_the_builtins() -> None:
    assert {"fuselip-s", "fuselip-b", "random", "constant"} <= {row.name for row in list_models()}
    assert all(row.description and row.origin for row in list_models())


@given(st.integers())
def test_parse_keeps_integers(value: int) -> None:
    for hint in (int, int | None, int | str, None):
        assert parse(str(value), hint, "") == value
    assert parse(str(value), str, "") == str(value)


@given(st.floats(allow_nan=False))
def test_parse_keeps_floats(value: float) -> None:
    assert parse(repr(value), float, "") == value
    assert parse(repr(value), None, "") == value


def test_parse_literals() -> None:
    assert parse("2", Literal["a", 2], "") == 2
    assert parse("none", str | None, "") is None
    assert parse("none", str, "") == "none"
    assert parse("~/x", Path, "") == Path("~/x").expanduser()
    with pytest.raises(UsageError, match="one of a, b; did you mean 'a'"):
        parse("aa", Literal["a", "b"], "k=aa")


def test_origin(user_file: Path) -> None:
    ours = Adapted(Random()).origin
    assert ours["class"] == "benchmarks.encoders.baselines:Random"
    assert ours["file"] == "benchmarks/encoders/baselines.py"
    assert ours["package"].startswith("fuselip ")
    first = resolve("mine.py:Mine").origin
    assert (first["file"], len(first["sha256"])) == ("mine.py", 64)
    assert str(user_file.parent) not in str(first)
    user_file.write_text(FILE + "\n")
    second = resolve("mine.py:Mine", {"name": "token=abc", "width": "7"}, device="mps", offline=True).origin
    assert second["sha256"] != first["sha256"]
    assert second["arguments"] == "device=mps, name=token=***, width=7"
    assert "arguments" not in first
