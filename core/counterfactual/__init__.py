"""What would have to be otherwise in a row of a table for the model to answer otherwise."""
