"""The model: tokens, tokenizers, transformer, checkpoints, encoder. `sizes`, `configs` and `models` need no torch."""
