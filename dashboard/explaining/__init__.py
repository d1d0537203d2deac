"""What differs on the Attribution page between pixels and tokens: one file each."""
