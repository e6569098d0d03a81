"""The closed word classes, and the few open ones, that the offline grammar of captions goes by."""

from __future__ import annotations


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(phrase.split()) for phrase in text.split("|"))


_COUNTED = "two three four five six seven eight nine ten eleven twelve"
NUMBERS = {word: value for value, word in enumerate(_COUNTED.split(), 2)}
COLORS = _set(
    "red blue green yellow orange purple pink brown black white gray grey tan beige silver gold golden turquoise maroon"
)
SINGULAR = _set("a an one another this that every each")
PLURAL = _set("some several many two three four five six seven eight nine ten eleven twelve these those few both")
POSSESSIVE = _set("his her its their my your our")
DETERMINERS = SINGULAR | PLURAL | POSSESSIVE | {"the", "no", "other", "various", "multiple", "different", "all"}
BE = _set("is are was were")
ADVERBS = _set(
    "very together slowly quickly happily outside outdoors indoors upside currently just also really ready out "
    "away still high well together back not"
)
HAVING = _set("has have features contains contain")  # "a room has two beds" says the same as "a room with two beds"
MODALS = _set("could can would will may might should must did does do been be being")
# "a couple of signs" is about signs.
MEASURES = _set(
    "group herd flock crowd couple pair bunch lot lots number variety few kind kinds type types row line pile set many"
    " some one"
)
ADJECTIVES = _set(
    "large big small little tall old young long short empty beautiful nice busy huge giant clean dirty dark bright open"
    " lush grassy rocky sandy snowy wooden metal colorful cute new many furry fluffy flat round wet dry tiny"
    " low way story"
)
_PLACES = """
    in the middle of|on the side of|on the edge of|at the top of|in the back of|on the back of|in front of|on top of|
    next to|close to|inside of|outside of|alongside|on|in|at|near|under|behind|beside|inside|above|below|against|by|
    along|across|over|around|underneath|beneath|atop|between|among
"""
_NO_PLACES = """
    on board of|out of|onto|into|through|with|from|to|for|toward|towards|down|up|off|past|about|during|without|amongst|
    beyond|within|as|like|after|before|outside
"""
PLACES = _phrases(_PLACES)
# The longest first; "of" is no preposition here: it stays inside its noun phrase.
PREPOSITIONS = tuple(sorted(PLACES | _phrases(_NO_PLACES), key=lambda phrase: (-len(phrase), phrase)))
# Where clauses end; "and" and commas are looked at more closely.
BREAKS = _set("while that which who whose where when because but if than then so or")
FINITE = _set(
    "stands sits holds rides walks looks plays watches lies lays flies leans rests eats drinks runs jumps poses wears "
    "carries swings prepares tries throws hits catches kicks pulls pushes reaches drives travels hangs grazes waits "
    "talks cuts shows hold ride walk look play watch lie lay fly lean rest eat drink run jump pose wear carry "
    "stand sit swing prepare try throw hit catch kick pull push reach drive travel hang graze wait talk gather takes "
    "take gets get makes make does do goes go comes come leads lead uses use performs perform covers cover "
    "cross crosses serves serve sleeps sleep smiles smile swims swim surfs skis feeds feed approaches approach "
    "sniffs licks chases enjoys enjoy skateboards displays works stares stare gathers spreads opens plates lands"
    " rolls crawls"
    " glides hovers hover floats float moves moving"
)
PARTICIPLES = _set(
    "parked seated filled covered topped surrounded dressed decorated attached mounted lined perched placed arranged "
    "stacked piled lit painted made shown displayed tied stuck hung strewn laid served cooked gathered stopped docked "
    "crowded packed loaded stuffed connected leaned posed set sat sliced built located situated prepared equipped "
    "furnished tucked wrapped curled positioned stationed lined littered adorned dipped split driven pulled held worn "
    "taken seen eaten ridden flown left cut put kept caught"
)
# Words in -ing (and -ed) that are nouns or adjectives here, not what someone does.
NO_VERB = _set(
    "building painting wedding ceiling string evening morning king ring thing something anything nothing everything "
    "clothing railing living parking dining spring wing sling earring pudding frosting icing topping flooring "
    "siding awning beijing crossing landing wrapping lighting interesting amazing bed red shed sled seed feed breed"
    " need opening being during tubing bowling loving dressing stuffing seasoning housing lining offspring outing "
    "duckling sibling exciting seating writing drawing lettering adjoining matching including "
    "hundred naked assorted used"
)
# Doing these, one is somewhere: "Where is the cat sitting?"
PLACED = _set("sitting standing lying laying parked resting leaning hanging perched seated grazing")
PERSONS = _set(
    "man woman boy girl child kid lady guy person people men women boys girls children kids ladies guys player players "
    "rider riders skier skiers surfer surfers skateboarder skateboarders snowboarder snowboarders toddler baby adult "
    "adults chef couple family crowd team male female gentleman batter catcher umpire pitcher cyclist bride groom "
    "student students passengers pedestrians officer officers worker workers tourist tourists spectators teenager baby "
    "babies someone persons police policeman driver soldier soldiers musician friends group bicyclist biker bikers"
)
ANIMALS = _set(
    "dog cat horse cow sheep bear bird elephant zebra giraffe goat kitten puppy duck lion dogs cats horses cows bears "
    "birds elephants zebras giraffes goats kittens puppies ducks lions cattle herd flock seagull seagulls monkey bull "
    "pigeon pigeons geese swan lamb lambs deer parrot owl animal animals"
)
ANIMATE = PERSONS | ANIMALS
PLURAL_NOUNS = _set("people men women children sheep cattle geese deer police scissors pants shorts skis glasses feet")
SINGULAR_IN_S = _set("bus glass grass dress tennis gas mattress cross christmas canvas cactus class chess compass")
# What stands for the picture or for a part of something, not for a thing that can be asked about.
NO_THING = _set(
    "close up view picture photo image side top front back middle edge part end  day night time "
    "background foreground rest way it them him her he she they there this that other others one ones each something "
    "someone it's background air action motion order line row color colors black white shot"
)
# "in" before these says how something is, not where.
NO_PLACE = _set(
    "shirt hat suit dress jacket coat uniform uniforms shorts pants outfit costume tie glasses helmet jeans skirt "
    "clothes clothing gear attire vest sweater color colors black white red blue green suits dresses shirts jackets "
    "hats wetsuit wetsuits sunglasses scarf boots shoes heels robe apron bikini trunks sweatshirt hoodie top tank "
    "skis line row rows motion action rain snow night day time daytime noon dusk dawn mouth distance half game match "
    "order pose position style shape case middle front camera background group pairs pair air other total progress"
)
HEADINGS = (
    r"^(?:there (?:is|are|'s)|there's|this is|it is|it's|here is|these are)\s+",
    r"^(?:(?:a|an|the|this is a|some)\s+)?(?:[\w-]+\s+){0,4}?"
    r"(?:picture|photo|photograph|image|view|close[- ]?up|shot|painting|drawing|pictures|selfie)"
    r"(?:\s+(?:view|shot|photo|picture|up|image))?\s+(?:of|showing|shows)\s+",
)
