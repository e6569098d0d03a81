"""Training on data made on the fly, where nothing is installed beside what the README names for a GPU machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuselip.core.errors import UserError
from fuselip.model.models import model_of
from fuselip.model.text_tokenizers import text_tokenizer_of

SCRIPT = Path(__file__).parent / "bare_machine.py"
SMALL = ["--set", "batch_size=8", "--set", "device=cpu", "--set", "save_every=3"]


def bare(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["ti-fuselip", "ti-siglip-mlf"])
def test_three_steps(recipe: str, tmp_path: Path) -> None:
    done = bare("train", recipe, "--out", tmp_path / "out", "--set", "steps=3", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "done: 3 steps" in done.stderr
    told = bare("card", tmp_path / "out")
    assert told.returncode == 0, told.stderr
    assert "| pairs seen | 24 in 3 steps |" in told.stdout


def test_a_package_that_is_needed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """CLIP's text tokenizer, which the tiny models do without, needs one more."""
    monkeypatch.delitem(sys.modules, "fuselip.model.text_tokenizer", raising=False)
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(UserError, match="pip install ftfy"):
        text_tokenizer_of(model_of("fuselip-s").config)
    assert text_tokenizer_of(model_of("fuselip-ti").config)
