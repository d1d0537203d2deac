"""What is kept in the workspace, and the data of a person's own on every page."""
