"""F2: images and regions -> a table of features."""
