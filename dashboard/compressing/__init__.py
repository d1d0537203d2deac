"""The parts of the Compression page."""
