"""Benchmarks for multimodal encoders: transformation retrieval, VQA, grounding and unimodal suites.

from benchmarks import evaluate
print(evaluate(my_encoder, suite="quick").to_pandas())
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.evaluation import Evaluation as Evaluation
    from benchmarks.evaluation import evaluate as evaluate

__all__ = ["Evaluation", "evaluate"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from benchmarks import evaluation

        return getattr(evaluation, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
