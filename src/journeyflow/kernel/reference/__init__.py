"""The same numbers as the kernel, slowly and obviously: plain Python that tries every attempt and every chain."""
