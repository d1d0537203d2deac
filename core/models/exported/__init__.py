"""Networks of one's own in one file: programs of ``torch.export``, read without running code."""
