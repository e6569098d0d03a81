"""What scenes are made of: shapes, colours, textures, sizes and backgrounds, and the combinations held out of training.

Frozen: trained weights and benchmark tasks rest on these names and values. To change one, make a new scene version.
"""

from __future__ import annotations

RGB = tuple[int, int, int]

# For each shape the rotations (degrees, clockwise on screen) it is drawn in: few enough that its name stays its name.
_TILTED = (0, 15, 345)
SHAPES: dict[str, tuple[int, ...]] = {
    "circle": (0,),
    "square": _TILTED,
    "triangle": _TILTED,
    "star": _TILTED,
    "heart": _TILTED,
    "cross": _TILTED,
    "hexagon": (0, 30),
    "crescent": (0, 30, 330),
    "ring": (0,),
    "arrow": (0, 90, 180, 270),
    "diamond": (0,),
    "semicircle": _TILTED,
    "teardrop": _TILTED,
    "lightning bolt": _TILTED,
    "house": _TILTED,
    "flag": _TILTED,
}
DIRECTIONS = {0: "right", 90: "down", 180: "left", 270: "up"}  # where an arrow points, by rotation

COLOURS: dict[str, RGB] = {
    "red": (214, 32, 40),
    "orange": (250, 140, 20),
    "yellow": (250, 224, 40),
    "green": (44, 158, 54),
    "cyan": (40, 204, 214),
    "blue": (36, 80, 216),
    "purple": (134, 46, 176),
    "pink": (250, 128, 188),
    "brown": (126, 74, 34),
    "black": (22, 22, 24),
    "white": (250, 250, 250),
    "gray": (130, 132, 136),
}
_PAPER, _SOOT, _ASH = (250, 250, 250), (22, 22, 24), (150, 150, 156)
# The second colour of a textured thing: it takes less than half of the area, and says nothing of the thing's colour.
INKS: dict[str, RGB] = {
    "red": _PAPER,
    "orange": _SOOT,
    "yellow": _SOOT,
    "green": _PAPER,
    "cyan": _SOOT,
    "blue": _PAPER,
    "purple": _PAPER,
    "pink": _SOOT,
    "brown": _PAPER,
    "black": _ASH,
    "white": _ASH,
    "gray": _PAPER,
}

TEXTURES = ("plain", "striped", "dotted", "checkered")
HALF_SIZES = {"small": 85, "medium": 125, "large": 180}  # half a thing's extent, in thousandths of the picture's side

BACKGROUNDS = {"plain": 1, "gradient": 8, "noise": 1000, "pattern": 6}  # kinds, and how many variants each has
LIGHT_TONES: dict[str, RGB] = {
    "pale blue": (196, 216, 240),
    "pale green": (204, 230, 200),
    "pale pink": (246, 222, 224),
    "pale yellow": (246, 240, 204),
    "pale purple": (220, 208, 240),
    "light gray": (216, 216, 214),
}
DARK_TONES: dict[str, RGB] = {
    "dark blue": (22, 34, 74),
    "dark green": (18, 56, 44),
    "dark red": (74, 20, 30),
    "dark purple": (48, 26, 72),
    "dark gray": (58, 60, 64),
}
TONES = LIGHT_TONES | DARK_TONES

# Never in a train or val scene nor in a text about one; every test scene has at least one. Each colour is held out
# with two or three shapes, each texture with three, each shape with two colours: all words are learnt, these pairs not.
HELD_OUT_COLOURS: dict[str, tuple[str, str]] = {
    "circle": ("green", "pink"),
    "square": ("purple", "yellow"),
    "triangle": ("blue", "white"),
    "star": ("red", "gray"),
    "heart": ("cyan", "brown"),
    "cross": ("orange", "black"),
    "hexagon": ("red", "blue"),
    "crescent": ("green", "purple"),
    "ring": ("yellow", "white"),
    "arrow": ("orange", "brown"),
    "diamond": ("cyan", "gray"),
    "semicircle": ("black", "pink"),
    "teardrop": ("red", "green"),
    "lightning bolt": ("blue", "pink"),
    "house": ("orange", "purple"),
    "flag": ("yellow", "cyan"),
}
HELD_OUT_TEXTURES: dict[str, tuple[str, ...]] = {
    "striped": ("heart", "hexagon", "flag"),
    "dotted": ("square", "cross", "teardrop"),
    "checkered": ("circle", "star", "arrow"),
}
HELD_OUT = frozenset(
    [(colour, shape) for shape, colours in HELD_OUT_COLOURS.items() for colour in colours]
    + [(texture, shape) for texture, shapes in HELD_OUT_TEXTURES.items() for shape in shapes]
)
SPLITS = ("train", "val", "test")
