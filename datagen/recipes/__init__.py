"""What is made of a source item: one recipe a file, found by name in `registry`."""
