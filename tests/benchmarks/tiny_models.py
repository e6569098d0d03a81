"""Models of other libraries in miniature: the real classes, random weights from a seed, saved to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIDE = 16
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}\n{% endfor %}"
)
WORDS = ["a red circle on a blue ground", "rotate the picture by ninety degrees", "Which animal sleeps on the sofa?"]


def tokenizer(**special: str) -> Any:
    """Byte-level BPE; `special` are names of roles (pad_token=...) and further control tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    roles = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
    extra = [token for token in special.values() if token not in roles.values()]
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        WORDS,
        trainers.BpeTrainer(
            vocab_size=340,
            special_tokens=[*roles.values(), *extra],
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=16 if not special else 4096,
        extra_special_tokens=extra,
        model_input_names=["input_ids", "attention_mask"],
        **roles,
    )


def towers(family: str, folder: Path) -> Path:
    """A CLIP, SigLIP or SigLIP 2 model ("clip", "siglip", "siglip2") with its processor."""
    import torch
    import transformers as tf

    prefix = {"clip": "CLIP", "siglip": "Siglip", "siglip2": "Siglip2"}[family]
    words = tokenizer()
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        **size,
        "vocab_size": len(words),
        "max_position_embeddings": 16,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    vision: dict[str, Any] = {**size, "patch_size": 4}
    vision |= {"num_patches": 16} if family == "siglip2" else {"image_size": SIDE}
    text |= {"projection_size": 32} if family != "clip" else {}
    config = getattr(tf, f"{prefix}Config")(text_config=text, vision_config=vision, projection_dim=24)
    torch.manual_seed(7)
    getattr(tf, f"{prefix}Model")(config).save_pretrained(folder)
    words.save_pretrained(folder)
    options: dict[str, Any] = {"size": {"height": SIDE, "width": SIDE}}
    if family == "clip":
        options = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    if family == "siglip2":
        options = {"patch_size": 4, "max_num_patches": 16}
    getattr(tf, f"{prefix}ImageProcessorPil")(**options).save_pretrained(folder)
    return folder


def qwen(folder: Path) -> Path:
    """A Qwen2-VL: its own processor needs torchvision, so only its two parts are saved."""
    import torch
    import transformers as tf

    tokens = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    words = tokenizer(**{token: token for token in tokens})
    ids = {token: words.convert_tokens_to_ids(token) for token in tokens}
    config = tf.Qwen2VLConfig(
        text_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "vocab_size": len(words),
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
        },
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": 4},
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    torch.manual_seed(7)
    tf.Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    words.save_pretrained(folder)
    tf.Qwen2VLImageProcessorPil(
        patch_size=4, merge_size=2, size={"shortest_edge": 8 * 8 * 4, "longest_edge": 8 * 8 * 16}
    ).save_pretrained(folder)
    return folder


def llava(folder: Path) -> Path:
    """A LLaVA of a CLIP tower and a Llama, with its whole processor."""
    import torch
    import transformers as tf

    words = tokenizer(image_token="<image>")
    words.chat_template = CHAT_TEMPLATE
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = tf.LlavaConfig(
        text_config=tf.LlamaConfig(**size, vocab_size=len(words), num_key_value_heads=2),
        vision_config=tf.CLIPVisionConfig(**size, image_size=SIDE, patch_size=4),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    torch.manual_seed(7)
    tf.LlavaForConditionalGeneration(config).save_pretrained(folder)
    images = tf.CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    tf.LlavaProcessor(
        images,
        words,
        chat_template=CHAT_TEMPLATE,
        patch_size=4,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    return folder


def bert(folder: Path, prompts: dict[str, str] | None = None) -> Path:
    """A sentence-transformers model of texts: BERT and mean pooling."""
    import torch
    import transformers as tf
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    words = tokenizer()
    torch.manual_seed(7)
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = tf.BertConfig(**size, vocab_size=len(words), max_position_embeddings=64, pad_token_id=words.pad_token_id)
    parts = folder / "parts"
    tf.BertModel(config).save_pretrained(parts)
    words.save_pretrained(parts)
    return _saved([Transformer(str(parts), max_seq_length=64), Pooling(32)], folder, prompts)


def clip_sentences(folder: Path) -> Path:
    """A sentence-transformers model of texts and images apart."""
    from sentence_transformers.sentence_transformer.modules import Transformer

    return _saved([Transformer(str(towers("clip", folder / "parts")))], folder)


def llava_sentences(folder: Path) -> Path:
    """A sentence-transformers model of texts and images as one input, put to it as chats."""
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    parts = str(llava(folder / "parts"))
    return _saved([Transformer(parts), Pooling(32, pooling_mode="lasttoken")], folder)


def _saved(modules: list[Any], folder: Path, prompts: dict[str, str] | None = None) -> Path:
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save(str(folder / "model"))
    return folder / "model"
