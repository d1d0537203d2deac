"""The check-up of the model in hand."""
