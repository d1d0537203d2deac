"""Attention from any kernel: captured, measured, followed through the layers, switched off."""
