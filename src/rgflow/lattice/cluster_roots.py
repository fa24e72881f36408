"""Clusters of sites as a forest in an array, for compiled loops: every site points towards the smallest of its cluster.

Convention: `parents[i] = i` makes i a root. Roots are the smallest sites, so that a pass in the order of the sites meets
the root of a cluster before its other members. Union by smallest root with path halving (Tarjan and van Leeuwen 1984).
"""

from numba import njit

# For compiled loops, which take no keyword-only arguments.
__all__ = ["join", "root"]


@njit(cache=True, nogil=True, error_model="numpy")
def root(parents, site):
    """Return the root of a site; the path is halved on the way."""
    while parents[site] != site:
        parents[site] = parents[parents[site]]
        site = parents[site]
    return site


@njit(cache=True, nogil=True, error_model="numpy")
def join(parents, ends):
    """Make one cluster of the clusters of two sites (a pair)."""
    first, second = root(parents, ends[0]), root(parents, ends[1])
    if first < second:
        parents[second] = first
    elif second < first:
        parents[first] = second
