"""An output's folder -> text: what a language model says, by transformers.

A thin call: the model is loaded on one device in its own dtype; tokens are told as they come.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..checkpoints.mixtures.base_states import missing_extra
from ..grammar.diagnostics import RunError


class Speaker:
    """A loaded model and its tokenizer.

    Errors: RunError E0640 without transformers, E0642 for a folder that it can't load.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        try:
            import transformers
        except ImportError:
            raise missing_extra("transformers") from None
        self._library: Any = transformers
        self._library.logging.set_verbosity_error()
        try:
            self._tokenizer: Any = self._library.AutoTokenizer.from_pretrained(folder)
            config = self._library.AutoConfig.from_pretrained(folder)
            kind = "Seq2SeqLM" if config.is_encoder_decoder else "CausalLM"
            made = getattr(self._library, f"AutoModelFor{kind}")
            self._model: Any = made.from_pretrained(folder, dtype="auto").to(device).eval()
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise RunError.of(
                "E0642",
                f"transformers can't load {folder}: {said[0]}",
                hint="the folder must hold a language model's config, weights and tokenizer",
            ) from None

    @property
    def chats(self) -> bool:
        """Whether the tokenizer has a chat template."""
        return bool(self._tokenizer.chat_template)

    def say(
        self,
        prompt: str,
        tokens: int,
        *,
        temperature: float = 0.0,
        told: Callable[[str], None] = lambda text: None,
    ) -> str:
        """What follows a prompt, at most so many tokens; `told` gets it piece by piece.

        temperature: 0 takes the likeliest token each time.
        """
        inputs = self._tokenizer(prompt, return_tensors="pt")
        return self._generate(dict(inputs), tokens, temperature, told)

    def reply(
        self,
        talk: list[dict[str, str]],
        tokens: int,
        *,
        temperature: float = 0.0,
        told: Callable[[str], None] = lambda text: None,
    ) -> str:
        """The assistant's turn after a talk: dicts of `role` and `content`."""
        if not self.chats:
            return self.say(talk[-1]["content"], tokens, temperature=temperature, told=told)
        inputs = self._tokenizer.apply_chat_template(
            talk, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        return self._generate(dict(inputs), tokens, temperature, told)

    def _generate(
        self, inputs: dict[str, Any], tokens: int, temperature: float, told: Callable[[str], None]
    ) -> str:
        import torch

        inputs = {key: value.to(self._model.device) for key, value in inputs.items()}
        inputs.pop("token_type_ids", None)
        whole = self._model.config.is_encoder_decoder
        asked = inputs["input_ids"].shape[1] if not whole else 0
        options: dict[str, Any] = {"max_new_tokens": tokens, "do_sample": temperature > 0}
        if temperature > 0:
            options["temperature"] = temperature
        streamer = _Streamer(self._tokenizer, told, skips=not whole)
        with torch.no_grad():
            found = self._model.generate(**inputs, streamer=streamer, **options)
        text: str = self._tokenizer.decode(found[0, asked:], skip_special_tokens=True)
        return text


class _Streamer:
    """What transformers hands each token to: tells the text that is new since the last one."""

    def __init__(self, tokenizer: Any, told: Callable[[str], None], *, skips: bool) -> None:
        self._tokenizer = tokenizer
        self._told = told
        self._skips = skips
        self._ids: list[int] = []
        self._text = ""

    def put(self, value: Any) -> None:
        if self._skips:  # the prompt itself
            self._skips = False
            return
        self._ids += value.flatten().tolist()
        text = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        if not text.endswith("\ufffd"):  # a character that isn't whole yet
            self._told(text[len(self._text) :])
            self._text = text

    def end(self) -> None:
        text = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        self._told(text[len(self._text) :])
