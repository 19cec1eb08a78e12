"""From generated text to an answer: where it ends, and which state it is."""
