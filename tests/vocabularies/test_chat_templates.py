"""Chat templates: the named ones render what their models were trained on; others are checked."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
from mergec.checkpoints.vocabularies.chat_templates import (
    TEMPLATES,
    chat_template,
    unknown_marks,
)
from mergec.errors import RecipeError
from vocabularies.test_reconcile import vocabulary

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": "Bye"},
]
RENDERED = {
    "chatml": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
    "<|im_start|>assistant\nHi<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
    "<|im_start|>assistant\n",
    "llama3": "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHi<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral": "<s> [INST] Be brief.\n\nHello [/INST] Hi</s> [INST] Bye [/INST]",
    "alpaca": "Be brief.\n\n### Instruction:\nHello\n\n### Response:\nHi\n\n"
    "### Instruction:\nBye\n\n### Response:\n",
    "exaone": "[|system|]Be brief.[|endofturn|]\n[|user|]Hello\n[|assistant|]Hi[|endofturn|]\n"
    "[|user|]Bye\n[|assistant|]",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_named_templates_render_their_format(name: str) -> None:
    text = chat_template(name, [], Path())
    assert text is not None
    # as transformers renders them
    compiled = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(text)
    found = compiled.render(
        messages=TALK, add_generation_prompt=True, bos_token="<s>", eos_token="</s>"
    )
    assert found == RENDERED[name]


def test_auto_takes_the_most_frequent(tmp_path: Path) -> None:
    several = []
    for number, text in enumerate(["one{{x}}", "two{{x}}", None, "two{{x}}\n"]):
        folder = tmp_path / str(number)
        several.append(vocabulary(folder))
        if text is not None:
            (folder / "chat_template.jinja").write_text(text)
    assert chat_template("auto", several, Path()) == "two{{x}}"
    assert chat_template("auto", several[:2], Path()) == "one{{x}}"
    assert chat_template("auto", several[2:3], Path()) is None


def test_jinja_and_files(tmp_path: Path) -> None:
    text = "{% for m in messages %}{% generation %}{{ m }}{% endgeneration %}{% endfor %}"
    (tmp_path / "mine.jinja").write_text(text)
    assert chat_template(text, [], tmp_path) == text
    assert chat_template("mine.jinja", [], tmp_path) == text


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("{% for %}", "isn't Jinja"),
        ("chatlm", "is no chat template"),
        ("./none.jinja", "can't be read as a file"),
    ],
)
def test_bad_templates_are_refused(asked: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        chat_template(asked, [], tmp_path)
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0402" and words in problem.message


def test_a_near_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        chat_template("chatlm", [], tmp_path)
    assert "chatml" in (caught.value.diagnostics[0].hint or "")


def test_marks_that_the_vocabulary_lacks_are_told(tmp_path: Path) -> None:
    assert unknown_marks("chatml", vocabulary(tmp_path)) == ["<|im_start|>", "<|im_end|>"]
    assert unknown_marks("alpaca", vocabulary(tmp_path)) == []
