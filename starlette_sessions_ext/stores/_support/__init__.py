"""Modules that several stores share. Each imports the errors and the contract only."""
