"""Encoders for the benchmarks: found by name or by the user's own code (`resolve`), made uniform (`adapt`)."""

from benchmarks.encoders.adapt import Adapted as Adapted
from benchmarks.encoders.adapt import adapt as adapt
from benchmarks.encoders.registry import list_models as list_models
from benchmarks.encoders.registry import resolve as resolve
