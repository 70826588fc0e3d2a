"""``derecho doctor``: what of this machine the library depends on, and what to change.

``gather`` and ``configs`` collect facts; ``checks``, ``checks_config`` and ``wires`` judge them, and are pure;
``report`` puts that together, and ``show`` renders it.
"""
