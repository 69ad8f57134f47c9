"""Orders of directed graphs, whatever their nodes are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar

Key = TypeVar("Key")


def topological(after: Mapping[Key, Collection[Key]], rank: Mapping[Key, Any]) -> list[Key]:
    """Return the keys so that each comes before those `after` it; among those that are free, by `rank`.

    Ranks must differ. Keys on a circle, and those that follow from one, are left out.
    """
    missing = dict.fromkeys(after, 0)
    for followers in after.values():
        for follower in followers:
            missing[follower] += 1
    by_rank = {rank[key]: key for key in after}
    ready = [rank[key] for key, count in missing.items() if not count]
    heapify(ready)
    order = []
    while ready:
        key = by_rank[heappop(ready)]
        order.append(key)
        for follower in after[key]:
            missing[follower] -= 1
            if not missing[follower]:
                heappush(ready, rank[follower])
    return order


def components(after: Mapping[Key, Collection[Key]]) -> dict[Key, int]:
    """Return the number of each key's strongly connected component, by Tarjan's algorithm without recursion."""
    index: dict[Key, int] = {}
    low: dict[Key, int] = {}
    component: dict[Key, int] = {}
    stack: list[Key] = []
    for root in after:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        work = [(root, iter(after[root]))]
        while work:
            here, followers = work[-1]
            for follower in followers:
                if follower not in index:
                    index[follower] = low[follower] = len(index)
                    stack.append(follower)
                    work.append((follower, iter(after[follower])))
                    break
                if follower not in component:
                    low[here] = min(low[here], index[follower])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[here])
                if low[here] == index[here]:
                    while here not in component:
                        component[stack.pop()] = index[here]
    return component
