"""What the command line can do: one file per command, each a function with typed options."""
