"""Our encoders served to other libraries: to mteb's benchmarks, and as sentence-transformers models."""
