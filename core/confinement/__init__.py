"""What a stranger's file or network is held in: limits, forbidden deeds, a process of its own."""
