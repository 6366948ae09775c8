"""The modules that several stores share.

Each imports the errors and the contract only.
"""
