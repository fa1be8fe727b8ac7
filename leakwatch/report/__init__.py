"""Says what was found: ``build`` selects, orders and words, the renderers write it down."""
