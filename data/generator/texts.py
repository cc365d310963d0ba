"""Invented short answers of customers, from cross to delighted."""

from __future__ import annotations

import random

CROSS = (
    "Still waiting for my parcel.",
    "It came a week late and nobody told me.",
    "I could not pay with my phone.",
    "The app failed three times.",
    "Promised in three days, took seven.",
    "Nobody could tell me where my order was.",
    "Very slow and no answer from support.",
    "The payment page kept failing, I gave up.",
)
SO_SO = (
    "It was fine.",
    "Good product, average delivery.",
    "Took a while to find what I needed.",
    "Okay, nothing special.",
    "The price is fair.",
    "Works as described.",
)
DELIGHTED = (
    "Great service, thank you.",
    "Arrived early and well packed.",
    "Easy to order, lovely quality.",
    "Exactly what I was looking for.",
    "Friendly help and quick answer.",
    "I will buy here again.",
    "Fast delivery, very happy.",
)


def pick_text(rng: random.Random, mood: float) -> str:
    """Return a text for a mood between 0 (cross) and 1 (delighted)."""
    return rng.choice(CROSS if mood < 0.4 else SO_SO if mood < 0.7 else DELIGHTED)
