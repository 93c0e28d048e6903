"""Where the last layer of a classifier starts."""

from pellucid import nn

SMALL = nn.initializers.normal(0.01)
"""Weights of a last layer so small that at first all classes are about equally likely.

What He's initial values make of 128 features are logits of size 2 or 3: the first epoch is
spent on taking them back.
"""
