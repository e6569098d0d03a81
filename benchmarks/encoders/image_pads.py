"""The processor of Qwen's vision-language models, for images alone: transformers' own needs torchvision, for videos.

An image stands in the prompt as `<|vision_start|><|image_pad|><|vision_end|>`; its pad is repeated once for each token
that the image becomes, which is the number of patches divided by those that are merged into one (merge_size squared).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

PAD = "<|image_pad|>"


class ImagePads:
    """Called as a transformers processor is: texts with placeholders and the images in their order -> tensors."""

    MODEL_TYPES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
    placeholder = f"<|vision_start|>{PAD}<|vision_end|>"
    image_token = PAD

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self.image_processor, self.tokenizer = image_processor, tokenizer

    def __call__(
        self, *, text: Sequence[str], images: Sequence[Image.Image] | None, padding: bool, return_tensors: str
    ) -> dict[str, Any]:
        """input_ids, attention_mask and mm_token_type_ids [N, T]; pixel_values and image_grid_thw where images are."""
        made: dict[str, Any] = {}
        counts: Iterator[int] = iter(())
        if images:
            made = dict(self.image_processor(images=list(images), return_tensors=return_tensors))
            merged = self.image_processor.merge_size**2
            counts = (int(grid.prod()) // merged for grid in made["image_grid_thw"])
        texts = [self._expand(each, counts) for each in text]
        ids = self.tokenizer(texts, padding=padding, return_tensors=return_tensors)
        made |= {name: ids[name] for name in ("input_ids", "attention_mask")}
        is_image = made["input_ids"] == self.tokenizer.convert_tokens_to_ids(PAD)
        return made | {"mm_token_type_ids": is_image.int()}

    @staticmethod
    def _expand(text: str, counts: Iterator[int]) -> str:
        first, *rest = text.split(PAD)
        return first + "".join(PAD * next(counts) + part for part in rest)
