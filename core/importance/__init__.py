"""What a model goes by over a data set: by column, word or region, and how it answers to values."""
