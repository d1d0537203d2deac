"""Ways in for a model of one's own besides ``.pt2``: what a file is, what of it may be taken."""
