"""From vectors of many units to a map of two or three, and how far that can be believed."""
