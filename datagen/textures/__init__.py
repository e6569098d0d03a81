"""Pictures made of nothing but a seed: dead leaves, fractals, gradients and noise, for training without photos."""
