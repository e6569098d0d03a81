"""The model: token layout, tokenizers, transformer, checkpoints and the encoder. `sizes` alone is free of torch."""
