"""What the run is for, where its adapter will be served, and whether something simpler would do."""
