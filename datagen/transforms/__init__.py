"""Image transforms with instructions, as pure functions: one file per family of TGIT edits. Benchmarks use them too."""
