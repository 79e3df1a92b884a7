"""From runs to numbers: which can be compared, and the comparison."""
