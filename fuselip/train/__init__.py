"""Training: losses, the loop, recipes; `fuselip train` is its command."""
