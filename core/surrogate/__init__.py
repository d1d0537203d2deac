"""Trees that stand in for a model: what it answers, retold in a few questions."""
