"""The stores, one module or package each.

A package imports its own driver and no other.
"""
