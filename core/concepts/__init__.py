"""Concepts that people have words for, and whether a network's answers lean on them."""
