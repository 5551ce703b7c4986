"""F5: does it help? The arms of the trial, the trial, its metrics, and the statistics of the comparison."""
