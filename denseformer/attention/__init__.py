"""Operators that mix tokens: pure functions in torch, thin modules on top."""
