"""How good a model is: metrics with intervals, groups, and what it writes."""
