"""What differs between pixels and tokens on the pages that explain: one file each."""
