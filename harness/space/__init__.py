"""What may be searched: a space's file, what it allows in a base, its table of architectures."""

from harness.space.space import SearchSpace, SpaceFile, load_space

__all__ = ["SearchSpace", "SpaceFile", "load_space"]
