"""What differs between pixels, tokens and columns on the pages that explain: one file each."""
