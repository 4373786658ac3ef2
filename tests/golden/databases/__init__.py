"""A real database of every schema version that ever was, and what stands in it."""
