"""Hard negatives: captions that differ in one thing, balanced so that no blind rule tells them, and mined images."""
