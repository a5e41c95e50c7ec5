"""Ranking: beam search over trained trees, for many rows or one."""
