"""The Projection page: the map, what is picked on it, and how far it can be believed."""
