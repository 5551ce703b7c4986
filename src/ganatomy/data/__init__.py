"""F1: cohorts and pixels. Reads, writes, splits by patient, transforms; the only room that opens image files."""
