"""What a language model is told: the paper's rules and four worked examples, in our own words."""

from __future__ import annotations

from fuselip.core.types import content_hash

MAX_CAPTION = 2000  # characters; web captions can be pages long
TEMPERATURE = 1.0  # as in the paper, with NEW_TOKENS
NEW_TOKENS = 50

RULES = """\
You write one question about a picture, and its answer. You cannot see the picture: all you know is one sentence about \
it. Someone who looks at the picture but has never read that sentence must be able to answer.

- Ask only about what the sentence makes evident, and answer with nothing that it does not say.
- Neither the question nor the answer speaks of a caption, a description or a text.
- The answer has two words or more; never a single word.
- Vary how questions begin: Where, Who, How, Which, Is, Are, Does, In, On, What; do not start all of them with What.
- Write exactly two lines and nothing else:
Question: the question
Answer: the answer"""

EXAMPLES = (
    ("a tabby kitten asleep in a wicker basket", "Where is the kitten sleeping?", "In a wicker basket."),
    (
        "three cyclists climb a mountain road in heavy fog",
        "How many cyclists are on the mountain road?",
        "There are three cyclists.",
    ),
    ("portrait of a chef holding a copper pan", "Who is holding the copper pan?", "A chef is holding it."),
    (
        "the red barn stands out against a field of fresh snow",
        "What color is the barn in the snow?",
        "The barn is red.",
    ),
)


def messages(caption: str, avoid: str = "") -> list[dict[str, str]]:
    """A chat that ends with this caption. Rules stand in the first user turn, as some models know no system role."""
    chat = []
    for number, (known, question, answer) in enumerate(EXAMPLES):
        chat.append({"role": "user", "content": ("" if number else RULES + "\n\n") + _asked(known)})
        chat.append({"role": "assistant", "content": f"Question: {question}\nAnswer: {answer}"})
    hint = f"\nDo not begin the question with {avoid.capitalize()}." if avoid else ""
    return [*chat, {"role": "user", "content": _asked(caption[:MAX_CAPTION]) + hint}]


def plain(caption: str, avoid: str = "") -> str:
    """The same as one text to go on with, for models without a chat format."""
    parts = [message["content"] for message in messages(caption, avoid)]
    return "\n\n".join(parts) + "\n"


def _asked(caption: str) -> str:
    return "Sentence: " + " ".join(caption.split())


def prompt_hash() -> str:
    return content_hash([messages("{}"), messages("{}", "{}")])
