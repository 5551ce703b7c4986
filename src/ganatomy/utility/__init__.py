"""F5: does it help? The arms of the trial, the trial, and the statistics of the comparison."""
