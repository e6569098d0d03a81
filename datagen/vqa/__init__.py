"""Questions and answers about images, made from their captions."""
