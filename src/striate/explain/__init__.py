"""What networks have learned, as arrays: filters, maps, patches, and chance beside them."""
