"""The kernel's loops over sorted arrays, compiled by numba; types are fixed, so each is compiled once.

A *place* is an index into the arrays of a grouping. Places of one unit are `[lo, hi)`, in time order.
"""
