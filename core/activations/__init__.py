"""What layers answer over data sets: captured, measured, compared, switched off."""
