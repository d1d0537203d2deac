"""The Layers page: what every layer does, for one example and over a data set."""
