"""A checkpoint's folder -> the model that transformers makes of it, with nothing left over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def load(folder: Path, kind: str = "AutoModelForCausalLM") -> Any:
    """The model in float32; fails where a weight is missing, unexpected or newly initialised."""
    made: Any = getattr(transformers, kind)
    model, info = made.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    left = {key: value for key, value in info.items() if value}
    assert not left, f"{folder}: {left}"
    return model.eval()


def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """The model's logits of some tokens; of an encoder and decoder those of both for the same."""
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            found: torch.Tensor = model(input_ids=ids, decoder_input_ids=ids).logits
        else:
            found = model(input_ids=ids).logits
    return found


def generated(model: Any, ids: torch.Tensor) -> list[int]:
    """Four tokens after some others, the likeliest each."""
    with torch.no_grad():
        out = model.generate(ids, max_new_tokens=4, min_new_tokens=4, do_sample=False)
    return list(out[0, -4:].tolist())
