"""Takes third parties' encoders: submit, verify, publish."""
