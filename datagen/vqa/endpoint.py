"""Backend `openai`: any server with POST {base}/chat/completions, such as vLLM, llama.cpp or Ollama."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from datagen.vqa import prompt
from datagen.vqa.types import Failed, Row, Said
from fuselip.core import http, seeds
from fuselip.core.errors import UsageError, UserError
from fuselip.core.http import Backoff, Client, HttpFailure
from fuselip.core.provenance import redact
from fuselip.core.types import Scalar

KEY_NAME = "FUSELIP_API_KEY"
MAX_BYTES = 1 << 20  # of a reply; 50 tokens need some hundred
# Nothing about the row: a missing or refused key, no money, a wrong path or an unknown model.
_FATAL = {
    "http_401": "the key is missing or refused; set {key} in the environment",
    "http_402": "the account has no credit",
    "http_403": "the key may not do this",
    "http_404": "there is no such path or model; the base URL usually ends with /v1, and --model is the server's name",
}


class Endpoint:
    """`threads` requests at once. The key is read from the environment variable `key_name` and written nowhere."""

    batch = 1

    def __init__(
        self,
        base: str,
        model: str,
        *,
        temperature: float = prompt.TEMPERATURE,
        max_tokens: int = prompt.NEW_TOKENS,
        seed: int = 0,
        threads: int = 16,
        timeout: float = 60.0,
        attempts: int = 5,
        key_name: str = KEY_NAME,
    ) -> None:
        http.split(base)
        if not model:
            raise UsageError("--model is missing: the name by which the server knows its model")
        self.settings: Mapping[str, Scalar] = {
            "backend": "openai",
            "model": model,
            "prompt": prompt.prompt_hash(),
            "temperature": temperature,
            "max_tokens": max_tokens,
            "seed": seed,
        }
        self.threads = threads
        self._base, self._timeout, self._key_name = base, timeout, key_name
        self._key = _key(key_name)
        self._backoff = Backoff(attempts)
        self._own = threading.local()

    def ask(self, rows: Sequence[Row]) -> list[Said | Failed]:
        """UserError where no row could be answered: a refused key, a wrong address, an unknown model."""
        return [self._ask(row) for row in rows]

    def stop(self) -> None:
        self._backoff.stop.set()

    def _ask(self, row: Row) -> Said | Failed:
        payload = {
            "model": self.settings["model"],
            "messages": prompt.messages(row.caption, row.avoid),
            "temperature": self.settings["temperature"],
            "max_tokens": self.settings["max_tokens"],
            "seed": seeds.derive("vqa", int(self.settings["seed"]), row.hash, row.tries) >> 32,
        }
        try:
            reply = self._backoff.call(lambda: _read(self._client().post("/chat/completions", payload)))
        except HttpFailure as failure:
            detail = self._clean(failure.detail)
            if failure.code in _FATAL:
                hint = _FATAL[failure.code].format(key=self._key_name)
                raise UserError(f"{redact(self._base)} answers {failure.code[5:]}: {hint} ({detail})") from None
            return Failed(failure.code, detail)
        return Said(self._clean(reply.text), reply.cut) if isinstance(reply, Said) else reply

    def _client(self) -> Client:
        """One connection a thread."""
        if not hasattr(self._own, "client"):
            headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            self._own.client = Client(self._base, headers, self._timeout, MAX_BYTES)
        client: Client = self._own.client
        return client

    def _clean(self, text: str) -> str:
        """Servers like to repeat the key that they refuse."""
        return redact(text.replace(self._key, "***") if self._key else text)[:2000]


def _key(name: str) -> str:
    key = os.environ.get(name, "").strip()
    if not key and name != KEY_NAME:
        raise UsageError(f"the environment variable {name} is not set, and --api-key-env names it")
    if not key.isascii() or not key.isprintable():
        raise UsageError(f"the environment variable {name} holds characters that no key has")
    return key


def _read(reply: Any) -> Said | Failed:
    """The text of a chat completion. HttpFailure where the reply has another shape: a proxy's page, say."""
    try:
        choice = reply["choices"][0]
        text, end = choice["message"].get("content"), choice.get("finish_reason")
        if end == "content_filter" or (text is None and choice["message"].get("refusal")):
            return Failed("refused", str(choice["message"].get("refusal") or end))
        if not isinstance(text, str):
            raise TypeError("the content is no text")
        return Said(text, cut=end == "length")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise HttpFailure("bad_schema", f"no chat completion ({error!r}): {str(reply)[:200]}", retried=True) from error
