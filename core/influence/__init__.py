"""Which training examples a model's answers come from."""
