"""`fuselip-bench view`: one self-contained page of runs, down to every query and its pictures."""
