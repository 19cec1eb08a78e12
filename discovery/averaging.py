"""Which edges of many replicates to keep: a threshold that the frequencies themselves give."""

from __future__ import annotations

from discovery.pc import FloatArray


def data_driven_threshold(frequencies: FloatArray) -> float:
    """The threshold of Scutari & Nagarajan (2013, Artificial Intelligence in Medicine 57, section 3), above
    which a pair is kept, as bnlearn's `averaged.network` does.

    frequencies [m]: of every pair, absent ones included. With F their distribution function, t is chosen so
    that the integral of |F(x) − t| over [0, 1] is least: the distance to a configuration in which a share
    t of the pairs has frequency 0 and the rest 1. The threshold is the quantile F⁻¹(t).

    The best t is the median of F(x), x uniform on [0, 1], which is F(½) since F never falls. So the
    threshold is the largest frequency not above ½ (0 where there is none), and what is kept is every pair
    in more than half of its replicates: the method cannot choose a stricter level."""
    low = frequencies[frequencies <= 0.5]
    return float(low.max()) if len(low) else 0.0
