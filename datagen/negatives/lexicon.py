"""Words that can stand for one another: of each list, at most one is true of a thing. Modest, and our own.

Lists hold no word and its hypernym ("man" and "person"), for then the "negative" could be true.
"""

from __future__ import annotations

# Singular and plural, by kind of thing.
_NOUNS = {
    "people": "man/men woman/women boy/boys girl/girls baby/babies",
    "animals": "dog/dogs cat/cats horse/horses cow/cows sheep/- bird/birds elephant/elephants giraffe/giraffes "
    "zebra/zebras bear/bears duck/ducks goat/goats rabbit/rabbits monkey/monkeys",
    "vehicles": "car/cars bus/buses truck/trucks train/trains motorcycle/motorcycles bicycle/bicycles boat/boats "
    "airplane/airplanes plane/planes bike/bikes van/vans scooter/scooters tractor/tractors",
    "furniture": "chair/chairs table/tables bed/beds couch/couches bench/benches desk/desks shelf/shelves",
    "fittings": "sink/sinks toilet/toilets bathtub/bathtubs shower/showers stove/stoves oven/ovens "
    "refrigerator/refrigerators microwave/microwaves",
    "food": "pizza/pizzas sandwich/sandwiches cake/cakes banana/bananas apple/apples orange/oranges salad/salads "
    "burger/burgers donut/donuts carrot/carrots cookie/cookies",
    "dishes": "plate/plates bowl/bowls cup/cups glass/glasses bottle/bottles fork/forks knife/knives spoon/spoons",
    "clothes": "shirt/shirts jacket/jackets hat/hats tie/ties dress/dresses suit/suits coat/coats scarf/scarves",
    "gear": "surfboard/surfboards skateboard/skateboards snowboard/snowboards frisbee/frisbees kite/kites "
    "racket/rackets umbrella/umbrellas backpack/backpacks",
    "devices": "laptop/laptops phone/phones keyboard/keyboards television/televisions clock/clocks lamp/lamps "
    "camera/cameras",
    "rooms": "kitchen/kitchens bathroom/bathrooms bedroom/bedrooms office/offices restaurant/restaurants",
    "places": "beach/beaches street/streets field/fields park/parks forest/forests mountain/mountains lake/lakes",
}

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "colours": (
        "red",
        "orange",
        "yellow",
        "green",
        "blue",
        "purple",
        "pink",
        "brown",
        "black",
        "white",
        "gray",
        "grey",
    ),
    "materials": ("wooden", "metal", "plastic", "glass", "stone", "brick", "leather", "paper"),
    "sizes": ("small", "large", "tiny", "huge", "little", "big"),
    "ages": ("young", "old", "elderly"),
    "numbers": ("two", "three", "four", "five", "six"),
    "patterns": ("striped", "spotted", "checkered", "plain"),
    "states": ("empty", "full"),
    "wetness": ("wet", "dry"),
    "cleanness": ("clean", "dirty"),
    "openness": ("open", "closed"),
    "lengths": ("short", "tall", "long"),
    "weather": ("sunny", "cloudy", "rainy", "snowy"),
    "shapes": ("round", "square", "triangular"),
}
# Within a list these can both be true of one thing, or are easily taken for one another: never put for each other.
_ALIKE = (
    "small tiny little, large huge big, old elderly, tall long, gray grey, airplane plane, airplanes planes, "
    "bicycle bike scooter motorcycle, bicycles bikes scooters motorcycles, car van truck, cars vans trucks, "
    "stove oven, stoves ovens, jacket coat suit, jackets coats suits, shirt suit dress, shirts suits dresses, "
    "table desk, tables desks, field park forest, fields parks forests, beach lake, beaches lakes, "
    "bathtub shower, bathtubs showers, man boy baby, men boys babies, woman girl baby, women girls babies, "
    "cup glass, cups glasses, kitchen restaurant, kitchens restaurants, bathroom bedroom office, "
    "holding carrying catching throwing, cooking serving cutting, over above on_top_of, "
    "under below beneath underneath"
)
SYNONYMS = tuple(frozenset(word.replace("_", " ") for word in group.split()) for group in _ALIKE.split(", "))

RELATIONS: dict[str, tuple[str, ...]] = {
    "vertical": ("on top of", "underneath", "above", "under", "below", "beneath", "over"),
    "depth": ("in front of", "behind"),
    "sides": ("to the left of", "to the right of"),
    "containment": ("inside", "outside"),
    "distance": ("next to", "far from"),
    "postures": ("sitting", "standing", "lying", "kneeling"),
    "motions": ("walking", "running", "jumping", "flying", "swimming"),
    "handling": ("holding", "throwing", "catching", "wearing", "carrying", "dropping"),
    "eating": ("eating", "cooking", "cutting", "serving"),
    "riding": ("riding", "pushing", "washing", "parking"),
    "gazing": ("looking at", "looking away from"),
    "accompaniment": ("with", "without"),
}


def objects() -> dict[str, tuple[str, ...]]:
    """{list: words}; singulars and plurals are lists of their own ("animals", "animals+")."""
    found: dict[str, tuple[str, ...]] = {}
    for name, listed in _NOUNS.items():
        pairs = [pair.split("/") for pair in listed.split()]
        found[name] = tuple(one for one, _ in pairs if one != "sheep")
        found[f"{name}+"] = tuple(many for _, many in pairs if many != "-")
    return found


OBJECTS = objects()
WORDS = {"obj": OBJECTS, "att": ATTRIBUTES, "rel": RELATIONS}


def exclusive(one: str, other: str) -> bool:
    """Whether two words of a list cannot both be true of a thing."""
    return one != other and not any(one in group and other in group for group in SYNONYMS)
