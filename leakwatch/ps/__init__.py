"""Who holds memory now: by process, user, mapping or the whole machine, as ``leakwatch ps`` shows it.

``reading`` takes it from /proc, ``sums`` and ``views`` make rows of it (pure), ``table``, ``chart`` and ``figure``
write them down. Letters, columns and figures are smem's, whose users know them.
"""
