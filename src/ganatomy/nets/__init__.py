"""F2: one file per architecture, plain nn.Module, 2D and 3D by one argument."""
