"""How often rules that never see the image pick the positive: 50% is what a fair set of negatives leaves them.

All learnt rules are cross-validated by exchange, so that the two halves of an exchange are never split: seeing one
half would teach the opposite of the other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from datagen.negatives.slots import words
from datagen.negatives.types import Exchange

FOLDS = 5
Texts = tuple[str, str]  # positive, negative


def measure(found: Sequence[Exchange]) -> dict[str, float]:
    """Share of positives picked by each blind rule, with the number of pairs as "n". Ties count one half.

    "fewer characters"; "bag of words" and "n-grams" (1 to 3): logistic regression over counts; "language model": the
    more probable text under word trigrams of the other captions. Raises ValueError below two exchanges a fold.
    """
    if len(found) < 2 * FOLDS:
        raise ValueError(f"{len(found)} exchanges are too few to measure; at least {2 * FOLDS}")
    pairs = [(side.positive, side.negative) for exchange in found for side in exchange.sides]
    units = np.repeat(np.arange(len(found)), 2)
    return {"n": float(len(pairs))} | measure_pairs(pairs, units)


def measure_pairs(pairs: Sequence[Texts], units: np.ndarray) -> dict[str, float]:
    """The same rules on any (positive, negative) pairs; pairs of one unit (int [N]) stay in one fold."""
    return {
        "fewer characters": _share([len(negative) - len(positive) for positive, negative in pairs]),
        "bag of words": _regression(pairs, units, 1),
        "n-grams": _regression(pairs, units, 3),
        "language model": _language_model(pairs, units),
    }


def _share(margins: Sequence[float] | np.ndarray) -> float:
    """Share of margins above zero, those at zero by half."""
    values = np.asarray(margins, dtype=np.float64)
    ties = np.abs(values) < 1e-9
    return float(np.mean(np.where(ties, 0.5, values > 0)))


def _regression(pairs: Sequence[Texts], units: np.ndarray, longest: int) -> float:
    """Logistic regression on the difference of the counts of both texts; no intercept, as their order is nothing."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    counts = CountVectorizer(analyzer=_grams(longest))
    both = counts.fit_transform([text for pair in pairs for text in pair])
    differences = (both[0::2] - both[1::2]).tocsr().astype(np.float64)
    signs = np.where(np.random.default_rng(0).random(len(pairs)) < 0.5, 1.0, -1.0)
    margins = np.zeros(len(pairs))
    for train, test in _folds(units):
        flipped = differences[train].multiply(signs[train][:, None]).tocsr()
        if len(set(signs[train])) == 2 and flipped.nnz:
            model = LogisticRegression(fit_intercept=False, max_iter=500).fit(flipped, signs[train])
            margins[test] = differences[test] @ model.coef_[0]
    return _share(margins)


def _grams(longest: int) -> Callable[[str], list[str]]:
    def analyze(text: str) -> list[str]:
        found = ["<s>", *words(text), "</s>"] if longest > 1 else words(text)
        return [" ".join(found[i : i + n]) for n in range(1, longest + 1) for i in range(len(found) - n + 1)]

    return analyze


def _language_model(pairs: Sequence[Texts], units: np.ndarray) -> float:
    return _share(plausibility(pairs, units))


def plausibility(pairs: Sequence[Texts], units: np.ndarray) -> np.ndarray:
    """float64 [N]: how much more probable, a word, the positive is than the negative (log, mean over the text).

    Word trigrams backed off to bigrams and words, learnt from the positives of other folds.
    """
    margins = np.zeros(len(pairs))
    for train, test in _folds(units):
        score = _trigrams([pairs[index][0] for index in train])
        margins[test] = [score(pairs[index][0]) - score(pairs[index][1]) for index in test]
    return margins


def _trigrams(texts: Sequence[str]) -> Callable[[str], float]:
    counts = [Counter[tuple[str, ...]]() for _ in range(4)]
    for text in texts:
        found = ["<s>", "<s>", *words(text), "</s>"]
        for index in range(2, len(found)):
            for n in (1, 2, 3):
                counts[n][tuple(found[index - n + 1 : index + 1])] += 1
                counts[n - 1][tuple(found[index - n + 1 : index])] += n > 1
            counts[0][()] += 1
    total, vocabulary = counts[0][()], len(counts[1]) + 1

    def score(text: str) -> float:
        found = ["<s>", "<s>", *words(text), "</s>"]
        sums = 0.0
        for index in range(2, len(found)):
            chance = (counts[1][(found[index],)] + 1) / (total + vocabulary)
            for n in (2, 3):
                seen = counts[n][tuple(found[index - n + 1 : index + 1])]
                context = counts[n - 1][tuple(found[index - n + 1 : index])]
                chance = (seen + 2 * chance) / (context + 2)
            sums += math.log(chance)
        return sums / (len(found) - 2)

    return score


def _folds(units: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    order = np.random.default_rng(0).permutation(int(units.max()) + 1)
    fold = order[units] % FOLDS
    return [(np.flatnonzero(fold != each), np.flatnonzero(fold == each)) for each in range(FOLDS)]
