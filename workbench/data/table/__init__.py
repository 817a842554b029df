"""Tables of numbers and words: read, understood, stored and encoded."""
