"""F3: families of models. Each is a Task: what its networks are, and what a batch costs."""
