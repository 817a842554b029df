"""Every technique on every family of models, and the table of it in docs/smaller.md."""
