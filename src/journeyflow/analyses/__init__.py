"""Python models of the analyses beside the map."""
