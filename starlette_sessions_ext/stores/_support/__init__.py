"""What several stores share; each module knows the errors and the contract only."""
