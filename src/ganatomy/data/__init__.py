"""F1: cohorts and pixels. Lists, reads, writes, splits by patient, transforms; the only room that opens image files."""
