"""Training: recipes, the loop, and runs as folders that anyone can read while they are written."""
