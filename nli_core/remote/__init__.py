"""The bucket behind the store: what one machine finished, another one reuses."""
