"""Two models beside each other: answers, metrics, reasons and attention over the same examples."""
