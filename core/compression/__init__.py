"""Smaller models: quantised, pruned, factorised; what that saves and does to the reasons."""
