"""Texts in: tables, folders, lines and whole books to Arrow files, tokens and splits. No torch."""
