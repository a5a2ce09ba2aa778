"""Tests of kernels run on one core, so that they neither crowd each other nor wait for others."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
