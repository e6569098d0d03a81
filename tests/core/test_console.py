"""Exit codes and messages of the command lines; names that stand for code; what provenance leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click
import pytest

from fuselip.core import console, plugins, provenance
from fuselip.core.errors import UsageError, UserError


def run(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    @click.group(cls=console.Group)
    def main() -> None: ...

    @main.command()
    def fail() -> NoReturn:
        raise error

    with pytest.raises(SystemExit) as leave:
        main(["fail"])
    return leave.value.code, capsys.readouterr().err  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (UserError("the file is torn"), 1, "error: the file is torn"),
        (UsageError("no such model"), 2, "error: no such model"),
        (click.UsageError("bad flag"), 2, "bad flag"),
        (KeyboardInterrupt(), 130, "run the same command again to resume"),
        (MemoryError(), 1, "out of memory"),
        (RuntimeError("odd"), 1, "This is a defect"),
    ],
)
def test_errors_are_a_sentence_and_an_exit_code(
    error: BaseException, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, printed = run(error, capsys)
    assert found == code
    assert says in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nonsense", "module:attribute"),
        ("no_such_module_x:a", "no module named 'no_such_module_x'"),
        ("fuselip.core.types:Inptu", "did you mean 'Input'"),
    ],
)
def test_bad_names_of_code(target: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        plugins.load(target)


def test_names_of_code_load() -> None:
    assert plugins.load("fuselip.core.types:Input.of").__name__ == "of"


def test_provenance_tells_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    argv = ["run", "--token=hf_abcdefghijklmnop", "https://bob:pw@example.org/x", "/home/alice/data", "api_key: 12345"]
    text = str(provenance.provenance(argv))
    for secret in ("hf_abcdefghijklmnop", "bob:pw", "/home/alice", "12345"):
        assert secret not in text
    assert str(Path("~/data")) in text
    assert provenance.version("numpy") in text  # type: ignore[operator]
