"""What went wrong inside somebody else's code, in one line: the kind of error, its message, the file and line."""

from __future__ import annotations

import importlib
import traceback
from pathlib import Path

OUR_FOLDERS = tuple(str(Path(__file__).parents[2] / name) + "/" for name in ("benchmarks", "fuselip"))
IMPORT_MACHINERY = ("<frozen", str(Path(importlib.__file__).parent) + "/")


def blame(error: BaseException) -> str:
    """ "ValueError: bad size (my_encoder.py:12)": the deepest line in the folder of the code that we called first.

    Lines of ours, of the import machinery and of libraries that the user's code calls say nothing to the user.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({error.filename}:{error.lineno})"
    message = " ".join(str(error).split()) or "no message"
    frames = traceback.extract_tb(error.__traceback__)
    foreign = [frame for frame in frames if not frame.filename.startswith(OUR_FOLDERS + IMPORT_MACHINERY)]
    if foreign:
        home = Path(foreign[0].filename).parent
        frame = [frame for frame in foreign if Path(frame.filename).is_relative_to(home)][-1]
    elif frames:
        frame = frames[-1]
    else:
        return f"{type(error).__name__}: {message}"
    return f"{type(error).__name__}: {message} ({frame.filename}:{frame.lineno})"
