"""Several natural wordings of every instruction, filled from the edit's own numbers; the first is the paper's or ours.

Within a family no two edits share a wording, so that any mixture of wordings in a group stays unambiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from datagen.transforms.edit import Edit

Slots = Mapping[str, object]

_PLACES = {
    "upper left": "the upper left corner",
    "upper center": "the middle of the upper edge",
    "upper right": "the upper right corner",
    "center left": "the middle of the left edge",
    "center center": "the very center",
    "center right": "the middle of the right edge",
    "lower left": "the lower left corner",
    "lower center": "the middle of the lower edge",
    "lower right": "the lower right corner",
}
_TURNS = {"clockwise": "right", "counter-clockwise": "left"}
_FLIPS = {
    "horizontal": ("horizontally", "left to right", "left and right", "the vertical axis"),
    "vertical": ("vertically", "top to bottom", "top and bottom", "the horizontal axis"),
}
_LEANS = {
    "right": ("top edge", "right"),
    "left": ("top edge", "left"),
    "up": ("right edge", "up"),
    "down": ("right edge", "down"),
}
_CHANNELS = {
    "grb": ("red and green", "red becomes green and green becomes red"),
    "bgr": ("red and blue", "red becomes blue and blue becomes red"),
    "rbg": ("green and blue", "green becomes blue and blue becomes green"),
    "brg": ("", "red becomes green, green becomes blue and blue becomes red"),
    "gbr": ("", "red becomes blue, blue becomes green and green becomes red"),
}

# Beside the first wording, which is the edit's own text.
BANK: dict[str, tuple[str, ...]] = {
    "crop": (
        "crop the image to {place}",
        "keep only the quarter at {place}",
        "show {place} at full size",
        "cut the picture down to {place}",
        "a close-up of {place}",
    ),
    "rotate": (
        "turn the image {degrees} degrees {direction}",
        "rotate it to the {hand} by {degrees} degrees",
        "give the picture a {degrees} degree turn {direction}",
        "spin it {direction} by {degrees}°",
        "the same image, turned {degrees}° to the {hand}",
    ),
    "jitter": (
        "multiply brightness by {brightness}, contrast by {contrast} and saturation by {saturation}",
        "set brightness to {brightness_percent}%, contrast to {contrast_percent}%, saturation to {saturation_percent}%",
        "brightness times {brightness}, contrast times {contrast}, saturation times {saturation}",
        "scale the saturation by {saturation}, the contrast by {contrast} and the brightness by {brightness}",
    ),
    "flip": (
        "flip the image {adverb}",
        "mirror it {across}",
        "swap {sides}",
        "a mirror image about {axis_name}",
        "reflect the picture across {axis_name}",
    ),
    "grayscale": (
        "make it black and white",
        "remove the colors",
        "convert to grayscale",
        "turn it into a black and white photo",
        "take out all color",
    ),
    "colorize": (
        "add color",
        "bring the colors back",
        "turn this black and white photo into a color photo",
        "restore the original colors",
        "color the picture in",
    ),
    "shear": (
        "slant the image {degrees} degrees {toward}",
        "skew it by {degrees} degrees, moving the {edge} {way}",
        "push the {edge} {way} in a shear of {degrees}°",
    ),
    "perspective": (
        "shorten the {edge} edge by {percent} percent in perspective",
        "push the {edge} edge back so that it looks {percent}% shorter",
        "view the picture at a slant, with the {edge} edge {percent} percent shorter",
    ),
    "zoom": ("zoom {way} {factor} times", "zoom {way} by {factor}x about the center", "{scale}"),
    "blur": (
        "apply a gaussian blur of radius {radius}",
        "blur it by {radius} pixels",
        "make the image blurry, radius {radius}",
        "put it out of focus with a blur radius of {radius}",
    ),
    "gaussian": (
        "make it grainy: gaussian noise, standard deviation {level}",
        "overlay gaussian noise with a strength of {level}",
        "add random grain of strength {level}",
    ),
    "salt-and-pepper": (
        "turn {level} percent of the pixels black or white at random",
        "sprinkle salt and pepper over {level}% of the image",
        "replace {level}% of the pixels by black and white specks",
    ),
    "cutout": (
        "black out {place}, {percent} percent of each side",
        "cover {place} with a black box {percent}% as wide as the image",
        "put a black box of {percent} percent of the width over {place}",
    ),
    "swap": ("exchange the {channels} channels", "swap the {channels} values of every pixel", "{becomes}"),
    "cycle": ("cycle the color channels: {becomes}", "{becomes}", "rotate the channels so that {becomes}"),
    "translate": (
        "move the image {toward} by {percent} percent",
        "slide the picture {percent}% {toward}",
        "translate it {toward} by {percent}% of its size",
    ),
}
JOINED = "{first}, then {second}"
JOINS = (JOINED, "first {first}, then {second}", "{first} and after that {second}", "{first}; next, {second}")


def wordings(family: str, edit: Edit) -> tuple[str, ...]:
    """All wordings of `edit`, the first being `edit.text`; `family` as in `datagen.transforms.space.SPACES`."""
    templates = BANK[_templates(family, edit)]
    slots = {**edit.tags, **_SLOTS[family](edit.tags)}
    return (edit.text, *(template.format_map(slots) for template in templates))


def _templates(family: str, edit: Edit) -> str:
    """The name of a family's templates in BANK; three families have two sets of them."""
    if family == "colorize":
        return str(edit.tags["direction"])
    if family == "noise":
        return str(edit.tags["kind"])
    if family == "channels":
        return "swap" if _CHANNELS[str(edit.tags["order"])][0] else "cycle"
    return family


def _none(tags: Slots) -> Slots:
    return {}


def _place(tags: Slots) -> Slots:
    return {"place": _PLACES[str(tags["cell"])]}


def _rotate(tags: Slots) -> Slots:
    return {"hand": _TURNS[str(tags["direction"])]}


def _jitter(tags: Slots) -> Slots:
    names = ("brightness", "contrast", "saturation")
    return {f"{name}_percent": round(float(str(tags[name])) * 100) for name in names}


def _flip(tags: Slots) -> Slots:
    return dict(zip(("adverb", "across", "sides", "axis_name"), _FLIPS[str(tags["axis"])], strict=True))


def _shear(tags: Slots) -> Slots:
    return dict(zip(("edge", "way"), _LEANS[str(tags["way"])], strict=True))


def _zoom(tags: Slots) -> Slots:
    factor = tags["factor"]
    if tags["way"] == "in":
        return {"scale": f"magnify the center {factor} times"}
    return {"scale": f"shrink the whole picture by factor {factor}, with a black frame around it"}


def _channels(tags: Slots) -> Slots:
    return dict(zip(("channels", "becomes"), _CHANNELS[str(tags["order"])], strict=True))


_SLOTS: dict[str, Callable[[Slots], Slots]] = {
    "crop": _place,
    "rotate": _rotate,
    "jitter": _jitter,
    "flip": _flip,
    "colorize": _none,
    "shear": _shear,
    "perspective": _none,
    "zoom": _zoom,
    "blur": _none,
    "noise": _none,
    "cutout": _place,
    "channels": _channels,
    "translate": _none,
}
