"""From assessed series to findings about services, processes and kernel caches."""
