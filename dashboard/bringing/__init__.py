"""Bringing a model of one's own: what was found in the file, and the form for what it is for."""
