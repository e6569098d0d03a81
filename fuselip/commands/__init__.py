"""Commands of `fuselip`, one file each; `fuselip.cli` names them."""
