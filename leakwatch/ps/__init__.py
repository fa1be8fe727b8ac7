"""Who holds memory now: by process, user, mapping or the whole machine, as ``leakwatch ps`` shows it.

``reading`` takes it from /proc, or from what ``capture`` unpacked; ``sums`` and ``views`` make rows of it and ``chart``
bars of rows (pure); ``table``, ``bars``, ``figure`` and ``remarks`` write them down. Letters, columns and figures are
smem's, whose users know them.
"""
