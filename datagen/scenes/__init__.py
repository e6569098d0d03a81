"""Procedural pictures of coloured shapes, with everything that is true of them: captions, regions, questions, edits."""
