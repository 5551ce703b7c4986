"""One thread for every test: the same bits on every machine, and no test waits for another's threads."""

import torch

torch.set_num_threads(1)
