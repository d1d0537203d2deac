"""The parts of the Training page: start, watch, compare, time machine, logs of other tools."""
